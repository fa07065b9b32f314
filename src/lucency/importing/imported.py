"""What every import has in common: the options, the result, the card, and what the network's file does not say.

How films become the numbers that it learned from, and what its outputs say of the classes, is decided by labelled films
or stated by hand.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lucency import __version__
from lucency.bundle import Card, Model, OperatingPoint, Square, Training
from lucency.bundle.card import IMPORTED, Task
from lucency.bundle.store import MAX_BYTES
from lucency.data import Dataset
from lucency.data.dataset import decode_each, require_readable
from lucency.data.labels import fold, in_order, matching
from lucency.errors import FilmError, SourceError, UsageError, WeightsError
from lucency.files import sha256_bytes
from lucency.preprocess import RESIZE_MODES, Preprocess, ResizeMode
from lucency.progress import track


@dataclass(frozen=True)
class Outputs:
    """What the logits mean."""

    task: Task
    labels: tuple[str, ...]
    fold: NDArray[np.float32]
    """(findings, units): from the network's own last values to ours."""
    says: str
    """How the outputs were read, in words."""


def read_outputs(last: str | None, units: int, classes: Sequence[str], flip: bool) -> Outputs:
    """What `units` values that end in the activation `last` say of the classes.

    Raises:
        UsageError: not as many classes as outputs, or outputs that say nothing.
    """
    one, labels = units == 1, tuple(classes)
    if last == "softmax" and one:
        raise UsageError("the network's one output is a softmax, which is 1 for every film; it cannot be used")
    if len(labels) != (2 if one else units):
        raise UsageError(f"--classes: the network has {units} output{'s' * (not one)}, {len(labels)} classes are named")
    if len(labels) > 2:
        task: Task = "multilabel" if last == "sigmoid" else "multiclass"
        return Outputs(task, labels, np.eye(units, dtype=np.float32), f"{units} outputs, {last or 'logits'}: {task}")
    fold = np.array([[1.0]] if one else [[0.0, 1.0]] if last == "sigmoid" else [[-1.0, 1.0]], np.float32)
    if flip:
        fold = -fold if one or last != "sigmoid" else np.array([[1.0, 0.0]], np.float32)
        labels = labels[::-1]
    kind = last or "logits, no activation"
    return Outputs("binary", labels, fold, f"{units} output{'s' * (not one)}, {kind}: the probability of {labels[1]}")


def flips(classes: Sequence[str], finding: str | None) -> bool:
    """Whether the first of two classes is the finding."""
    names = [fold(name) for name in classes]
    if len(set(names)) != len(names) or not all(names):
        raise UsageError(f"--classes: expected different names, received {', '.join(classes) or 'none'}")
    if finding is not None:
        if len(classes) != 2 or fold(finding) not in names:
            raise UsageError(f"--finding: expected one of two classes, {', '.join(classes)}; received '{finding}'")
        return names.index(fold(finding)) == 0
    return len(classes) == 2 and in_order(classes) != tuple(classes) and in_order(classes) == tuple(classes[::-1])


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
        fit_to_labels(name, mode, logits(name, squares[mode][0]), squares[mode][1], films.task)
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


def fit_to_labels(name: str, mode: ResizeMode, logits: Floats, labels: NDArray[np.int64], task: Task) -> Tried:
    """How well logits (n, findings) fit the labels (n,), or (n, findings) of a multilabel task."""
    values = logits.astype(np.float64)
    if task == "multiclass":
        likely = (values - np.logaddexp.reduce(values, axis=1, keepdims=True))[np.arange(len(values)), labels]
        right = values.argmax(axis=1) == labels
    else:
        signed = values * (labels.reshape(len(labels), -1) * 2.0 - 1)
        likely, right = -np.logaddexp(0, -signed), signed > 0
    return Tried(name, mode, float(likely.mean()), float(right.mean()))


CLASSES = ("NORMAL", "PNEUMONIA")
LIMITS = (
    "Research use only; not a medical device.",
    "Trained elsewhere: on which films is not known here, so figures on them may flatter.",
)


