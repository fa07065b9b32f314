"""Data sets on disk whose faults are known, for the tests of the audit."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lucency.data.dataset import Dataset, Sample
from lucency.data.phantom import draw
from lucency.film import Film

SIDE = 128
COUNT = 240
"""Enough that the audit learns left from right."""


def write_clean(root: Path) -> Path:
    """Drawn chests as the Kaggle edition names its films, three in four to train, each patient on one side."""
    for number in range(COUNT):
        positive = number % 5 in (1, 3, 4)
        write(root / name(number, positive), draw((7, number), positive, SIDE).film)
    return root


def name(number: int, positive: bool) -> str:
    """Where film `number` lies."""
    split = "test" if number % 4 == 0 else "train"
    file = f"PNEUMONIA/person{number}_virus_{number}" if positive else f"NORMAL/IM-{number:04}-0001"
    return f"{split}/{file}.jpeg"


def write(path: Path, pixels: NDArray[np.uint8], quality: int = 90) -> None:
    """Write a film as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(pixels, quality))


def jpeg(pixels: NDArray[np.uint8], quality: int = 90) -> bytes:
    """Pixels as the content of a JPEG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def pixels_of(path: Path) -> NDArray[np.uint8]:
    """The decoded pixels of a picture."""
    return np.asarray(Image.open(path))


def films_of(
    pixels: list[NDArray[np.uint8]],
    labels: list[int],
    patients: list[str | None] | None = None,
    splits: list[str | None] | None = None,
) -> Dataset:
    """A data set in memory."""
    some = [None] * len(pixels)
    rows = zip(pixels, labels, patients or some, splits or some, strict=True)
    records = tuple(
        Sample(f"film{i}.png", label, Loaded(one, f"film{i}.png"), patient, split)
        for i, (one, label, patient, split) in enumerate(rows)
    )
    return Dataset(("normal", "pneumonia"), records, source="test")


class Loaded:
    """A film that needs no loading."""

    def __init__(self, pixels: NDArray[np.uint8], name: str) -> None:
        self.film = Film(pixels, name)

    def __call__(self) -> Film:
        return self.film
