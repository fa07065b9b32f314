"""How films become the numbers that a network learned from: what its file does not say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from lucency.data import Dataset
from lucency.data.decode import decode_each, require_readable
from lucency.errors import FilmError, UsageError
from lucency.evaluate.predictions import Task
from lucency.preprocess import RESIZE_MODES, Preprocess, ResizeMode
from lucency.progress import track

Triple = tuple[float, float, float]
Floats = NDArray[np.float32]
Logits = Callable[[str, NDArray[np.uint8]], Floats]
"""(a row of RANGES, squares uint8 (n, s, s)) → float32 (n, findings)."""

BYTES = "0..255"
HALF = (0.5, 0.5, 0.5)
RANGES: Mapping[str, tuple[Triple, Triple]] = {
    "0..1": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    BYTES: ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
    "-1..1": (HALF, HALF),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "caffe": ((103.939 / 255, 116.779 / 255, 123.68 / 255), (1 / 255, 1 / 255, 1 / 255)),
}
"""Name → (mean, std) of (gray / 255 - mean) / std. caffe: what Keras's VGG and ResNet were trained on."""
TRIED = 200
"""Films, at most, that each combination answers for."""


@dataclass(frozen=True)
class Tried:
    """One combination, and how well the network's answers fit the labels with it."""

    pixel_range: str
    resize_mode: ResizeMode
    log_likelihood: float
    """Mean over films of ln p(label); higher is better, ln(1/2) = -0.69 is a coin."""
    accuracy: float


def find_range(name: str) -> tuple[Triple, Triple]:
    """Mean and standard deviation of a range.

    Raises:
        UsageError: no such range.
    """
    if name not in RANGES:
        raise UsageError(f"--range: expected one of {', '.join(RANGES)}, received '{name}'")
    return RANGES[name]


def try_all(
    logits: Logits, side: int, films: Dataset, ranges: Sequence[str], modes: Sequence[ResizeMode] = RESIZE_MODES
) -> list[Tried]:
    """Every combination of range and resize mode, the most likely first.

    Args:
        logits: the network's answers to films in a range.
        side: of its input.
        films: labelled as the network's classes are numbered; some of each class suffice.
        ranges: names in RANGES.
        modes: how a film meets the square.

    Raises:
        SourceError: no film can be read.
    """
    some = films.subset(_spread(films.label_array(), TRIED))
    squares = {mode: _squares(some, Preprocess(side, mode)) for mode in modes}
    steps = (
        judge(name, mode, logits(name, squares[mode][0]), squares[mode][1], films.task)
        for name, mode in product(ranges, modes)
    )
    return sorted(track(steps, "trying", total=len(ranges) * len(modes)), key=lambda tried: -tried.log_likelihood)


def _spread(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` films, as many of each class as there are, evenly from first to last."""
    if labels.ndim != 1:
        return np.unique(np.linspace(0, len(labels) - 1, count).astype(np.int64))
    kinds = np.unique(labels)
    each = [np.flatnonzero(labels == kind) for kind in kinds]
    return np.sort(
        np.concatenate(
            [of[np.unique(np.linspace(0, len(of) - 1, count // len(kinds)).astype(np.int64))] for of in each]
        )
    )


def _squares(films: Dataset, preprocess: Preprocess) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    found = list(decode_each(films, preprocess))
    good = [index for index, square in enumerate(found) if not isinstance(square, FilmError)]
    require_readable(films, len(good), [square for square in found if isinstance(square, FilmError)])
    return np.stack([square for square in found if not isinstance(square, FilmError)]), films.label_array()[good]


def judge(name: str, mode: ResizeMode, logits: Floats, labels: NDArray[np.int64], task: Task) -> Tried:
    """How well logits (n, findings) fit the labels (n,), or (n, findings) of a multilabel task."""
    values = logits.astype(np.float64)
    if task == "multiclass":
        likely = (values - np.logaddexp.reduce(values, axis=1, keepdims=True))[np.arange(len(values)), labels]
        right = values.argmax(axis=1) == labels
    else:
        signed = values * (labels.reshape(len(labels), -1) * 2.0 - 1)
        likely, right = -np.logaddexp(0, -signed), signed > 0
    return Tried(name, mode, float(likely.mean()), float(right.mean()))
