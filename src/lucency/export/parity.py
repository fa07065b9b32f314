"""Parity: over a whole data set, a run's answers against those of a file exported from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lucency.bundle import Card, Parity
from lucency.data.dataset import Dataset
from lucency.data.decode import decode_each, require_readable
from lucency.errors import BundleError, FilmError
from lucency.evaluate.calibrate import truths
from lucency.evaluate.metrics import auroc
from lucency.progress import track
from lucency.reader import Reader
from lucency.reader.outputs import accepted
from lucency.reader.predict import as_labelled

BATCH = 32
"""Films asked at once."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Flip:
    """A film on which the two differ."""

    film: str
    what: Literal["called", "uncertain"]
    """Whether they call it differently, or only one of them is uncertain of it."""
    label: str
    """What it is, by the data set."""
    source: tuple[float, ...]
    """The run's probabilities."""
    export: tuple[float, ...]
    """The export's."""


@dataclass(frozen=True)
class Comparison:
    """Everything that parity found."""

    parity: Parity
    """What is written into the card."""
    flips: tuple[Flip, ...]
    unreadable: tuple[FilmError, ...]


@dataclass(frozen=True)
class _Pair:
    """Both answers for the films that could be read, n of them."""

    films: Dataset
    logits: tuple[Floats, Floats]
    """Source and export, each (n, f)."""
    probabilities: tuple[Floats, Floats]
    stands: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    """Whether each stands by what it calls, (n,)."""
    correlations: Floats
    """(n,), of the two maps of each film; NaN where one is constant."""


def compare(source: Reader, export: Reader, films: Dataset, data: str) -> Comparison:
    """Ask both about every film.

    Args:
        source: an open run.
        export: an open bundle exported from it.
        films: labelled as their cards label them.
        data: which films these are, in words, for the card.

    Raises:
        BundleError: the bundle was not exported from this run.
        SourceError: other labels, or no film can be read.
    """
    require_same(source, export)
    unreadable: list[FilmError] = []
    pair = _ask(source, export, as_labelled(films, source.card.labels), unreadable)
    flips = _flips(pair, source.card)
    return Comparison(_parity(pair, source.card, data, flips), flips, tuple(unreadable))


def require_same(source: Reader, export: Reader) -> None:
    """Refuse a bundle that was not exported from this run.

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
        raise BundleError(f"{export.bundle.path}: prepares films otherwise than {source.bundle.path}; export it again")


def _ask(source: Reader, export: Reader, films: Dataset, unreadable: list[FilmError]) -> _Pair:
    good: list[int] = []
    columns: list[tuple[NDArray[Any], ...]] = []
    for places, squares in _batches(films, source, unreadable):
        ours, theirs = source.read_batch(squares), export.read_batch(squares)
        good += places
        told = [(found.logits, found.probabilities, accepted(source.card, found)) for found in (ours, theirs)]
        columns.append((*told[0], *told[1], correlations(ours.maps, theirs.maps)))
    require_readable(films, len(good), unreadable)
    a, p, s, b, q, t, alike = (np.concatenate(column).astype(np.float64) for column in zip(*columns, strict=True))
    return _Pair(films.subset(good), (a, b), (p, q), (s > 0, t > 0), alike)


def _batches(
    films: Dataset, reader: Reader, unreadable: list[FilmError]
) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """(indices, squares) of the readable films, some at a time; the others' errors go to `unreadable`."""
    outcomes = enumerate(track(decode_each(films, reader.preprocess), "comparing films", total=len(films)))
    while batch := list(islice(outcomes, BATCH)):
        unreadable += [outcome for _, outcome in batch if isinstance(outcome, FilmError)]
        good = [(place, outcome) for place, outcome in batch if not isinstance(outcome, FilmError)]
        if good:
            yield [place for place, _ in good], np.stack([square for _, square in good])


def correlations(ours: NDArray[np.floating], theirs: NDArray[np.floating]) -> Floats:
    """Pearson's correlation of the maps of each film, (n, f, h, w) twice → (n,); NaN where one is constant."""
    a, b = (maps.reshape(len(maps), -1).astype(np.float64) for maps in (ours, theirs))
    a, b = (flat - flat.mean(axis=1, keepdims=True) for flat in (a, b))
    spread = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    result: Floats = np.divide((a * b).sum(axis=1), spread, out=np.full(len(a), np.nan), where=spread > 0)
    return result


def _flips(pair: _Pair, card: Card) -> tuple[Flip, ...]:
    ours, theirs = (verdicts(chances, card) for chances in pair.probabilities)
    labels, called = pair.films.label_array(), (ours != theirs).any(axis=1)
    return tuple(
        Flip(
            film=pair.films.samples[row].name,
            what="called" if called[row] else "uncertain",
            label=_words(card, labels[row]),
            source=tuple(pair.probabilities[0][row].tolist()),
            export=tuple(pair.probabilities[1][row].tolist()),
        )
        for row in np.flatnonzero(called | (pair.stands[0] != pair.stands[1]))
    )


def verdicts(probabilities: Floats, card: Card) -> NDArray[np.int64]:
    """What is called at the card's operating point: (n, f) of 0 and 1, or (n, 1) class indices of several classes."""
    if card.task == "multiclass":
        return np.asarray(probabilities.argmax(axis=1, keepdims=True), dtype=np.int64)
    return (probabilities >= card.operating_point.threshold).astype(np.int64)


def _words(card: Card, label: NDArray[np.int64]) -> str:
    if card.task == "multilabel":
        return "|".join(name for name, on in zip(card.labels, label, strict=True) if on)
    return card.labels[int(label)]


def _parity(pair: _Pair, card: Card, data: str, flips: tuple[Flip, ...]) -> Parity:
    away = np.abs(pair.logits[0] - pair.logits[1])
    known = pair.correlations[~np.isnan(pair.correlations)]
    truth = truths(pair.films.label_array(), card.task, card.findings)
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


def _auroc(truth: NDArray[np.bool_], scores: Floats) -> float | None:
    """Mean over the findings that some films have and some have not; None where there is no such finding."""
    both = [k for k in range(truth.shape[1]) if 0 < truth[:, k].sum() < len(truth)]
    return float(np.mean([auroc(truth[:, k], scores[:, k]) for k in both])) if both else None
