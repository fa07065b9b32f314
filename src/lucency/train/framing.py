"""Films cut before training, which draws the cut anew: where the frame lies, and what is in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lucency.data.augment import Box
from lucency.models.frame import Frame
from lucency.preprocess import Preprocess, crop_or_pad, resize
from lucency.progress import track

Pixels = NDArray[np.uint8]

BATCH = 64
"""Films in a forward pass; more only costs memory."""


def frames(frame: Frame, films: Sequence[Pixels], preprocess: Preprocess) -> tuple[Box, ...]:
    """Where the frame lies on each film, uint8 (h, w), prepared as the network will meet it."""
    found: list[list[float]] = []
    for gray in _batches(films, preprocess, "finding lungs"):
        with torch.inference_mode():
            found += frame.box(gray).tolist()
    return tuple((left, top, right, bottom) for left, top, right, bottom in found)


def cut(frame: Frame, squares: Sequence[Pixels], preprocess: Preprocess) -> tuple[Pixels, ...]:
    """What the network cuts out of prepared squares, rounded to bytes: uint8 (side, side) each."""
    found: list[Pixels] = []
    for gray in _batches(squares, preprocess, "cutting films"):
        with torch.inference_mode():
            found += [*frame(gray, frame.box(gray))[:, 0].round().to(torch.uint8).numpy()]
    return tuple(found)


def _batches(films: Sequence[Pixels], preprocess: Preprocess, doing: str) -> Iterator[Tensor]:
    """Films as the network takes them, float32 (b, 1, s, s)."""
    for start in track(range(0, len(films), BATCH), doing):
        some = films[start : start + BATCH]
        squares = np.stack([resize(crop_or_pad(film, preprocess.resize_mode), preprocess.image_size) for film in some])
        yield torch.from_numpy(squares[:, None].astype(np.float32))