@dataclass(frozen=True)
class ImportOptions:
    """What a file does not say of its network.

    Raises:
        UsageError: no row of RANGES, classes alike, or a finding that is none of them.
    """

    classes: tuple[str, ...] = CLASSES
    """Names of the outputs in their order; of one sigmoid unit (0, 1)."""
    pixel_range: str | None = None
    """A row of RANGES; None where a Keras network rescales by itself, or with `films`."""
    resize_mode: ResizeMode | None = None
    """Stretch by default, or chosen by `films`."""
    image_size: int | None = None
    """Of the input, where the file leaves it open."""
    films: Dataset | None = None
    """Labelled; every combination left open is tried on them."""
    finding: str | None = None
    """The class that is the finding, where the names do not tell."""
    activation: str | None = None
    """That a .onnx or .tflite network ends in; by default found by its answers to noise."""
    tensorflow: Path | str | None = None
    """A Python that has TensorFlow, for a SavedModel; by default this one."""
    replace: bool = False
    """Write over a run that is there."""

    def __post_init__(self) -> None:
        if self.pixel_range is not None:
            find_range(self.pixel_range)
        flips(self.classes, self.finding)

    @property
    def flip(self) -> bool:
        """Whether the first of two classes is the finding."""
        return flips(self.classes, self.finding)


@dataclass(frozen=True)
class Imported:
    """What was imported, and how it was understood."""

    path: Path
    card: Card
    says: tuple[str, ...]
    """How the file was read, a sentence each."""
    tried: tuple[Tried, ...] = ()
    """Combinations of range and resize mode, the most likely first, where labelled films were given."""


@dataclass(frozen=True)
class Input:
    """What films become before a network."""

    pixel_range: str
    resize_mode: ResizeMode
    tried: tuple[Tried, ...]
    says: str


def read_model(path: Path) -> bytes:
    """The content of a model file.

    Raises:
        WeightsError: it cannot be read, or is too large.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise WeightsError(f"{path}: expected at most {MAX_BYTES >> 20} MB, came {path.stat().st_size >> 20}")
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error


def choose_input(
    path: Path, options: ImportOptions, labels: tuple[str, ...], logits: Logits, side: int, own: str | None = None
) -> Input:
    """Range and resize mode as given, as the network has its `own`, or as most likely on labelled films.

    Raises:
        UsageError: neither is known.
        SourceError: the films' labels are not those of the network, or no film can be read.
    """
    known, mode = options.pixel_range or own, options.resize_mode
    tried: list[Tried] = []
    if options.films is not None:
        films = _with_labels(options.films, labels)
        tried = try_all(logits, side, films, [known] if known else list(RANGES), [mode] if mode else RESIZE_MODES)
        known, mode = tried[0].pixel_range, tried[0].resize_mode
    if known is None:
        raise UsageError(
            f"{path}: the file does not say which numbers its pixels become; say so with --range "
            f"{'|'.join(RANGES)}, or give labelled films with --data, and each is tried"
        )
    why = f"as most likely: {tried[0].log_likelihood:.3f} a film" if tried else ""
    why = "as given" if options.pixel_range else ", which the network rescales by itself" if own else why
    mode = mode or "stretch"
    return Input(known, mode, tuple(tried), f"pixels {known} {why}, resize {mode}".replace(" ,", ","))


def _with_labels(films: Dataset, labels: tuple[str, ...]) -> Dataset:
    places = matching(films.labels, labels, films.finding)
    if places is None:
        raise SourceError(f"{films.source}: expected the labels {', '.join(labels)}, found {', '.join(films.labels)}")
    return films.with_labels(labels, places)


def card_of(
    source: Path,
    content: bytes,
    outputs: Outputs,
    model: Model,
    preprocess: Preprocess,
    pixel_range: str,
    versions: Mapping[str, str],
) -> Card:
    """The card of an imported network; `content` is what `source` holds, or was converted to."""
    return Card(
        name=source.stem,
        task=outputs.task,
        labels=outputs.labels,
        preprocess=Square(image_size=preprocess.image_size, resize_mode=preprocess.resize_mode),
        model=model,
        operating_point=OperatingPoint(chosen_by="default"),
        training=Training(
            recipe={"imported": {"file": source.name, "sha256": sha256_bytes(content), "range": pixel_range}},
            source=IMPORTED,
            versions={"lucency": __version__, "python": platform.python_version(), **versions},
        ),
        limits=LIMITS,
        licence="Not stated by the file.",
    )
