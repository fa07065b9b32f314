"""CLAHE: contrast evened out part by part, to a limit. Zuiderveld 1994, Graphics Gems IV, 474-485."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TILES = 8
"""Parts along each side, each with a tone curve of its own; between their middles curves are blended."""
LIMITS = (1.0, 4.0)
"""Between which the limit is drawn; radiographs are usually shown with 2 or 3."""

Pixels = NDArray[np.uint8]


def clahe(gray: Pixels, limit: float) -> Pixels:
    """Even a film's contrast out.

    Args:
        gray: uint8 (h, w).
        limit: how many times more often than on average a gray level may count in its part, 1 or more; the rest is
            spread over all. 1 gives straight curves.

    Returns:
        uint8 (h, w).
    """
    height, width = gray.shape
    rows, columns = -height % TILES, -width % TILES
    padded = np.pad(gray, ((0, rows), (0, columns)), mode="symmetric")
    curves = _curves(padded, limit)
    down, right = (np.arange(len(line)) for line in (padded, padded[0]))
    (top, bottom, low), (left, leftmost, aside) = _between(down, len(padded)), _between(right, len(padded[0]))
    upper = _blend(curves[top[:, None], left, padded], curves[top[:, None], leftmost, padded], aside)
    lower = _blend(curves[bottom[:, None], left, padded], curves[bottom[:, None], leftmost, padded], aside)
    return np.rint(_blend(upper, lower, low[:, None])).astype(np.uint8)[:height, :width]


def _curves(gray: Pixels, limit: float) -> NDArray[np.float32]:
    """float32 (TILES, TILES, 256): the gray level that each becomes in each part."""
    tall, wide = (size // TILES for size in gray.shape)
    parts = gray.reshape(TILES, tall, TILES, wide).swapaxes(1, 2).reshape(TILES * TILES, -1)
    counts = np.stack([np.bincount(part, minlength=256) for part in parts]).astype(np.float32)
    clipped = np.minimum(counts, limit * tall * wide / 256)
    clipped += (counts - clipped).sum(axis=1, keepdims=True) / 256
    curves: NDArray[np.float32] = np.cumsum(clipped, axis=1, dtype=np.float32) * np.float32(255 / (tall * wide))
    return curves.clip(0, 255).reshape(TILES, TILES, 256)


def _between(places: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Of each pixel the part whose middle lies before it, the one after it, and how far it is towards that one."""
    at = (places + 0.5) * TILES / size - 0.5
    before = np.floor(at)
    first, second = (np.clip(part, 0, TILES - 1).astype(np.int64) for part in (before, before + 1))
    return first, second, (at - before).astype(np.float32)


def _blend(one: NDArray[np.float32], other: NDArray[np.float32], share: NDArray[np.float32]) -> NDArray[np.float32]:
    return one + (other - one) * share
