"""The films on which int8 measures its ranges: chosen here, stratified, from the run's own training films only."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from lucency.bundle import Card
from lucency.data.dataset import Dataset
from lucency.data.decode import Decoded, decode_squares, report_skipped
from lucency.data.splits import Fold, split_hash, strata, train_val_split
from lucency.errors import ExportError
from lucency.preprocess import Preprocess
from lucency.recipe import card_data_settings

ENOUGH = 256
"""Films to measure on: seconds of work, and each kind of film among them."""


def training_films(card: Card, films: Dataset, fold: Fold | None) -> Dataset:
    """The films that the run of `card` learned from, found again in `films`.

    Args:
        card: of a run.
        films: the data set that it was trained on.
        fold: which one, where the run is one of a cross-validation.

    Raises:
        ExportError: the split hash says that these are other films.
    """
    settings = card_data_settings(card.training.recipe)
    learned, _, _ = train_val_split(fold.split(films)[0] if fold else films, settings)
    if split_hash(learned, range(len(learned))) != card.training.split_hash:
        raise ExportError(
            f"{films.source}: expected the {card.training.films} films that the run learned from, these are others; "
            "give --data as it was given to lucency train, and --fold K --folds N for a run of a cross-validation"
        )
    return learned


def calibration_squares(card: Card, films: Dataset, fold: Fold | None, count: int = ENOUGH) -> NDArray[np.uint8]:
    """Squares of training films, uint8 (n, side, side), n about `count`.

    Raises:
        ExportError: `films` are not those that the run learned from.
        SourceError: none of them can be read.
    """
    learned = training_films(card, films, fold)
    chosen = learned.subset(evenly(learned, count))
    preprocess = Preprocess.from_json(card.preprocess.model_dump())
    decoded: Decoded = decode_squares(chosen, preprocess)
    report_skipped(decoded.unreadable)
    print(f"ranges are measured on {len(decoded.pixels)} training films, as many of each kind", file=sys.stderr)
    return np.stack(decoded.pixels)


def evenly(films: Dataset, count: int) -> NDArray[np.int64]:
    """Indices of about `count` films, as many of each stratum as it has, one patient at a time; always the same ones.

    A rare kind counts as much as a common one: it may hold the widest ranges.
    """
    kinds = strata(films)
    share = -(-count // kinds.shape[1])
    groups = films.groups()
    chosen: list[int] = []
    for column in range(kinds.shape[1]):
        members = np.flatnonzero(kinds[:, column])
        _, firsts = np.unique(groups[members], return_index=True)
        order = np.concatenate([members[np.sort(firsts)], np.delete(members, firsts)])
        chosen += _spread(order[: max(len(firsts), share)], share)
    return np.sort(np.array(chosen, dtype=np.int64))


def _spread(items: NDArray[np.int64], count: int) -> list[int]:
    """`count` of the items, spaced evenly, or all where there are fewer."""
    if len(items) <= count:
        return [int(item) for item in items]
    return [int(items[place]) for place in np.linspace(0, len(items) - 1, count).round().astype(int)]
