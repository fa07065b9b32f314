"""Films to measure on: files of a data set, or phantoms drawn for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from lucency.data.dataset import Dataset
from lucency.data.phantom import draw
from lucency.errors import SourceError
from lucency.progress import track

SIDE = 1024
"""Pixels of a drawn film, both ways."""
QUALITY = 90
"""Of its JPEG."""


def phantom_files(folder: Path, count: int) -> list[Path]:
    """Draw `count` phantoms into `folder` as gray JPEG films of 1024 × 1024 pixels."""
    files = []
    for number in track(range(count), "drawing films", count):
        film = draw((number,), ill=bool(number % 2)).film
        square = Image.fromarray(film).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        grainy = np.asarray(square, dtype=np.int16) + np.random.default_rng(number).integers(-3, 4, (SIDE, SIDE))
        files.append(folder / f"phantom-{number:04}.jpeg")
        Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(files[-1], quality=QUALITY)
    return files


def some_files(films: Dataset, count: int) -> list[Path]:
    """The files of at most `count` films, spread evenly over a data set.

    Raises:
        SourceError: no film has a file of its own.
    """
    paths = [record.path for record in films.samples if record.path is not None]
    if not paths:
        raise SourceError(f"{films.source}: expected films in files of their own to measure on, found none")
    step = max(1, len(paths) // count)
    return paths[::step][:count]
