"""A batch of square films seen through jitter: `lucency.data.augment.apply`, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import radians

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lucency.data.augment import EDGE, MIDDLE, Jitter, kept_box
from lucency.train.seen.clahe import clahe
from lucency.train.seen.matrices import blurring, both, resizing, through, triangle
from lucency.train.seen.reacquire import looked_up, whole


def seen_through(jitters: Sequence[Jitter], films: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Square films, each through its jitter; `noise_seed` does not count here.

    Args:
        jitters: b of them.
        films: float32 (b, s, s), whole gray levels.
        side: pixels along the square that the network sees.
        generator: draws the noise.

    Returns:
        float32 (b, side, side), whole gray levels.
    """
    device = films.device

    def column(name: str) -> Tensor:
        return torch.tensor([getattr(jitter, name) for jitter in jitters], dtype=torch.float32, device=device)

    if any(jitter.levels for jitter in jitters):
        same = bytes(range(256))
        levels = np.frombuffer(b"".join(jitter.levels or same for jitter in jitters), np.uint8).reshape(-1, 256)
        films = looked_up(films, torch.tensor(levels, dtype=torch.float32, device=device))
    films = _evened(films, column("clahe"))
    films = _edged(films, column("sharpness"))
    films = _turned(films, column("turn"))
    shown = _resized(films, jitters, side)
    shown = _erased(shown, jitters)
    shown = _toned(shown, column("gamma"), column("contrast"), column("brightness"))
    grain = column("noise")
    if not bool((grain > 0).any()):
        return shown
    return whole(shown + grain[:, None, None] * torch.randn(shown.shape, generator=generator, device=device))


def _evened(films: Tensor, limit: Tensor) -> Tensor:
    """Contrast evened out part by part where the limit, (b,), is not 0."""
    (those,) = torch.nonzero(limit, as_tuple=True)
    return films.index_copy(0, those, clahe(films[those], limit[those])) if len(those) else films


def _edged(films: Tensor, sharpness: Tensor) -> Tensor:
    """Below 0 blurred, above 0 masked unsharply, (b,)."""
    if not bool((sharpness != 0).any()):
        return films
    raised = sharpness > 0
    sigma = torch.where(raised, torch.full_like(sharpness, EDGE), -sharpness)
    soft = both(blurring(sigma, films.shape[1]), films)
    share = torch.where(raised, sharpness, -torch.ones_like(sharpness))[:, None, None]
    return whole(films + share * (films - soft))


def _turned(films: Tensor, degrees: Tensor) -> Tensor:
    """Turned counter-clockwise about the middle; what comes from beyond the film is black."""
    if not bool((degrees != 0).any()):
        return films
    angle = degrees * radians(1)
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
    back = torch.stack([torch.stack([cos, -sin, none], 1), torch.stack([sin, cos, none], 1)], 1)
    places = functional.affine_grid(back, [len(films), 1, *films.shape[1:]], align_corners=False)
    return whole(functional.grid_sample(films[:, None], places, align_corners=False)[:, 0])


def _resized(films: Tensor, jitters: Sequence[Jitter], side: int) -> Tensor:
    """The part that each jitter keeps, as a square of `side` pixels."""
    size = films.shape[1]
    boxes = np.array([kept_box(jitter, size, size, "stretch") for jitter in jitters], dtype=np.float32)
    left, top, right, bottom = torch.tensor(boxes, device=films.device).unbind(1)
    rows, columns = resizing(top, bottom, size, side), resizing(left, right, size, side)
    pixels = [min(side, max(8, round(side * jitter.resample))) for jitter in jitters]
    if min(pixels) < side:
        fewer = through(torch.tensor(pixels, dtype=torch.float32, device=films.device), side, triangle)
        rows, columns = fewer @ rows, fewer @ columns
    return whole(rows @ films @ columns.transpose(1, 2))


def _erased(films: Tensor, jitters: Sequence[Jitter]) -> Tensor:
    side = films.shape[1]
    for film, jitter in zip(films, jitters, strict=True):
        for left, top, width, height, gray in jitter.erase:
            film[int(top * side) : int((top + height) * side), int(left * side) : int((left + width) * side)] = gray
    return films


def _toned(films: Tensor, gamma: Tensor, contrast: Tensor, brightness: Tensor) -> Tensor:
    levels = torch.arange(256, device=films.device) / 255
    curve = (255 * levels ** gamma[:, None] - MIDDLE) * contrast[:, None] + MIDDLE + brightness[:, None]
    return looked_up(films, curve)
