"""The crop to the lungs: their box, gray levels standardised inside them, one gray everywhere else.

The network finds the lungs itself (`LungSegmenter`, a U-Net), so an exported bundle still takes whole films. Framing,
aspect, letters, arms, devices beside the chest and exposure do not reach the classifier:

    p    = segmenter(film)                      probability of lung, 48 × 48
    box  = mean(p) ± REACH · std(p)             along each axis
    g, m = film and p, resampled to the box
    z    = (g - mean_m g) / (std_m g + 1)       mean and deviation weighted by m: inside the lungs
    x    = clip(z, ±4) · soft(dilate(m))        0, the lungs' own mean, outside
    cell = share of the lungs in each cell of the map, summing to 1; 0 where the lungs show no detail at all

With several scales, each film gives one such view per scale of its box; `Classifier` averages what they answer.

Only sums, products, pooling and comparisons with constants, which every exporter supports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lucency.models.layers import overlaps, pixel_centers, resample, tents

SEGMENTER_SIZE = 96
"""Side of the segmenter's input, in pixels."""
REACH = (1.75, 2.0)
"""Half the box's width and height, in standard deviations of the lungs' position."""
MIN_HALF = 0.15
"""Half the smallest box, as a share of the film."""
FLOOR = 1e-3
"""Added to each probability, so that without lungs the box is the whole film."""
MASK_CELLS = 48
"""Rows and columns of the mask inside the box."""
CLIP = 4.0
"""Standardised levels are clipped here."""
GAIN = 0.9
"""Factor from standardised levels to the range that an ImageNet backbone expects."""
FAINT_CELL = 0.8
"""A cell of the map with a smaller share of lung carries no evidence. 0.25 ranks films the same and leaves 0.07 less of
the evidence inside lungs that people outlined (docs/lungs.md)."""
NEIGHBOURHOOD = 5
"""Pixels of the small film over which detail is measured: wider than a rib's edge."""
DETAIL = 0.03
"""Flat is what differs from its neighbourhood by less than this, in standard deviations of the film."""
FLAT_LUNGS = (0.5, 0.6)
"""Flat shares of the lungs at which evidence begins to fade and at which none is left. Of 5,739 films of children and
adults one in a hundred has more than 0.28 and 0.40, respectively; with lungs painted over none has less than 0.66."""
FILM_CELLS = 24
"""Rows and columns of a map on the whole film."""


class CroppedInput(NamedTuple):
    """The backbone's input for n films: v views of each, film after film of the first scale, then of the next."""

    pixels: Tensor
    """float32 (v · n, 1, t, t): standardised, 0 outside the lungs; or whole films, in 0..255."""
    weights: Tensor | None
    """float32 (v · n, c, c), of each cell of the map; sums to 1. None: all cells alike."""
    box: Tensor | None
    """float32 (v · n, 4): left, top, right, bottom, shares of the film; may reach beyond it. None: the whole film."""
    lungs: Tensor | None
    """float32 (n, 1, 48, 48), the probability of lung on the whole film."""
    flat: Tensor | None = None
    """float32 (n,), the share of the lungs that shows no detail."""

    def view(self, number: int) -> CroppedInput:
        """One view alone; the lungs of all films."""
        one = slice(number, number + 1)
        return self._replace(
            pixels=self.pixels[one],
            weights=None if self.weights is None else self.weights[one],
            box=None if self.box is None else self.box[one],
        )


