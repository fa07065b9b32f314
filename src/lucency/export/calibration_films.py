"""The films on which int8 measures activation ranges: a stratified sample of the run's own training films."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from lucency.bundle import Bundle
from lucency.bundle.card import IMPORTED
from lucency.data.dataset import Dataset
from lucency.data.decode import decode_squares, report_skipped
from lucency.data.learned import hashes_of, read_learned
from lucency.data.splits import Fold, split_hash, strata, train_val_split
from lucency.errors import ExportError
from lucency.preprocess import Preprocess
from lucency.recipe import card_data_settings

SAMPLE = 256
"""Films to measure on: seconds of work, and some of each kind of film."""


def training_films(run: Bundle, films: Dataset, fold: Fold | None) -> Dataset:
    """The training films of a run, among `films`: by the split, or else by the hashes that it keeps of them.

    Args:
        run: a run; without hashes it says its split alone.
        films: the data set that it was trained on.
        fold: the held-out fold of a run of a cross-validation; not needed where the run keeps hashes.

    Raises:
        ExportError: these are other films.
        BundleError: the run's hashes are not valid.
    """
    training = run.card.training
    if training.source == IMPORTED:
        return films  # which films it learned from is not known here
    train, _, _ = train_val_split(fold.split(films)[0] if fold else films, card_data_settings(training.recipe))
    if split_hash(train, range(len(train))) == training.split_hash:
        return train
    learned = read_learned(run)
    known = [k for k, one in enumerate(hashes_of(films)) if one & learned.train] if learned else []
    if known:
        return films.subset(known)
    raise ExportError(
        f"{films.source}: expected the {training.films} training films of the run, these are others; "
        "give --data as it was given to lucency train, and --fold K --folds N for a run of a cross-validation"
    )


def calibration_squares(run: Bundle, films: Dataset, fold: Fold | None, count: int = SAMPLE) -> NDArray[np.uint8]:
    """Squares of training films, uint8 (n, side, side), n about `count`.

    Raises:
        ExportError: `films` are not those that the run was trained on.
        SourceError: none of them can be read.
    """
    train = training_films(run, films, fold)
    chosen = train.subset(stratified_sample(train, count))
    decoded = decode_squares(chosen, Preprocess.from_json(run.card.preprocess.model_dump()))
    report_skipped(decoded.unreadable)
    print(f"ranges are measured on {len(decoded.pixels)} training films, as many of each kind", file=sys.stderr)
    return np.stack(decoded.pixels)


def stratified_sample(films: Dataset, count: int) -> NDArray[np.int64]:
    """Indices of about `count` films, equally many of each stratum, each patient once if possible; deterministic.

    Rare strata count as much as common ones: they may have the widest ranges.
    """
    kinds = strata(films)
    share = -(-count // kinds.shape[1])
    groups = films.groups()
    chosen: list[int] = []
    for column in range(kinds.shape[1]):
        members = np.flatnonzero(kinds[:, column])
        _, firsts = np.unique(groups[members], return_index=True)
        order = np.concatenate([members[np.sort(firsts)], np.delete(members, firsts)])
        chosen += _evenly_spaced(order[: max(len(firsts), share)], share)
    return np.sort(np.array(chosen, dtype=np.int64))


def _evenly_spaced(items: NDArray[np.int64], count: int) -> list[int]:
    """`count` of the items, or all if there are fewer."""
    if len(items) > count:
        items = items[np.linspace(0, len(items) - 1, count).round().astype(int)]
    return [int(item) for item in items]
