"""How a film was taken and stored, in numbers, measured on the film stretched to SIDE pixels as in `lucency audit`;
of a picture in colour on its luma.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Pixels = NDArray[np.uint8]
Gray = NDArray[np.float32]
Bools = NDArray[np.bool_]

SIDE = 224
"""Pixels along the square."""
SHARES = np.linspace(0.02, 0.98, 17)
"""Quantiles of the gray levels of the chest that describe a tone curve."""
CHEST = slice(SIDE // 7, SIDE - SIDE // 7)
"""Rows and columns in which tone is measured: dark around the patient is not lung."""
BLACK = 12
"""Highest gray level of a border."""
WIDEST = SIDE // 5
"""Largest border on one side, in pixels: black further in belongs to the film."""
STROKE, BRIGHT, BEYOND = 9, 150, 70
"""Letters are strokes thinner than this many pixels, with a pixel at least this gray, brighter than their surroundings
by this much…"""
SMALLEST, LARGEST = 3, 30
"""…whose height is between these, in pixels, and their width at most the larger…"""
UNEVEN = 16.0
"""…and whose surroundings vary less than this (standard deviation, gray levels), unlike beside a rib."""
SCALES = (112, 56, 28, 14)
"""Sides to which a film is reduced; contrast is measured between one and the next."""
MIDDLE = slice(SIDE // 5, SIDE - SIDE // 5)
"""Rows and columns without letters: strokes there are tubes and bone."""


@dataclass(frozen=True)
class Acquisition:
    """One film's acquisition."""

    aspect: float
    """Width over height of the film before it was stretched; 1 where it is not known."""
    sharpness: float
    """Mean absolute Laplacian, gray levels."""
    tone: Gray
    """float32 (17,), gray levels of the chest at SHARES."""
    noise: float
    """Standard deviation, gray levels."""
    border: tuple[int, int, int, int]
    """Black lines at top, bottom, left and right, in pixels of the square."""
    contrast: Gray
    """float32 (3, 2), gray levels: strength of detail between one of SCALES and the next, where the chest is dark and
    where it is bright. Some machines show ribs and spine through the heart, others do not."""
    marks: Pixels
    """uint8 (s, s): the gray of burnt-in letters, 0 elsewhere."""


def luma(square: Pixels) -> Pixels:
    """uint8 (s, s): a gray film as it is; of one in colour, (s, s, 3), the luma of docs/preprocessing.md, section 2."""
    return square if square.ndim == 2 else np.asarray(Image.fromarray(square).convert("L"))


def acquisition(square: Pixels, aspect: float = 1.0) -> Acquisition:
    """Measure a film.

    Args:
        square: uint8 (SIDE, SIDE) or (SIDE, SIDE, 3), the film stretched.
        aspect: its width over height before that.
    """
    square = luma(square)
    gray = square.astype(np.float32)
    marks = np.where(letters(square), square, 0).astype(np.uint8)
    return Acquisition(aspect, sharpness(gray), tone(gray), noise(gray), border(square), contrast(gray), marks)


def sharpness(gray: Gray) -> float:
    """Mean |4 p - up - down - left - right|, in gray levels, as `lucency audit` measures it."""
    across = 2 * gray[1:-1, 1:-1] - gray[1:-1, :-2] - gray[1:-1, 2:]
    down = 2 * gray[1:-1, 1:-1] - gray[:-2, 1:-1] - gray[2:, 1:-1]
    return float(np.abs(across + down).mean())


def tone(gray: Gray) -> Gray:
    """Gray levels of the chest at SHARES, float32 (17,), ascending."""
    return np.quantile(gray[CHEST, CHEST], SHARES).astype(np.float32)


