"""CLAHE of a batch of square films: `lucency.data.clahe`, many at once, each with a limit of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from lucency.data.clahe import TILES
from lucency.train.seen.reacquire import whole


def clahe(films: Tensor, limit: Tensor) -> Tensor:
    """Even the contrast of films out.

    Args:
        films: float32 (b, s, s), whole gray levels; s is a multiple of TILES.
        limit: float32 (b,), 1 or more.

    Returns:
        float32 (b, s, s), whole gray levels.
    """
    count, side = films.shape[:2]
    gray = films.long()
    curves = _curves(gray, limit).reshape(count, -1)
    places = (torch.arange(side, device=films.device) + 0.5) * TILES / side - 0.5
    before = places.floor()
    first, second = (part.clamp(0, TILES - 1).long() for part in (before, before + 1))
    share = places - before

    def through(rows: Tensor, columns: Tensor) -> Tensor:
        part = rows[:, None] * TILES + columns[None]
        return curves.gather(1, (part * 256 + gray).flatten(1)).reshape(films.shape)

    upper = torch.lerp(through(first, first), through(first, second), share[None, None])
    lower = torch.lerp(through(second, first), through(second, second), share[None, None])
    return whole(torch.lerp(upper, lower, share[None, :, None]))


def _curves(gray: Tensor, limit: Tensor) -> Tensor:
    """(b, TILES², 256): the gray level that each becomes in each part."""
    count, size = len(gray), gray.shape[1] // TILES
    parts = gray.reshape(count, TILES, size, TILES, size).transpose(2, 3).reshape(count, TILES * TILES, -1)
    counts = torch.zeros((count, TILES * TILES, 256), device=gray.device)
    counts.scatter_add_(2, parts, torch.ones_like(parts, dtype=torch.float32))
    clipped = counts.minimum(limit[:, None, None] * size * size / 256)
    clipped = clipped + (counts - clipped).sum(2, keepdim=True) / 256
    return (clipped.cumsum(2) * (255 / (size * size))).clamp(0, 255)
