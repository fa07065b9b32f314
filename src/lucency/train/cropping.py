"""Films cropped before training: where the network's own crop lies on each, and what is in it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from lucency.models.lung_crop import InputCrop
from lucency.progress import track

BATCH = 64
"""Films per forward pass."""


def find_boxes(frame: InputCrop, films: Tensor, size: int) -> Tensor:
    """float32 (n, 4): left, top, right, bottom of the crop of each film, uint8 (n, s, s), as shares of it.

    `size` is the side of the square that the network takes; films wait in memory at another one.
    """
    found = []
    for gray in _batches(films, "finding lungs"):
        if gray.shape[2] != size:
            gray = F.interpolate(gray, (size, size), mode="bilinear", antialias=True)
        with torch.inference_mode():
            found.append(frame.box(gray).expand(len(gray), -1))
    return torch.cat(found).clone()


def crop(frame: InputCrop, films: Tensor) -> Tensor:
    """What the network cuts out of prepared films, uint8 (n, s, s): uint8 (n, side, side)."""
    found = []
    for gray in _batches(films, "cropping films"):
        with torch.inference_mode():
            found.append(frame(gray, frame.box(gray))[:, 0].round().to(torch.uint8))
    return torch.cat(found).clone()


def _batches(films: Tensor, doing: str) -> Iterator[Tensor]:
    """Films as the network takes them, float32 (b, 1, s, s)."""
    for start in track(range(0, len(films), BATCH), doing):
        yield films[start : start + BATCH, None].float()