def noise(gray: Gray) -> float:
    """Standard deviation of noise, gray levels, from the flatter half of the film, with few edges.

    The second difference along rows of that along columns cancels planes and straight edges, and leaves 6 s of white
    noise of deviation s (Immerkaer 1996); the smaller half of |normal| has the mean 0.3247 s.
    """
    across = 2 * gray[:, 1:-1] - gray[:, :-2] - gray[:, 2:]
    left = np.abs(2 * across[1:-1] - across[:-2] - across[2:]).ravel()
    half = len(left) // 2
    return float(np.partition(left, half)[:half].mean() / (2 * 0.3247 * 3))


def contrast(gray: Gray) -> Gray:
    """Standard deviation of detail by scale and zone, float32 (3, 2), gray levels: dark, bright."""
    _, bands, base = bands_of(gray)
    bright = brightness(base)[CHEST, CHEST]
    weights = np.stack([1 - bright, bright])
    power = np.stack([band[CHEST, CHEST] ** 2 for band in bands])
    found = np.tensordot(power, weights, axes=((1, 2), (1, 2))) / np.maximum(weights.sum(axis=(1, 2)), 1.0)
    strengths: Gray = np.sqrt(found).astype(np.float32)
    return strengths


def bands_of(gray: Gray) -> tuple[Gray, list[Gray], Gray]:
    """Detail finer than SCALES, between one and the next, and coarser: their sum is the film.

    A Laplacian pyramid (Burt & Adelson 1983), each level at the film's own size.
    """
    views = [
        _size(_size(gray, side, Image.Resampling.BILINEAR), len(gray), Image.Resampling.BICUBIC) for side in SCALES
    ]
    return gray - views[0], [finer - coarser for finer, coarser in pairwise(views)], views[-1]


def brightness(base: Gray) -> Gray:
    """0 in the darkest quarter of the chest, 1 in the brightest, float32 (s, s)."""
    low, high = np.quantile(base[CHEST, CHEST], (0.25, 0.75))
    share: Gray = ((base - low) / max(high - low, 1.0)).clip(0, 1).astype(np.float32)
    return share


def _size(gray: Gray, side: int, how: Image.Resampling) -> Gray:
    return np.asarray(Image.fromarray(gray).resize((side, side), how))


def border(square: Pixels) -> tuple[int, int, int, int]:
    """Lines at top, bottom, left and right of which nine pixels in ten are black, counted from the edge."""
    dark = square <= BLACK
    rows, columns = dark.mean(axis=1) >= 0.9, dark.mean(axis=0) >= 0.9
    return _run(rows), _run(rows[::-1]), _run(columns), _run(columns[::-1])


def letters(square: Pixels) -> Bools:
    """Strokes of burnt-in letters, outside of the middle: bool (s, s)."""
    opened = ndimage.grey_opening(square, size=(STROKE, STROKE))
    strokes = square.astype(np.int16) - opened > BEYOND
    strokes[MIDDLE, MIDDLE] = False
    numbered, _ = ndimage.label(strokes, np.ones((3, 3)))
    kept = [n for n, box in enumerate(ndimage.find_objects(numbered), 1) if _is_letter(square, numbered, n, box)]
    return np.isin(numbered, kept) if kept else np.zeros_like(strokes)


def _is_letter(square: Pixels, numbered: NDArray[np.int32], number: int, box: tuple[slice, slice]) -> bool:
    height, width = (edge.stop - edge.start for edge in box)
    if not (SMALLEST <= height <= LARGEST and width <= LARGEST):
        return False
    near = tuple(slice(max(0, edge.start - 4), edge.stop + 4) for edge in box)
    stroke, gray = numbered[near] == number, square[near]
    rim = ndimage.binary_dilation(stroke, iterations=4) & ~ndimage.binary_dilation(numbered[near] > 0, iterations=2)
    return bool(rim.any() and gray[stroke].max() >= BRIGHT and gray[rim].std() < UNEVEN)


def _run(dark: Bools) -> int:
    """Length of the run of true values at the start, at most WIDEST."""
    lines = dark[:WIDEST]
    return int(lines.argmin()) if not lines.all() else WIDEST
