"""Where the lungs are on a film: a small network that has only ever seen drawn films.

Phantoms know their lungs to the pixel, with and without pneumonia in them; a mask by gray levels would leave out the
white lung, which is where the evidence lies. The network is a U-Net (Ronneberger et al. 2015) of 71,000 numbers,
evaluated here in numpy, so that an exported bundle can be judged without PyTorch. `scripts/train_lungs.py` makes its
weights. Heart and vessels do not count as lung, and neither does what lies behind them.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Gray = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

WEIGHTS = Path(__file__).parent / "models" / "lungs.npz"
"""Read from the file alone: `lucency.models` would bring PyTorch."""
SIDE = 96
"""The film is brought to this side first, whatever its aspect."""
DOWN = 5
"""Levels on the way down: 96, 48, 24, 12 and 6 pixels."""
UP = 3
"""Levels on the way back up, to 48 pixels."""
SMALLEST = 0.005
"""A piece smaller than this share of the film is no lung."""


def lung_mask(gray: Gray) -> Mask:
    """Where the lungs are.

    Args:
        gray: a film's square uint8 (s, s), stretched, cropped or padded.

    Returns:
        bool (s, s): the two largest pieces that are likelier lung than not, their holes filled; possibly empty.
    """
    return _two_lungs(lung_probability(gray) > 0.5)


def lung_probability(gray: Gray) -> Floats:
    """How likely each pixel shows lung: float32 (s, s) in 0..1."""
    small = Image.fromarray(gray).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    logits = network(standardised(np.asarray(small, dtype=np.float32)), _weights())
    large = Image.fromarray(logits).resize((gray.shape[1], gray.shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(1 / (1 + np.exp(-np.asarray(large, dtype=np.float32))))


def standardised(film: Floats) -> Floats:
    """A film with mean 0 and standard deviation 1: exposure does not matter."""
    return np.asarray((film - film.mean()) / (film.std() + 1.0), dtype=np.float32)


def network(film: Floats, weights: dict[str, Floats]) -> Floats:
    """Film (96, 96) → logits (48, 48).

    Down: two convolutions a level, then the larger of each 2 × 2. Up: each cell twice as large, beside what was
    there on the way down, one convolution a level. All 3 × 3 with ReLU; a 1 × 1 at the end.
    """
    x, passed = film[None], []
    for level in range(DOWN):
        if level:
            passed.append(x)
            x = _halved(x)
        for step in "ab":
            x = np.maximum(convolved(x, weights[f"down{level}{step}.weight"], weights[f"down{level}{step}.bias"]), 0)
    for level in range(UP):
        x = np.concatenate([x.repeat(2, axis=1).repeat(2, axis=2), passed[-1 - level]])
        x = np.maximum(convolved(x, weights[f"up{level}.weight"], weights[f"up{level}.bias"]), 0)
    found = np.tensordot(weights["last.weight"][0, :, 0, 0], x, 1) + weights["last.bias"]
    return np.asarray(found, dtype=np.float32)


def convolved(x: Floats, weight: Floats, bias: Floats) -> Floats:
    """A 3 × 3 convolution (cross-correlation, zeros around): (i, h, w) with weight (o, i, 3, 3) → (o, h, w)."""
    channels, height, width = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    found = np.repeat(bias[:, None], height * width, axis=1)
    for row in range(3):
        for column in range(3):
            seen = padded[:, row : row + height, column : column + width].reshape(channels, -1)
            found += weight[:, :, row, column] @ seen
    return found.reshape(-1, height, width)


def dice(found: Mask, true: Mask) -> float:
    """Overlap of two masks: 2 |A ∩ B| / (|A| + |B|); 1 where both are empty."""
    total = int(found.sum()) + int(true.sum())
    return 2 * int((found & true).sum()) / total if total else 1.0


def _halved(x: Floats) -> Floats:
    channels, height, width = x.shape
    return np.asarray(x.reshape(channels, height // 2, 2, width // 2, 2).max(axis=(2, 4)))


def _two_lungs(mask: Mask) -> Mask:
    pieces, count = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    kept = [piece for piece in np.argsort(sizes)[::-1][:2] if sizes[piece] >= SMALLEST * mask.size]
    return np.asarray(ndimage.binary_fill_holes(np.isin(pieces, kept)))


@functools.cache
def _weights() -> dict[str, Floats]:
    with np.load(WEIGHTS) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}
