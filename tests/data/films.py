"""Films whose acquisition is known."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from lucency.data.acquisition import SIDE
from lucency.data.dataset import Dataset, Sample
from lucency.film import Film

Pixels = NDArray[np.uint8]


def chest(seed: int, sharp: float = 1.0, level: float = 0.0) -> Pixels:
    """Something with shapes of every size, uint8 (SIDE, SIDE); `sharp` scales its fine detail, `level` its gray."""
    rng = np.random.default_rng(seed)
    coarse = ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), 20)
    fine = ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), 1.5)
    gray = 120 + level + 25 * coarse / coarse.std() + 8 * sharp * fine / fine.std()
    return gray.clip(20, 235).astype(np.uint8)


def lettered(square: Pixels, where: tuple[int, int], text: str = "R") -> Pixels:
    """The film with a letter burnt in upon flat gray, as in its dark corners."""
    image = Image.fromarray(square.copy())
    draw = ImageDraw.Draw(image)
    left, top = where
    draw.rectangle((left - 8, top - 8, left + 24, top + 26), fill=40)
    draw.text((left, top), text, fill=250, font_size=16)
    return np.array(image)


def as_films(pixels: list[Pixels], labels: list[int], source: str = "test") -> Dataset:
    """A data set in memory, a film a patient."""
    names = [f"{'normal' if label == 0 else 'ill'}/film-{number}" for number, label in enumerate(labels)]
    records = tuple(
        Sample(name, label, partial(Film, square, name), patient=name)
        for name, square, label in zip(names, pixels, labels, strict=True)
    )
    return Dataset(("normal", "pneumonia"), records, source=source)
