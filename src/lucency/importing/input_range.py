"""How films become the numbers that a network learned from: what its file does not say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from lucency.data import Dataset
from lucency.data.decode import decode_each, require_readable
from lucency.errors import FilmError, UsageError
from lucency.evaluate.predictions import Task
from lucency.importing.assemble import with_range
from lucency.models import HALF, IMAGENET_MEAN, IMAGENET_STD, Classifier, Triple
from lucency.preprocess import RESIZE_MODES, Preprocess, ResizeMode
from lucency.progress import track

BYTES = "0..255"
RANGES: Mapping[str, tuple[Triple, Triple]] = {
    "0..1": ((0.0,) * 3, (1.0,) * 3),
    BYTES: ((0.0,) * 3, (1 / 255,) * 3),
    "-1..1": (HALF, HALF),
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "caffe": ((103.939 / 255, 116.779 / 255, 123.68 / 255), (1 / 255,) * 3),
}
"""Name → (mean, std) of (gray / 255 - mean) / std. caffe: what Keras's VGG and ResNet were trained on."""
TRIED = 200
"""Films, at most, that each combination answers for."""
BATCH = 16


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
    classifier: Classifier, side: int, films: Dataset, ranges: Sequence[str], modes: Sequence[ResizeMode] = RESIZE_MODES
) -> list[Tried]:
    """Every combination of range and resize mode, the most likely first.

    Args:
        classifier: with nothing but its own rescaling; left as it is.
        side: of its input.
        films: labelled as the network's classes are numbered; some of each class suffice.
        ranges: names in RANGES.
        modes: how a film meets the square.

    Raises:
        SourceError: no film can be read.
    """
    some = films.subset(_spread(films.label_array(), TRIED))
    steps = track(_each(classifier, side, some, ranges, modes), "trying", total=len(ranges) * len(modes))
    return sorted(steps, key=lambda tried: -tried.log_likelihood)


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


def _each(
    classifier: Classifier, side: int, films: Dataset, ranges: Sequence[str], modes: Sequence[ResizeMode]
) -> Iterator[Tried]:
    own = classifier.scale.clone(), classifier.shift.clone()
    squares = {mode: _squares(films, Preprocess(side, mode)) for mode in modes}
    for name, mode in product(ranges, modes):
        with_range(classifier, *RANGES[name])
        try:
            yield _judge(classifier, name, mode, *squares[mode], films.task)
        finally:
            with torch.no_grad():
                classifier.scale.copy_(own[0])
                classifier.shift.copy_(own[1])


def _squares(films: Dataset, preprocess: Preprocess) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    found = list(decode_each(films, preprocess))
    good = [index for index, square in enumerate(found) if not isinstance(square, FilmError)]
    require_readable(films, len(good), [square for square in found if isinstance(square, FilmError)])
    return np.stack([square for square in found if not isinstance(square, FilmError)]), films.label_array()[good]


def _judge(
    classifier: Classifier,
    name: str,
    mode: ResizeMode,
    squares: NDArray[np.uint8],
    labels: NDArray[np.int64],
    task: Task,
) -> Tried:
    with torch.inference_mode():
        logits = torch.cat(
            [
                classifier(torch.from_numpy(squares[start : start + BATCH, None].astype(np.float32)))
                for start in range(0, len(squares), BATCH)
            ]
        ).double()
    wanted = torch.from_numpy(labels)
    if task == "multiclass":
        likely = torch.log_softmax(logits, 1).gather(1, wanted[:, None])
        right = logits.argmax(1) == wanted
    else:
        signs = wanted.reshape(len(wanted), -1) * 2.0 - 1
        likely = torch.nn.functional.logsigmoid(logits * signs)
        right = logits * signs > 0
    return Tried(name, mode, float(likely.mean()), float(right.double().mean()))
