"""What every import has in common: the result, the films that decide, the card."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lucency import __version__
from lucency.bundle import Card, Model, OperatingPoint, Square, Training
from lucency.bundle.card import IMPORTED
from lucency.data import Dataset
from lucency.data.labels import matching
from lucency.errors import SourceError
from lucency.files import sha256_file
from lucency.importing.input_range import Logits, Tried, try_all
from lucency.importing.outputs import Outputs
from lucency.preprocess import RESIZE_MODES, Preprocess, ResizeMode

CLASSES = ("NORMAL", "PNEUMONIA")
LIMITS = (
    "Research use only; not a medical device.",
    "Trained elsewhere: on which films is not known here, so figures on them may flatter.",
)


@dataclass(frozen=True)
class Imported:
    """What was imported, and how it was understood."""

    path: Path
    card: Card
    says: tuple[str, ...]
    """How the file was read, a sentence each."""
    tried: tuple[Tried, ...] = ()
    """Combinations of range and resize mode, the most likely first, where labelled films were given."""


def tried_on(
    films: Dataset | None,
    labels: tuple[str, ...],
    logits: Logits,
    side: int,
    ranges: Sequence[str],
    mode: ResizeMode | None,
) -> list[Tried]:
    """Each range and resize mode left open, tried on labelled films; nothing without films.

    Raises:
        SourceError: their labels are not those of the network, or no film can be read.
    """
    if films is None:
        return []
    places = matching(films.labels, labels, films.finding)
    if places is None:
        raise SourceError(f"{films.source}: expected the labels {', '.join(labels)}, found {', '.join(films.labels)}")
    return try_all(logits, side, films.with_labels(labels, places), ranges, [mode] if mode else RESIZE_MODES)


def card_of(
    source: Path, outputs: Outputs, model: Model, preprocess: Preprocess, pixel_range: str, versions: Mapping[str, str]
) -> Card:
    """The card of an imported network."""
    return Card(
        name=source.stem,
        task=outputs.task,
        labels=outputs.labels,
        preprocess=Square(image_size=preprocess.image_size, resize_mode=preprocess.resize_mode),
        model=model,
        operating_point=OperatingPoint(chosen_by="default"),
        training=Training(
            recipe={"imported": {"file": source.name, "sha256": sha256_file(source), "range": pixel_range}},
            source=IMPORTED,
            versions={"lucency": __version__, "python": platform.python_version(), **versions},
        ),
        limits=LIMITS,
        licence="Not stated by the file.",
    )