class LungCrop(nn.Module):
    """Gray films to crops, and maps back to the film.

    Args:
        size: side of the crop in pixels.
        cells: rows and columns of the network's map.
        scales: of the box, one view each.
    """

    centers: Tensor
    mask_centers: Tensor

    def __init__(self, size: int, cells: int, scales: Sequence[float] = (1.0,)) -> None:
        super().__init__()
        self.cells = cells
        self.scales = tuple(scales)
        self.segmenter = pretrained_segmenter()
        self.register_buffer("centers", pixel_centers(size))
        self.register_buffer("mask_centers", pixel_centers(MASK_CELLS))

    def lungs(self, gray: Tensor) -> Tensor:
        """Films (n, 1, s, s) of 0..255 → probability of lung (n, 1, 48, 48)."""
        return self._find(small_film(gray))

    def _find(self, small: Tensor) -> Tensor:
        return torch.sigmoid(self.segmenter(small[:, None]))

    def box(self, lungs: Tensor) -> Tensor:
        """Probabilities (n, 1, k, k) → box (n, 4): the lungs' mean position ± REACH standard deviations."""
        mass = lungs[:, 0] + FLOOR
        x, y = _moments(mass.sum(1)), _moments(mass.sum(2))
        centre = torch.cat([x[0], y[0]], 1)
        half = torch.cat([x[1] * REACH[0], y[1] * REACH[1]], 1).clamp(min=MIN_HALF)
        return torch.cat([centre - half, centre + half], 1)

    def forward(self, gray: Tensor, scales: Sequence[float] | None = None) -> CroppedInput:
        """Films (n, 1, s, s) of 0..255 → crops at each scale; by default at those of the network."""
        scales = scales or self.scales
        small = small_film(gray)
        lungs = self._find(small)
        flat, box = flat_share(small, lungs), self.box(lungs)
        evidence = flat_evidence(flat)
        films, masks = gray[:, 0], lungs[:, 0]
        if tuple(scales) != (1.0,):
            box = torch.cat([scaled(box, scale) for scale in scales])
            films, masks = films.repeat(len(scales), 1, 1), masks.repeat(len(scales), 1, 1)
            evidence = evidence.repeat(len(scales))
        pixels = resample(films, box, self.centers)
        mask = resample(masks, box, self.mask_centers)
        cropped, weights = standardise(pixels[:, None], mask[:, None], self.cells)
        return CroppedInput(cropped, weights * evidence[:, None, None], box, lungs, flat)

    def on_film(self, maps: Tensor, box: Tensor) -> Tensor:
        """Maps (n, f, c, c) on the box → (n, f, 24, 24) on the film.

        Each cell is divided among the cells of the film by overlap, and scaled so that the mean over the film equals
        the mean over the box: with the head's constant they still add up to the logit.
        """
        rows = overlaps(box[:, 1:2], box[:, 3:4], maps.shape[2], FILM_CELLS)
        columns = overlaps(box[:, 0:1], box[:, 2:3], maps.shape[3], FILM_CELLS)
        scale = FILM_CELLS * FILM_CELLS / (maps.shape[2] * maps.shape[3])
        return rows[:, None].transpose(2, 3) @ maps @ columns[:, None] * scale


def scaled(box: Tensor, scale: float) -> Tensor:
    """Boxes (n, 4) of the same centers, their sides times `scale`."""
    centre, half = (box[:, 2:] + box[:, :2]) / 2, (box[:, 2:] - box[:, :2]) * (scale / 2)
    return torch.cat([centre - half, centre + half], 1)


def small_film(gray: Tensor) -> Tensor:
    """Films (n, 1, s, s) of 0..255 → (n, 96, 96), mean 0 and deviation 1: where the lungs are looked for."""
    small = resize(gray[:, 0], SEGMENTER_SIZE)
    centred = small - small.mean((1, 2), keepdim=True)
    return centred / ((centred * centred).mean((1, 2), keepdim=True).sqrt() + 1.0)


def flat_share(small: Tensor, lungs: Tensor) -> Tensor:
    """The share of the lungs (n, 1, 48, 48) in which a small film (n, 96, 96) shows no detail: (n,), 0 to 1.

    Lungs painted over, or burnt out by exposure, show none; white lungs still do.
    """
    mean = _neighbours(small.shape[1], small)
    detail = small - mean @ small @ mean.T
    flat = torch.relu(1.0 - F.avg_pool2d((detail * detail)[:, None], 2) / DETAIL**2)
    return (flat * lungs).sum((1, 2, 3)) / (lungs.sum((1, 2, 3)) + 1.0)


def flat_evidence(flat: Tensor) -> Tensor:
    """The share of the evidence that counts where so much of the lungs is flat: (n,) → (n,), from 1 down to 0."""
    return ((FLAT_LUNGS[1] - flat) / (FLAT_LUNGS[1] - FLAT_LUNGS[0])).clamp(0.0, 1.0)


