"""Evidence in logits → one of 255 levels → a colour that keeps its order in gray and for the colour-blind."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lucency.errors import ExplainError

Map = NDArray[np.float32]
"""float32 (h, w), signed: above zero speaks for the finding, below zero against it."""

LIMIT = 10.0
"""Logits at which colours saturate unless told otherwise. The same for every film, so that two films compare."""

UNSEEN, ZERO, TOP = 0, 128, 255
"""Levels: no evidence known here (outside what the network saw); none either way; as much as the scale can show."""

AGAINST, NEITHER, FOR = (8, 40, 110), (134, 134, 134), (255, 222, 70)
"""Dark blue → middle gray → bright yellow. Lightness rises all the way, so a gray print keeps the order; blue and
yellow are what red-green blindness leaves apart. Red minus blue rises all the way too: over any gray film, that
difference is the evidence and nothing else."""

COVER = 0.72
"""Share of the film's own gray that the strongest evidence hides in an overlay."""


def levels(values: NDArray[np.floating], limit: float = LIMIT) -> NDArray[np.uint8]:
    """Evidence to levels: 128 + round(127 · clip(v / limit, -1, 1)); more evidence never gets a lower level.

    Args:
        values: logits, any shape.
        limit: logits at which the scale ends, both ways.

    Raises:
        ExplainError: a value is not a number or infinite, or the limit is not above zero.
    """
    if not (math.isfinite(limit) and limit > 0):
        raise ExplainError(f"the scale of a map must end above zero, got {limit}; give --scale a number of logits")
    if not np.isfinite(values).all():
        raise ExplainError(
            "the map holds values that are not numbers (NaN or infinite): the network's weights or the film are "
            "broken; nothing is drawn"
        )
    # In single precision and in place: this passes over every pixel of the film.
    level = np.array(values, dtype=np.float32)
    level /= limit
    np.clip(level, -1.0, 1.0, out=level)
    level *= TOP - ZERO
    np.rint(level, out=level)
    level += ZERO
    return level.astype(np.uint8)


def ramp() -> NDArray[np.uint8]:
    """The colour of each level, uint8 (256, 3); level 0 (not seen) is white, a colour no evidence has."""
    share = (np.arange(256) - ZERO) / (TOP - ZERO)
    anchors = np.array([AGAINST, NEITHER, FOR], dtype=np.float64)
    colours = np.stack([np.interp(share, [-1.0, 0.0, 1.0], channel) for channel in anchors.T], axis=1)
    colours[UNSEEN] = 255
    return np.asarray(np.rint(colours), dtype=np.uint8)


def cover() -> list[int]:
    """How much of the film each level hides in an overlay, 0 to 255: nothing at zero, COVER at either end."""
    share = np.abs(np.arange(256) - ZERO) / (TOP - ZERO)
    share[UNSEEN] = 0.0
    return [int(value) for value in np.rint(255 * COVER * share)]


def coloured(level: Image.Image) -> Image.Image:
    """An image of levels (mode L) in colour (mode RGB)."""
    picture = level.copy()
    picture.putpalette(ramp().tobytes())
    return picture.convert("RGB")


def blended(film: Image.Image, level: Image.Image) -> Image.Image:
    """A gray film (mode L) under an image of levels of the same size, RGB; without evidence, the film itself."""
    return Image.composite(coloured(level), film.convert("RGB"), level.point(cover()))
