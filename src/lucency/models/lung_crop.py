"""The part of a film that the network reads, cut out by itself: the lungs, which it finds, or the middle.

Where a film was cut, how wide it was before it was stretched to a square, what stands in its corners and how the arms
lie: all of it tells the classes apart in some collection, and none of it is disease. In the lungs' frame it is gone,
for the box around the lungs becomes the same square whatever film it came from. The middle costs nothing and takes
away what differs most: how far the film goes beyond the chest.

Only sums, products and comparisons with constants: every exporter knows each step, and a bundle takes whole films.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

SEGMENTER_SIZE = 96
"""Pixels of the square in which the lungs are looked for."""
REACH = (1.75, 2.0)
"""Half the frame's width and height, in standard deviations of where the lungs are: 1.6 and 1.9 would touch them."""
LEAST = 0.15
"""Half of the narrowest frame, as a share of the film."""
FAINT = 1e-3
"""Added to each probability: where no lung is found at all, the frame is the film."""
MIDDLE = (0.0, 0.05, 1.0, 0.95)
"""The middle: all columns, nine tenths of the rows. Films differ most in how far they go above and below the chest."""
CELLS = 16
"""Rows and columns of a map on the whole film, at least."""


class InputCrop(nn.Module):
    """Gray films to the square that is read, and maps of that square back to the film.

    A box is (left, top, right, bottom) as shares of the film in 0..1, float32 (n, 4), or (1, 4) for all films alike.
    """

    middles: Tensor

    def __init__(self, side: int) -> None:
        """`side`: pixels along the square that is cut out."""
        super().__init__()
        self.register_buffer("middles", _middles(side))

    def box(self, gray: Tensor) -> Tensor:
        """Films (n, 1, s, s) of 0..255 → their boxes."""
        raise NotImplementedError

    def forward(self, gray: Tensor, box: Tensor) -> Tensor:
        """Films (n, 1, s, s) and boxes → (n, 1, side, side): Pillow's antialiased bilinear filter, without rounding."""
        return resample(gray[:, 0], box, self.middles, self.middles)[:, None]

    def uncrop(self, maps: Tensor, box: Tensor) -> Tensor:
        """Maps (n, f, h, h) of what lies in the box → (n, f, c, c) on the film.

        Evidence is moved, none is lost: each cell is handed out by how much of it lies in each cell of the film, and
        scaled so that the mean over the film is the mean over the box: with the head's constant it still adds up to
        the logit.
        """
        cells = max(CELLS, 2 * maps.shape[2])
        rows = _shares(box[:, 1:2], box[:, 3:4], maps.shape[2], cells)
        columns = _shares(box[:, 0:1], box[:, 2:3], maps.shape[3], cells)
        scale = cells * cells / (maps.shape[2] * maps.shape[3])
        return rows[:, None].transpose(2, 3) @ maps @ columns[:, None] * scale


class CentreCrop(InputCrop):
    """The same part of every film."""

    where: Tensor

    def __init__(self, side: int) -> None:
        super().__init__(side)
        self.register_buffer("where", torch.tensor([MIDDLE]))

    def box(self, gray: Tensor) -> Tensor:
        """MIDDLE, (1, 4)."""
        return self.where

    def forward(self, gray: Tensor, box: Tensor) -> Tensor:
        """As any frame; by two matrices that are the same for all films, so that exporters store them small."""
        rows = _tents(box[:, 1:2], box[:, 3:4], self.middles, gray.shape[2])[0]
        columns = _tents(box[:, 0:1], box[:, 2:3], self.middles, gray.shape[3])[0]
        narrow = gray[:, 0] @ columns.T
        return (narrow.transpose(1, 2) @ rows.T).transpose(1, 2)[:, None]


class LungCrop(InputCrop):
    """The square around the lungs, which it finds."""

    reach: Tensor

    def __init__(self, side: int) -> None:
        super().__init__(side)
        self.segmenter = pretrained_segmenter()
        self.register_buffer("reach", torch.tensor(REACH))

    def box(self, gray: Tensor) -> Tensor:
        """Films (n, 1, s, s) of 0..255 → box (n, 4): the lungs' mean place, more or less REACH standard deviations.

        Moments follow the film as it is stretched: of a film squeezed to half its width the box is half as wide.
        """
        small = F.interpolate(gray, (SEGMENTER_SIZE, SEGMENTER_SIZE), mode="bilinear", align_corners=False)[:, 0]
        away = small - small.mean((1, 2), keepdim=True)
        spread = (away * away).mean((1, 2), keepdim=True).sqrt() + 1.0
        lung = torch.sigmoid(self.segmenter((away / spread)[:, None]))[:, 0] + FAINT
        across, down = _moments(lung.sum(1)), _moments(lung.sum(2))
        middle = torch.cat([across[0], down[0]], 1)
        half = (torch.cat([across[1], down[1]], 1) * self.reach).clamp(min=LEAST)
        return torch.cat([middle - half, middle + half], 1).clamp(0.0, 1.0)


CROPS: dict[str, type[InputCrop]] = {"lungs": LungCrop, "middle": CentreCrop}
"""What `model.within` names."""


