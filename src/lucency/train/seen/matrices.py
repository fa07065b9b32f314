"""Resizing, cropping, framing and blurring as products: rows @ film @ columnsᵀ, matrices of its own for each film."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Kernel = Callable[[Tensor], Tensor]
"""Weight at a distance in pixels of the coarser side."""

REACH = 4.0
"""Standard deviations at which a Gaussian is cut off, as scipy does."""


def triangle(distance: Tensor) -> Tensor:
    """Bilinear: support 1."""
    return (1 - distance.abs()).clamp(min=0)


def cubic(distance: Tensor) -> Tensor:
    """Bicubic with a = -1/2 (Keys 1981), as Pillow: support 2."""
    away = distance.abs()
    near = (1.5 * away - 2.5) * away * away + 1
    far = ((-0.5 * away + 2.5) * away - 4) * away + 2
    return torch.where(away < 1, near, torch.where(away < 2, far, torch.zeros_like(away)))


def resizing(
    low: Tensor,
    high: Tensor,
    have: int,
    want: int,
    kernel: Kernel = triangle,
    *,
    first: Tensor | None = None,
    count: Tensor | None = None,
    cropped: bool = False,
) -> Tensor:
    """Matrices that show [low, high) of `have` lines as `want` lines, antialiased as Pillow's `resize(box=…)` does.

    Args:
        low: (b,), where what is shown begins.
        high: (b,), where it ends; lines beyond it still count at its edge, unless `cropped`.
        have: lines there are.
        want: lines of the result.
        kernel: `triangle` or `cubic`.
        first: (b,), the line of the result at which it begins; 0 if absent. Lines outside are black.
        count: (b,), how many lines of the result it fills; all if absent.
        cropped: nothing beyond low and high counts.

    Returns:
        float32 (b, want, have).
    """
    first = torch.zeros_like(low) if first is None else first
    count = torch.full_like(low, want) if count is None else count
    out = torch.arange(want, device=low.device)[None, :, None]
    middle = torch.arange(have, device=low.device)[None, None, :] + 0.5
    begin, size, top, end = (line[:, None, None] for line in (low, count, first, high))
    scale = (end - begin) / size
    centre = begin + (out - top + 0.5) * scale
    weights = kernel((middle - centre) / scale.clamp(min=1))
    if cropped:
        weights = weights * ((middle > begin) & (middle < end))
    weights = weights / weights.sum(dim=2, keepdim=True).clamp(min=1e-6)
    return weights * ((out >= top) & (out < top + size))


def through(count: Tensor, side: int, back: Kernel) -> Tensor:
    """Matrices that see `side` lines through fewer, `count` (b,), and bring them back: float32 (b, side, side)."""
    none, full = torch.zeros_like(count), torch.full_like(count, side)
    narrow = resizing(none, full, side, side, count=count)
    return resizing(none, count, side, side, back, cropped=True) @ narrow


def blurring(sigma: Tensor, side: int) -> Tensor:
    """Gaussian blur, films mirrored at their edges: standard deviations (b,) in pixels to float32 (b, side, side)."""
    lines = torch.arange(side, device=sigma.device, dtype=torch.float32)
    own = sigma.clamp(min=1e-3)[:, None, None]

    def bell(away: Tensor) -> Tensor:
        return torch.exp(-0.5 * (away / own) ** 2) * (away.abs() <= (REACH * own + 0.5).floor())

    here, there = lines[None, :, None], lines[None, None, :]
    weights = bell(here - there) + bell(here + there + 1) + bell(2 * side - 1 - here - there)
    return weights / weights.sum(dim=2, keepdim=True)


def both(matrices: Tensor, films: Tensor) -> Tensor:
    """Along columns and along rows alike: (b or 1, s, s) and (b, s, s) to (b, s, s)."""
    return matrices @ films @ matrices.transpose(-1, -2)
