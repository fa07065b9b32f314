"""What every import has in common: the options, the result, the films that decide, the card."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lucency import __version__
from lucency.bundle import Card, Model, OperatingPoint, Square, Training
from lucency.bundle.card import IMPORTED
from lucency.bundle.store import MAX_BYTES
from lucency.data import Dataset
from lucency.data.labels import matching
from lucency.errors import SourceError, UsageError, WeightsError
from lucency.files import sha256_bytes
from lucency.importing.input_range import RANGES, Logits, Tried, find_range, try_all
from lucency.importing.outputs import Outputs, flips
from lucency.preprocess import RESIZE_MODES, Preprocess, ResizeMode

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
