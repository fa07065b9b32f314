"""A reader on films as they are and as they would be, acquired like others: what the shift costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lucency.data.acquisition import SIDE
from lucency.data.donors import Squares, Whose, as_another, donor_pools, draws
from lucency.data.reacquire import ALL, PARTS
from lucency.errors import UsageError
from lucency.evaluate.metrics import auroc
from lucency.evaluate.operating import by_sensitivity
from lucency.evaluate.predictions import Predictions
from lucency.evaluate.reliability import ece
from lucency.preprocess import Preprocess, fitted, resized
from lucency.progress import track
from lucency.reader import Reader

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

PLAIN = "plain"
TOGETHER = "all"
CONDITIONS: dict[str, tuple[str, ...]] = {PLAIN: (), **{name: (name,) for name in PARTS}, TOGETHER: ALL}
"""Condition -> the parts of acquisition that are swapped."""
FLOOR = 0.98
"""Sensitivity at which specificity is told; the threshold is chosen on plain films."""
BATCH = 64


@dataclass(frozen=True)
class Answers:
    """What a reader said of n films under one condition."""

    logits: Floats
    """(n,), before calibration."""
    probabilities: Floats
    """(n,), after it."""


@dataclass(frozen=True)
class Figures:
    """A reader under one condition. Thresholds are not chosen on re-acquired films."""

    condition: str
    auroc: float
    auroc_normals_moved: float
    """Re-acquired normals against plain pneumonias: what the official test is like."""
    specificity: float
    """At the threshold at which the plain films have a sensitivity of FLOOR."""
    sensitivity: float
    """At the same threshold."""
    accuracy: float
    """At the shipped threshold, 0.5 where none was chosen."""
    ece: float
    normal_shift: float
    """Mean change of the normals' logits against plain."""
    pneumonia_shift: float
    """The same for films with the finding."""


def ask(
    readers: Sequence[Reader], squares: Squares, whose: Whose = "other", seed: int = 0, only: Iterable[str] = CONDITIONS
) -> list[dict[str, Answers]]:
    """What each reader says under each condition: condition -> answers; PLAIN is always there, and first.

    Each film is re-acquired once for all readers.

    Raises:
        UsageError: an unknown condition.
        SourceError: a class has no film.
    """
    chosen = tuple(dict.fromkeys((PLAIN, *only)))
    if unknown := [name for name in chosen if name not in CONDITIONS]:
        raise UsageError(f"unknown condition '{unknown[0]}'; known are {', '.join(CONDITIONS)}")
    work = [(name, start) for name in chosen for start in range(0, len(squares), BATCH)]
    parts: list[dict[str, list[Answers]]] = [{name: [] for name in chosen} for _ in readers]
    for name, start in track(work, "reading re-acquired films"):
        indices = range(start, min(start + BATCH, len(squares)))
        films = reacquired(squares, indices, CONDITIONS[name], whose, seed)
        for reader, said in zip(readers, parts, strict=True):
            said[name].append(_answers(reader, films, squares))
    return [{name: _joined(some) for name, some in said.items()} for said in parts]


def _answers(reader: Reader, films: Sequence[tuple[Pixels, int]], squares: Squares) -> Answers:
    said = reader.read_batch(np.stack([seen(reader.preprocess, film, squares, index) for film, index in films]))
    return Answers(said.logits[:, 0].astype(np.float64), said.probabilities[:, 0].astype(np.float64))


def _joined(parts: Sequence[Answers]) -> Answers:
    logits, probabilities = ([getattr(part, name) for part in parts] for name in ("logits", "probabilities"))
    return Answers(np.concatenate(logits), np.concatenate(probabilities))


def reacquired(
    squares: Squares, indices: Iterable[int], parts: Sequence[str], whose: Whose, seed: int
) -> list[tuple[Pixels, int]]:
    """The films at `indices` as uint8 (SIDE, SIDE), each with its index. All parts give a film the same donor."""
    pools = donor_pools(squares.films, whose)
    found = []
    for index in indices:
        record = squares.films.records[index]
        assert isinstance(record.label, int)
        again = as_another(squares, index, pools[record.label], parts, draws(record.name, seed))
        found.append((again, index))
    return found


def seen(preprocess: Preprocess, square: Pixels, squares: Squares, index: int) -> Pixels:
    """A square as the reader's network sees it, uint8 (side, side)."""
    ratio = squares.stored[index]
    if preprocess.fit != "stretch" and ratio != 1.0:  # give it the shape of a film again, for the reader to crop or pad
        size = (round(SIDE * ratio), SIDE) if ratio > 1 else (SIDE, round(SIDE / ratio))
        square = np.array(Image.fromarray(square).resize(size, Image.Resampling.BILINEAR))
    return resized(fitted(square, preprocess.fit), preprocess.side)


def figures(answers: dict[str, Answers], labels: NDArray[np.int64], shipped: float) -> tuple[Figures, ...]:
    """Figures of every condition.

    Args:
        answers: condition -> answers; holds PLAIN.
        labels: int64 (n,), 0 or 1.
        shipped: the threshold on the card.
    """
    plain = answers[PLAIN]
    at = by_sensitivity(_predictions(plain, labels), FLOOR).threshold
    return tuple(_figures(name, said, plain, labels == 1, at, shipped) for name, said in answers.items())


def _figures(name: str, said: Answers, plain: Answers, ill: NDArray[np.bool_], at: float, shipped: float) -> Figures:
    called, moved = said.probabilities >= at, said.logits - plain.logits
    return Figures(
        condition=name,
        auroc=auroc(ill, said.logits),
        auroc_normals_moved=auroc(ill, np.where(ill, plain.logits, said.logits)),
        specificity=float((~called[~ill]).mean()),
        sensitivity=float(called[ill].mean()),
        accuracy=float(((said.probabilities >= shipped) == ill).mean()),
        ece=ece(ill, said.probabilities),
        normal_shift=float(moved[~ill].mean()),
        pneumonia_shift=float(moved[ill].mean()),
    )


def _predictions(said: Answers, labels: NDArray[np.int64]) -> Predictions:
    names = tuple(map(str, range(len(labels))))
    columns = (said.logits[:, None], said.probabilities[:, None])
    return Predictions(names, (None,) * len(labels), labels, *columns, ("without", "with"))
