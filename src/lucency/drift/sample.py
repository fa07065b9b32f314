"""What is measured of each film: what went in, how it lies, and what the network made of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from lucency.bundle import Card
from lucency.data.record import Films
from lucency.data.squares import attempts, require_some
from lucency.errors import FilmError
from lucency.film import Film
from lucency.progress import track
from lucency.reader import Answers, Reader
from lucency.reader.answers import standing

BATCH = 32
EDGE = 16
"""The border is one part in so many of the side."""
CELLS = 8
"""Rows and columns of the thumbnail."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """n films, measured."""

    groups: NDArray[np.int64]
    """(n,), films with the same number show the same patient."""
    numbers: dict[str, Floats]
    """Name -> (n,): one number a film."""
    vectors: dict[str, Floats]
    """Name -> (n, d): many numbers a film."""
    called: dict[str, float]
    """Label -> share of films called so; `uncertain` -> share not answered."""
    unreadable: tuple[FilmError, ...] = ()

    def __len__(self) -> int:
        return len(self.groups)


def sample(reader: Reader, films: Films, doing: str = "reading films") -> Sample:
    """Measure every film that can be read; labels are not needed and not looked at.

    Raises:
        SourceError: no film can be read.
    """

    def both(film: Film) -> tuple[float, NDArray[np.uint8]]:
        return film.width / film.height, reader.preprocess(film)

    good: list[int] = []
    unreadable: list[FilmError] = []
    aspects: list[float] = []
    squares: list[NDArray[np.uint8]] = []
    answers: list[Answers] = []
    outcomes = enumerate(track(attempts(films, both), doing, total=len(films)))
    while batch := list(islice(outcomes, BATCH)):
        unreadable += [outcome for _, outcome in batch if isinstance(outcome, FilmError)]
        usable = [(index, *outcome) for index, outcome in batch if not isinstance(outcome, FilmError)]
        if usable:
            good += [index for index, _, _ in usable]
            aspects += [aspect for _, aspect, _ in usable]
            squares.append(np.stack([square for _, _, square in usable]))
            answers.append(reader.read_batch(squares[-1]))
    require_some(films, len(good), unreadable)
    read = _joined(answers)
    looks = [looks_of(part) for part in squares]
    numbers = {"width / height": np.array(aspects)}
    numbers |= {name: np.concatenate([part[name] for part in looks]) for name in looks[0]}
    numbers |= _scores(reader.card, read)
    vectors = {
        "layout": np.concatenate([thumbnail(part) for part in squares]),
        "evidence map": read.maps.reshape(len(good), -1).astype(np.float64),
    }
    return Sample(films.pick(good).groups(), numbers, vectors, _called(reader.card, read), tuple(unreadable))


def some_patients(films: Films, most: int, seed: int = 0) -> Films:
    """At most about `most` films: whole patients, drawn; the order of the films stays."""
    groups = films.groups()
    order = np.random.default_rng(seed).permutation(int(groups.max(initial=-1)) + 1)
    total = np.cumsum(np.bincount(groups, minlength=len(order))[order])
    kept = order[: max(1, int(np.searchsorted(total, most, side="right")))]
    return films if len(films) <= most else films.pick(np.flatnonzero(np.isin(groups, kept)))


def looks_of(squares: NDArray[np.uint8]) -> dict[str, Floats]:
    """Of films (n, s, s): mean gray, contrast, sharpness (mean absolute Laplacian), gray of the border; each (n,)."""
    gray = squares.astype(np.float64)
    laplacian = (
        4 * gray[:, 1:-1, 1:-1] - gray[:, :-2, 1:-1] - gray[:, 2:, 1:-1] - gray[:, 1:-1, :-2] - gray[:, 1:-1, 2:]
    )
    edge = max(1, gray.shape[1] // EDGE)
    inner = np.zeros(gray.shape[1:], dtype=bool)
    inner[edge:-edge, edge:-edge] = True
    return {
        "mean gray": gray.mean(axis=(1, 2)),
        "contrast": gray.std(axis=(1, 2)),
        "sharpness": np.abs(laplacian).mean(axis=(1, 2)),
        "border gray": gray[:, ~inner].mean(axis=1),
    }


def thumbnail(squares: NDArray[np.uint8]) -> Floats:
    """Films (n, s, s) → (n, 64): mean gray of each cell, less the film's mean, over its spread (at least 4 levels)."""
    cell = squares.shape[1] // CELLS
    cut = squares[:, : cell * CELLS, : cell * CELLS].reshape(len(squares), CELLS, cell, CELLS, cell)
    small = cut.mean(axis=(2, 4)).reshape(len(squares), -1)
    centred = small - small.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(centred.std(axis=1, keepdims=True), 4.0))


def _scores(card: Card, read: Answers) -> dict[str, Floats]:
    labels = card.labels[-read.logits.shape[1] :]
    found = {f"score of {label}": read.logits[:, k].astype(np.float64) for k, label in enumerate(labels)}
    doubts = {f"doubt: {check.name}": read.doubts[:, k].astype(np.float64) for k, check in enumerate(card.gate.checks)}
    return {**found, **doubts}


def _called(card: Card, read: Answers) -> dict[str, float]:
    if card.task == "multiclass":
        places = read.probabilities.argmax(axis=1)
        shares = {label: float((places == k).mean()) for k, label in enumerate(card.labels)}
    else:
        on = read.probabilities >= np.float32(card.operating_point.threshold)
        names = card.labels[-on.shape[1] :]
        shares = {label: float(on[:, k].mean()) for k, label in enumerate(names)}
    if card.task == "multilabel":
        return shares
    return {**shares, "uncertain": float((~standing(card, read)).mean())}


def _joined(parts: list[Answers]) -> Answers:
    return Answers(
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.maps for part in parts]),
        np.concatenate([part.doubts for part in parts]),
    )
