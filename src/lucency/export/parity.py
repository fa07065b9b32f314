"""Parity: a run's outputs against those of a file exported from it, over a whole data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lucency.arrays import Bools, Floats, Floats32, Ints
from lucency.bundle import Card, Parity
from lucency.data.dataset import Dataset, readable_batches
from lucency.errors import BundleError, FilmError
from lucency.evaluate.calibration import one_vs_rest
from lucency.evaluate.metrics import auroc
from lucency.reader import Reader
from lucency.reader.outputs import accepted, calls
from lucency.reader.predict import as_labelled

BATCH = 32
"""Films per batch."""


@dataclass(frozen=True)
class Flip:
    """A film on which the two differ."""

    film: str
    what: Literal["called", "uncertain"]
    """Whether they call different labels, or only one of them is uncertain."""
    label: str
    """By the data set."""
    source: tuple[float, ...]
    """The run's probabilities."""
    export: tuple[float, ...]
    """The export's."""


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison."""

    parity: Parity
    """For the card."""
    flips: tuple[Flip, ...]
    unreadable: tuple[FilmError, ...]


@dataclass(frozen=True)
class _Pair:
    """Both outputs for the n films that could be read."""

    films: Dataset
    logits: tuple[Floats, Floats]
    """Source and export, each (n, f)."""
    probabilities: tuple[Floats, Floats]
    sure: tuple[Bools, Bools]
    """Whether each is sure of its call, (n,)."""
    correlations: Floats
    """(n,), of the two maps of each film; NaN where one is constant."""


def compare(source: Reader, export: Reader, films: Dataset, data: str) -> Comparison:
    """Run both on every film.

    Args:
        source: an open run.
        export: an open bundle exported from it.
        films: labelled as their cards label them.
        data: description of the films, for the card.

    Raises:
        BundleError: the bundle was not exported from this run.
        SourceError: the labels differ, or no film can be read.
    """
    require_same(source, export)
    unreadable: list[FilmError] = []
    pair = _compute(source, export, as_labelled(films, source.card.labels), unreadable)
    flips = _flips(pair, source.card)
    return Comparison(_parity(pair, source.card, data, flips), flips, tuple(unreadable))


def require_same(source: Reader, export: Reader) -> None:
    """Raise if a bundle was not exported from this run.

    Raises:
        BundleError: it is a run, or its card names other weights or another preprocessing.
    """
    weights = source.bundle.card.files.get(source.card.model.file)
    if export.card.model.source is None or export.card.model.source != weights:
        raise BundleError(
            f"{export.bundle.path}: expected a bundle exported from {source.bundle.path}, its card names other weights;"
            " export it again, or name the run it came from"
        )
    if export.card.preprocess != source.card.preprocess:
        raise BundleError(
            f"{export.bundle.path}: preprocesses films differently from {source.bundle.path}; export it again"
        )


def _compute(source: Reader, export: Reader, films: Dataset, unreadable: list[FilmError]) -> _Pair:
    good: list[int] = []
    columns: list[tuple[Any, ...]] = []
    for indices, batch in readable_batches(films, source.preprocess, BATCH, "comparing films", unreadable):
        squares = np.stack(batch)
        ours, theirs = source.read_batch(squares), export.read_batch(squares)
        good += indices
        both = [(found.logits, found.probabilities, accepted(source.card, found)) for found in (ours, theirs)]
        columns.append((*both[0], *both[1], correlations(ours.maps, theirs.maps)))
    a, p, s, b, q, t, alike = (np.concatenate(column).astype(np.float64) for column in zip(*columns, strict=True))
    return _Pair(films.subset(good), (a, b), (p, q), (s > 0, t > 0), alike)


def correlations(ours: Floats32, theirs: Floats32) -> Floats:
    """Pearson's correlation of the maps of each film, (n, f, h, w) twice → (n,); NaN where one is constant."""
    a, b = (maps.reshape(len(maps), -1).astype(np.float64) for maps in (ours, theirs))
    a, b = (flat - flat.mean(axis=1, keepdims=True) for flat in (a, b))
    spread = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    result: Floats = np.divide((a * b).sum(axis=1), spread, out=np.full(len(a), np.nan), where=spread > 0)
    return result


def _flips(pair: _Pair, card: Card) -> tuple[Flip, ...]:
    ours, theirs = (calls(card, chances.astype(np.float32)) for chances in pair.probabilities)
    labels, called = pair.films.label_array(), (ours != theirs).any(axis=1)
    return tuple(
        Flip(
            film=pair.films.samples[row].name,
            what="called" if called[row] else "uncertain",
            label=_words(card, labels[row]),
            source=tuple(pair.probabilities[0][row].tolist()),
            export=tuple(pair.probabilities[1][row].tolist()),
        )
        for row in np.flatnonzero(called | (pair.sure[0] != pair.sure[1]))
    )


def _words(card: Card, label: Ints) -> str:
    if card.task == "multilabel":
        return "|".join(name for name, on in zip(card.labels, label, strict=True) if on)
    return card.labels[int(label)]


def _parity(pair: _Pair, card: Card, data: str, flips: tuple[Flip, ...]) -> Parity:
    away = np.abs(pair.logits[0] - pair.logits[1])
    known = pair.correlations[~np.isnan(pair.correlations)]
    truth = one_vs_rest(pair.films.label_array(), card.task, card.findings)
    return Parity(
        data=data,
        films=len(pair.films),
        logit_mean=float(away.mean()),
        logit_max=float(away.max()),
        map_correlation=float(known.min()) if len(known) else None,
        flips=sum(flip.what == "called" for flip in flips),
        uncertain_flips=sum(flip.what == "uncertain" for flip in flips),
        auroc_source=_auroc(truth, pair.probabilities[0]),
        auroc_export=_auroc(truth, pair.probabilities[1]),
    )


def _auroc(truth: Bools, scores: Floats) -> float | None:
    """Mean over the findings with films of both labels; None without such a finding."""
    both = [k for k in range(truth.shape[1]) if 0 < truth[:, k].sum() < len(truth)]
    return float(np.mean([auroc(truth[:, k], scores[:, k]) for k in both])) if both else None
