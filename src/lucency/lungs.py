"""Lung segmentation: a small U-Net, trained on drawn films, evaluated in numpy.

Drawn films have exact lung masks, with and without pneumonia; a mask by gray levels would miss consolidated lung, which
is where the evidence lies. The network (Ronneberger et al. 2015) needs no PyTorch, so readers of exported bundles have
it. `scripts/train_lungs.py` trains it. Lung behind the heart counts as lung.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from lucency.arrays import Bools, Floats32, Ints, Pixels

WEIGHTS = Path(__file__).parent / "models" / "lungs.npz"
"""Read from the file alone: `lucency.models` would bring PyTorch."""
SIDE = 96
"""The film is brought to this side first, whatever its aspect; weights may state another one as `side`."""
SMALLEST = 0.005
"""A component smaller than this share of the film is not a lung."""
SHARE = (0.08, 0.65)
"""Smallest and largest plausible share of a film."""
BALANCE = 0.2
"""Smallest plausible area of the smaller lung, as a share of the larger one's."""
ASPECT = (0.5, 2.2)
"""Smallest and largest plausible width over height of the lungs' box on the square film."""
CUT = 0.15
"""Lungs that cover this share of one edge of the film, or more, are cut off by it."""

DOUBTS: dict[str, str] = {
    "no_lungs": "no lungs found",
    "one_lung": "fewer than two lungs found",
    "small_lungs": "the lungs found cover too little of the film",
    "large_lungs": "the lungs found cover too much of the film",
    "unequal_lungs": "one lung found is much smaller than the other",
    "odd_shape": "the lungs found have an implausible shape",
    "cut_off": "the lungs are cut off by the film's edge",
}
"""Code of a doubt → message."""


@dataclass(frozen=True)
class Lungs:
    """The lungs of one film."""

    mask: Bools
    """(h, w), the film's own size."""
    logits: Floats32
    """(g, g), the network's grid over the whole film: above zero only in the lungs."""
    doubts: tuple[str, ...]
    """Codes of DOUBTS."""

    @property
    def share(self) -> float:
        """Of the film, 0 to 1."""
        return float(self.mask.mean())

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """left, top, right, bottom of the mask in the film's pixels; None without lungs."""
        if not self.mask.any():
            return None
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def find_lungs(gray: Pixels) -> Lungs:
    """Find the lungs of a film, uint8 (h, w), of any size and aspect.

    The mask has the two largest components with a probability above 1/2, their holes filled; possibly none.
    """
    logits, pieces = _two_lungs(lung_logits(gray))
    return Lungs(_resized(logits, gray) > 0, logits, _doubts(pieces))


def lung_outline(gray: Pixels) -> Floats32:
    """`Lungs.logits` alone, for drawing: the lungs' outline is where this grid over the whole film crosses zero."""
    return _two_lungs(lung_logits(gray))[0]


def lung_mask(gray: Pixels) -> Bools:
    """The mask of `find_lungs`: bool (h, w)."""
    return find_lungs(gray).mask


def lung_probability(gray: Pixels) -> Floats32:
    """Probability of lung for each pixel: float32 (h, w) in 0..1."""
    return np.asarray(1 / (1 + np.exp(-_resized(lung_logits(gray), gray))))


def lung_logits(gray: Pixels) -> Floats32:
    """The network's output over the whole film, float32 (g, g)."""
    weights = _weights()
    side = int(weights["side"]) if "side" in weights else SIDE
    small = Image.fromarray(gray).resize((side, side), Image.Resampling.BILINEAR)
    return network(standardised(np.asarray(small, dtype=np.float32)), weights)


def dilated(mask: Bools, pixels: int) -> Bools:
    """A mask grown by a square of `pixels` in every direction."""
    for axis in (0, 1):
        padding = [(pixels, pixels) if a == axis else (0, 0) for a in (0, 1)]
        mask = np.asarray(sliding_window_view(np.pad(mask, padding), 2 * pixels + 1, axis=axis).any(axis=-1))
    return mask


def standardised(film: Floats32) -> Floats32:
    """A film with mean 0 and standard deviation 1, which removes its exposure."""
    return np.asarray((film - film.mean()) / (film.std() + 1.0), dtype=np.float32)


def network(film: Floats32, weights: Mapping[str, Floats32]) -> Floats32:
    """Film (s, s) → logits at the resolution of the last level up; the weights define the number of levels.

    Down: two convolutions a level, then 2 × 2 max pooling. Up: nearest upsampling, concatenated with the skip, one
    convolution a level. All 3 × 3 with ReLU; a 1 × 1 at the end.
    """
    down = sum(name.startswith("down") and name.endswith("a.weight") for name in weights)
    up = sum(name.startswith("up") and name.endswith(".weight") for name in weights)
    x, skipped = film[None], []
    for level in range(down):
        if level:
            skipped.append(x)
            x = _halved(x)
        for step in "ab":
            x = _layer(x, weights, f"down{level}{step}")
    for level in range(up):
        x = _layer(np.concatenate([x.repeat(2, axis=1).repeat(2, axis=2), skipped[-1 - level]]), weights, f"up{level}")
    found = np.tensordot(weights["last.weight"][0, :, 0, 0], x, 1) + weights["last.bias"]
    return np.asarray(found, dtype=np.float32)