def resample(gray: Tensor, box: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Films (n, h, w) → (n, len(rows), len(columns)): what lies in each film's box, as two matrix products.

    Args:
        gray: float32.
        box: (n, 4) or (1, 4), shares of the film.
        rows, columns: where the middles of the new pixels lie, as shares of the box.
    """
    down = _tents(box[:, 1:2], box[:, 3:4], rows, gray.shape[1])
    across = _tents(box[:, 0:1], box[:, 2:3], columns, gray.shape[2])
    return down @ gray @ across.transpose(1, 2)


def _tents(start: Tensor, end: Tensor, middles: Tensor, given: int) -> Tensor:
    """Weights (n, wanted, given) of the given pixels in each wanted one, from `start` to `end` (n, 1) of the film.

    w(i, j) = max(0, 1 - |j + 1/2 - c(i)| / max(scale, 1)), rows scaled to sum 1     (docs/preprocessing.md, section 4)
    """
    scale = (end - start) * (given / len(middles))
    centre = (start + (end - start) * middles) * given
    places = torch.arange(given, dtype=start.dtype, device=start.device) + 0.5
    weights = torch.relu(1.0 - (places - centre[:, :, None]).abs() / scale.clamp(min=1.0)[:, :, None])
    return weights / weights.sum(2, keepdim=True)


def _shares(start: Tensor, end: Tensor, given: int, wanted: int) -> Tensor:
    """How much of each of `given` cells of a box lies in each of `wanted` cells of the film: (n, given, wanted)."""
    wide = (end - start) / given
    first = start + wide * torch.arange(given, dtype=start.dtype, device=start.device)
    edges = torch.arange(wanted, dtype=start.dtype, device=start.device) / wanted
    low = torch.maximum(first[:, :, None], edges)
    high = torch.minimum((first + wide)[:, :, None], edges + 1 / wanted)
    return torch.relu(high - low) / wide[:, :, None]


def _moments(mass: Tensor) -> tuple[Tensor, Tensor]:
    """Mass (n, k) along one direction of the film → mean and standard deviation, each (n, 1), as shares of it."""
    places = _middles(mass.shape[1], mass)
    whole = mass.sum(1, keepdim=True)
    mean = (mass * places).sum(1, keepdim=True) / whole
    away = places - mean
    return mean, ((mass * away * away).sum(1, keepdim=True) / whole).sqrt()


def _middles(count: int, like: Tensor | None = None) -> Tensor:
    """Where the middles of `count` equal parts of 0..1 lie: (count,), on the device of `like`."""
    device = None if like is None else like.device
    return (torch.arange(count, dtype=torch.float32, device=device) + 0.5) / count


NUMBERS = Path(__file__).with_name("lungs.npz")
FALLING = (8, 16, 24, 32, 32)
"""Channels of each level on the way down…"""
RISING = (24, 16, 12)
"""…and on the way back up."""


def unit(inputs: int, outputs: int) -> nn.Sequential:
    """A 3 × 3 convolution with ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU())


class LungSegmenter(nn.Module):
    """Standardised films (n, 1, 96, 96) → logits (n, 1, 48, 48): is it lung?"""

    def __init__(self, unit: Callable[[int, int], nn.Module] = unit) -> None:
        """Random weights; `unit` makes a convolution (inputs, outputs) with whatever follows it."""
        super().__init__()
        entering = (1, *FALLING)
        parts: dict[str, nn.Module] = {}
        for level, channels in enumerate(FALLING):
            parts[f"down{level}a"] = unit(entering[level], channels)
            parts[f"down{level}b"] = unit(channels, channels)
        below = FALLING[-1]
        for level, channels in enumerate(RISING):
            parts[f"up{level}"] = unit(below + FALLING[-2 - level], channels)
            below = channels
        parts["last"] = nn.Conv2d(below, 1, 1)
        self.parts = nn.ModuleDict(parts)

    def forward(self, x: Tensor) -> Tensor:
        """Down: two convolutions a level, then the larger of each 2 × 2. Up: twice as large, beside what was there."""
        passed = []
        for level in range(len(FALLING)):
            if level:
                passed.append(x)
                x = F.max_pool2d(x, 2)
            x = self.parts[f"down{level}b"](self.parts[f"down{level}a"](x))
        for level in range(len(RISING)):
            x = self.parts[f"up{level}"](torch.cat([F.interpolate(x, scale_factor=2.0), passed[-1 - level]], dim=1))
        found: Tensor = self.parts["last"](x)
        return found


def pretrained_segmenter() -> LungSegmenter:
    """The finder that was trained on drawn films, in evaluation mode; its weights do not learn."""
    segmenter = LungSegmenter().eval().requires_grad_(False)
    with np.load(NUMBERS) as stored:
        for name, part in segmenter.parts.items():
            conv = part[0] if isinstance(part, nn.Sequential) else part
            for kind in ("weight", "bias"):
                getattr(conv, kind).copy_(torch.from_numpy(stored[f"{name}.{kind}"].astype(np.float32)))
    return segmenter