def standardise(
    pixels: Tensor, mask: Tensor, cells: int, dilation: int = 3, least: float = FAINT_CELL
) -> tuple[Tensor, Tensor]:
    """Levels standardised inside the lungs, the rest blank; and the weight of each cell of the map.

    Args:
        pixels: gray levels in the box, (n, 1, t, t).
        mask: probability of lung in the box, (n, 1, 48, 48).
        cells: rows and columns of the map.
        dilation: odd; cells by which the mask is dilated before blanking.
        least: a cell with a smaller share of lung has no weight.

    Returns:
        (n, 1, t, t), scaled for an ImageNet backbone; (n, cells, cells), sums to 1 if lungs were found.
    """
    size = (pixels.shape[2], pixels.shape[3])
    inside = F.interpolate(mask, size, mode="bilinear", align_corners=False)
    total = inside.sum((2, 3), keepdim=True) + 1.0
    centred = pixels - (pixels * inside).sum((2, 3), keepdim=True) / total
    deviation = ((centred * centred * inside).sum((2, 3), keepdim=True) / total).sqrt() + 1.0
    dilated = F.max_pool2d(mask, dilation, 1, dilation // 2) if dilation > 1 else mask
    soft = F.avg_pool2d(dilated, 3, 1, 1)
    edge = ((F.interpolate(soft, size, mode="bilinear", align_corners=False) - 0.25) * 2.0).clamp(0.0, 1.0)
    share = torch.relu(F.avg_pool2d(mask, MASK_CELLS // cells)[:, 0] - least)
    weights = share / (share.sum((1, 2), keepdim=True) + 1e-3)
    return (centred / deviation).clamp(-CLIP, CLIP) * edge * GAIN, weights


def resize(gray: Tensor, size: int) -> Tensor:
    """Films (n, h, w) → (n, size, size), antialiased, bilinear, by constant matrices."""
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]], dtype=gray.dtype, device=gray.device)
    rows = tents(whole[:, 1:2], whole[:, 3:4], pixel_centers(size, gray), gray.shape[1])[0]
    columns = tents(whole[:, 0:1], whole[:, 2:3], pixel_centers(size, gray), gray.shape[2])[0]
    return ((gray @ columns.T).transpose(1, 2) @ rows.T).transpose(1, 2)


def _moments(mass: Tensor) -> tuple[Tensor, Tensor]:
    """Mass (n, k) along one axis of the film → mean and standard deviation, each (n, 1), as shares of it."""
    positions = pixel_centers(mass.shape[1], mass)
    total = mass.sum(1, keepdim=True)
    mean = (mass * positions).sum(1, keepdim=True) / total
    offset = positions - mean
    return mean, ((mass * offset * offset).sum(1, keepdim=True) / total).sqrt()


def _neighbours(count: int, like: Tensor) -> Tensor:
    """(count, count), whose product is the mean of each pixel's neighbourhood along one axis."""
    positions = torch.arange(count, dtype=like.dtype, device=like.device)
    near = ((positions[:, None] - positions).abs() <= NEIGHBOURHOOD // 2).to(like.dtype)
    return near / near.sum(1, keepdim=True)


WEIGHTS = Path(__file__).with_name("lungs.npz")
ENCODER = (8, 16, 32, 48, 64)
"""Channels of each level on the way down."""
DECODER = (32, 24, 16)
"""Channels of each level on the way back up."""


def unit(inputs: int, outputs: int) -> nn.Sequential:
    """A 3 × 3 convolution with ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU())


class LungSegmenter(nn.Module):
    """Standardised films (n, 1, 96, 96) → logits of lung (n, 1, 48, 48)."""

    def __init__(self, unit: Callable[[int, int], nn.Module] = unit) -> None:
        """Random weights; `unit` makes a convolution (inputs, outputs) with its activation."""
        super().__init__()
        entering = (1, *ENCODER)
        parts: dict[str, nn.Module] = {}
        for level, channels in enumerate(ENCODER):
            parts[f"down{level}a"] = unit(entering[level], channels)
            parts[f"down{level}b"] = unit(channels, channels)
        below = ENCODER[-1]
        for level, channels in enumerate(DECODER):
            parts[f"up{level}"] = unit(below + ENCODER[-2 - level], channels)
            below = channels
        parts["last"] = nn.Conv2d(below, 1, 1)
        self.parts = nn.ModuleDict(parts)

    def forward(self, x: Tensor) -> Tensor:
        """Down: two convolutions a level, then 2 × 2 max pooling. Up: upsampling, concatenated with the skip."""
        skips = []
        for level in range(len(ENCODER)):
            if level:
                skips.append(x)
                x = F.max_pool2d(x, 2)
            x = self.parts[f"down{level}b"](self.parts[f"down{level}a"](x))
        for level in range(len(DECODER)):
            x = self.parts[f"up{level}"](torch.cat([F.interpolate(x, scale_factor=2.0), skips[-1 - level]], dim=1))
        found: Tensor = self.parts["last"](x)
        return found


def pretrained_segmenter() -> LungSegmenter:
    """The segmenter of lungs.npz, in evaluation mode, frozen (scripts/train_lungs.py trains it)."""
    segmenter = LungSegmenter().eval().requires_grad_(False)
    with np.load(WEIGHTS) as stored, torch.no_grad():
        for name, part in segmenter.parts.items():
            conv = part[0] if isinstance(part, nn.Sequential) else part
            for kind in ("weight", "bias"):
                getattr(conv, kind).copy_(torch.from_numpy(stored[f"{name}.{kind}"].astype(np.float32)))
    return segmenter