def convolved(x: Floats32, weight: Floats32, bias: Floats32) -> Floats32:
    """A 3 × 3 convolution (cross-correlation, zeros around): (i, h, w) with weight (o, i, 3, 3) → (o, h, w)."""
    channels, height, width = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    windows = sliding_window_view(padded, (height, width), axis=(1, 2)).reshape(channels * 9, height * width)
    return (weight.reshape(len(weight), -1) @ windows + bias[:, None]).reshape(-1, height, width)


def dice(found: Bools, true: Bools) -> float:
    """Dice overlap of two masks: 2 |A ∩ B| / (|A| + |B|); 1 if both are empty."""
    total = int(found.sum()) + int(true.sum())
    return 2 * int((found & true).sum()) / total if total else 1.0


def components(mask: Bools) -> tuple[Ints, Ints]:
    """Connected components (4 neighbours) of a small mask.

    Returns:
        int64 (h, w), 0 outside and 1 … n in the pieces; (n + 1,) sizes, 0 for outside.
    """
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:  # the largest number of each component spreads along rows and columns in turn
        before = labels
        for _ in range(4):  # to the right, down, to the left, up
            labels = np.rot90(_run_maximum(labels))
        if np.array_equal(labels, before):
            break
    _, numbered = np.unique(np.append(0, labels.ravel()), return_inverse=True)
    sizes = np.bincount(numbered[1:], minlength=int(numbered.max()) + 1)
    sizes[0] = 0
    return numbered[1:].reshape(mask.shape), sizes


def _run_maximum(labels: Ints) -> Ints:
    """Along each row the largest number so far of its own run; 0 ends a run."""
    run = np.cumsum(labels == 0, axis=1) * (labels.size + 1)
    return np.where(labels > 0, np.maximum.accumulate(labels + run, axis=1) - run, 0)


def _two_lungs(logits: Floats32) -> tuple[Floats32, Ints]:
    """Logits above zero only in the two largest pieces and their holes; (g, g) the piece of each cell, 0 to 2."""
    pieces, sizes = components(logits > 0)
    kept = [piece for piece in np.argsort(sizes)[::-1][:2] if sizes[piece] >= SMALLEST * logits.size]
    lungs = np.isin(pieces, kept)
    around, _ = components(np.pad(~lungs, 1, constant_values=True))
    filled = around[1:-1, 1:-1] != around[0, 0]
    magnitude = np.maximum(np.abs(logits), 0.1)
    numbers = sum((number * (pieces == piece) for number, piece in enumerate(kept, 1)), np.zeros_like(pieces))
    return np.where(filled, magnitude, -magnitude).astype(np.float32), numbers


def _doubts(pieces: Ints) -> tuple[str, ...]:
    """Codes of what is implausible about lungs on the square grid, (g, g) of component 0, 1 or 2."""
    lungs, side = pieces > 0, len(pieces)
    if not lungs.any():
        return ("no_lungs",)
    rows, columns = np.flatnonzero(lungs.any(axis=1)), np.flatnonzero(lungs.any(axis=0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    sizes = np.bincount(pieces.ravel(), minlength=3)[1:3]
    merged = sizes[1] == 0 and width > height  # two lungs that touch are one piece, wider than high
    edges = (lungs[0], lungs[-1], lungs[:, 0], lungs[:, -1])
    found = {
        "one_lung": sizes[1] == 0 and not merged,
        "small_lungs": lungs.mean() < SHARE[0],
        "large_lungs": lungs.mean() > SHARE[1],
        "unequal_lungs": 0 < sizes[1] < BALANCE * sizes[0],
        "odd_shape": not ASPECT[0] <= width / height <= ASPECT[1],
        "cut_off": max(edge.sum() for edge in edges) >= CUT * side,
    }
    return tuple(code for code, doubted in found.items() if doubted)


def _layer(x: Floats32, weights: Mapping[str, Floats32], name: str) -> Floats32:
    return np.maximum(convolved(x, weights[f"{name}.weight"], weights[f"{name}.bias"]), 0)


def _halved(x: Floats32) -> Floats32:
    top = np.maximum(x[:, ::2], x[:, 1::2])
    return np.maximum(top[:, :, ::2], top[:, :, 1::2])


def _resized(logits: Floats32, gray: Pixels) -> Floats32:
    size = (gray.shape[1], gray.shape[0])
    return np.asarray(Image.fromarray(logits).resize(size, Image.Resampling.BILINEAR), dtype=np.float32)


@functools.cache
def _weights() -> Mapping[str, Floats32]:
    with np.load(WEIGHTS) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}
