"""Augmentation of the lungs' box, in batches: another acquisition of the same chest, and synthetic opacities.

A network that sees only the lungs can still separate classes by acquisition: the box's aspect, contrast at each scale,
exposure across the film, sharpness, noise. Each is drawn for each view. An opacity painted into a normal film changes
what pneumonia changes and nothing else, at a known place.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lucency.models.lung_crop import MASK_CELLS, standardise
from lucency.recipe import AugmentSettings

SCALES = (192, 96, 48, 24)
"""Sides of the levels of the Laplacian pyramid, for a box of 192 pixels."""
LEVELS = 200.0
"""Gray levels between the darkest and the brightest percentile after the tone curve."""
LEAST_CELL = 0.25
"""Share of lung from which a cell counts in training. Fewer cells count when films are read (lung_crop.FAINT_CELL)."""
DILATIONS = (1, 3, 3, 5, 5)
"""Cells by which the lungs' mask is dilated before the rest is blanked; one is drawn per batch."""
BACKGROUND_QUANTILE = 0.75
"""Of a film's gray levels: about soft tissue, which an opacity resembles."""


class View(NamedTuple):
    """Views of n films, the input of the backbone."""

    pixels: Tensor
    """float32 (n, 1, t, t), standardised, blank outside the lungs."""
    cells: Tensor
    """float32 (n, c, c), the weight of each cell of the map."""
    opacity: Tensor
    """float32 (n, c, c), painted share of each cell, 0 to 1."""


class Draw:
    """Uniform and normal numbers for a batch, from one generator."""

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self.count = count
        self.generator = generator

    def uniform(self, low: float, high: float) -> Tensor:
        """(n, 1, 1, 1)."""
        return torch.rand(self.count, 1, 1, 1, generator=self.generator) * (high - low) + low

    def log_uniform(self, low: float, high: float) -> Tensor:
        """(n, 1, 1, 1)."""
        return (self.uniform(0, 1) * torch.log(torch.tensor(high / low)) + torch.log(torch.tensor(low))).exp()

    def chance(self, probability: float) -> Tensor:
        """(n, 1, 1, 1) of 0 and 1."""
        return (self.uniform(0, 1) < probability).float()

    def field(self, cells: int, size: int) -> Tensor:
        """Smooth noise (n, 1, size, size) of `cells` × `cells` normal numbers."""
        coarse = torch.randn(self.count, 1, cells, cells, generator=self.generator)
        return F.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)

    def one(self) -> float:
        """One number for the whole batch, 0 to 1."""
        return float(torch.rand(1, generator=self.generator))

    def permutation(self) -> Tensor:
        """A permutation of the batch."""
        return torch.randperm(self.count, generator=self.generator)


def augment_lungs(
    films: Tensor,
    lungs: Tensor,
    boxes: Tensor,
    size: int,
    cells: int,
    settings: AugmentSettings,
    generator: torch.Generator,
    paint: bool = False,
) -> View:
    """Draw one view of each film.

    Args:
        films: gray levels, (n, 1, s, s).
        lungs: probability of lung, (n, 1, 48, 48), on the whole film.
        boxes: (n, 4), left, top, right, bottom of the lungs' box, as shares of the film.
        size: pixels along the square that the network reads.
        cells: rows and columns of the network's map.
        settings: how far each draw goes.
        generator: draws everything.
        paint: paint an opacity into each film.
    """
    draw = Draw(len(films), generator)
    pixels, inside, opacity = draw_acquisition(films, lungs, boxes, size, settings, draw, paint)
    mask = F.avg_pool2d(inside, size // MASK_CELLS)
    dilation = DILATIONS[int(draw.one() * len(DILATIONS))]
    standardised, weights = standardise(pixels, mask, cells, dilation, LEAST_CELL)
    return View(standardised, weights, F.adaptive_avg_pool2d(opacity, cells)[:, 0])


def draw_acquisition(
    films: Tensor, lungs: Tensor, boxes: Tensor, size: int, settings: AugmentSettings, draw: Draw, paint: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Another acquisition of what is in each box, as `augment_lungs` draws it.

    Returns:
        gray levels, probability of lung, painted opacity: each (n, 1, size, size).
    """
    grid = box_grid(boxes, size, settings, draw)
    pixels = F.grid_sample(films, grid, align_corners=False, padding_mode="border")
    inside = F.grid_sample(lungs, grid, align_corners=False)
    opacity = torch.zeros_like(pixels)
    if paint:
        pixels, opacity = paint_opacity(pixels, inside, draw)
    return reacquire(pixels, inside, settings, draw), inside, opacity


def box_grid(boxes: Tensor, size: int, settings: AugmentSettings, draw: Draw) -> Tensor:
    """The sampling grid of each view for `grid_sample`: the box moved, stretched, rotated.

    The box is widened along one axis only, so that the lungs fill the square along the other.
    """
    left, top, right, bottom = (edge.reshape(-1, 1, 1, 1) for edge in boxes.unbind(1))
    half_width, half_height = (right - left) / 2, (bottom - top) / 2
    x = (left + right) / 2 + half_width * draw.uniform(-settings.shift, settings.shift)
    y = (top + bottom) / 2 + half_height * draw.uniform(-settings.shift, settings.shift)
    zoom, aspect = draw.log_uniform(*settings.zoom), draw.log_uniform(*settings.aspect)
    half_width, half_height = (
        half_width * zoom * aspect.clamp(min=0.97),
        half_height * zoom * (1 / aspect).clamp(min=0.97),
    )
    angle = torch.deg2rad(draw.uniform(-settings.rotate, settings.rotate))
    cos, sin = angle.cos(), angle.sin()
    rows = [
        2 * half_width * cos,
        -2 * half_height * sin,
        2 * x - 1,
        2 * half_width * sin,
        2 * half_height * cos,
        2 * y - 1,
    ]
    theta = torch.cat([row.reshape(-1, 1) for row in rows], 1).reshape(-1, 2, 3)
    return F.affine_grid(theta, [len(boxes), 1, size, size], align_corners=False)


def paint_opacity(pixels: Tensor, inside: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    """Paint a round, patchy, lobar or diffuse opacity into the lungs of each film.

    Soft tissue replaces air: the local mean rises towards the gray beside the lungs, and fine detail loses contrast.

    Args:
        pixels: gray levels in the box, (n, 1, t, t).
        inside: probability of lung, the same shape.

    Returns:
        the films; opacity of each pixel, 0 to 1, the same shape.
    """
    size = pixels.shape[-1]
    shape = opacity_shape(inside, draw) * inside
    amount = shape * draw.uniform(0.35, 1.0)
    smooth = upsample(blur(F.avg_pool2d(pixels, 4), 1.25), size)
    beside = (pixels * (1 - inside)).sum((2, 3), keepdim=True) / (1 - inside).sum((2, 3), keepdim=True).clamp(min=1)
    tissue = torch.maximum(beside, quantile(pixels, BACKGROUND_QUANTILE)) * draw.uniform(0.85, 1.1)
    within = (pixels * inside).sum((2, 3), keepdim=True) / inside.sum((2, 3), keepdim=True).clamp(min=1)
    tissue = torch.maximum(tissue, within + 12)
    detail = (pixels - smooth) * (1 - draw.uniform(0.2, 0.6) * amount)
    return (smooth + amount * (tissue - smooth).clamp(min=0) + detail).clamp(0, 255), amount


def opacity_shape(inside: Tensor, draw: Draw) -> Tensor:
    """Where an opacity lies, (n, 1, t, t) of 0 to 1: a quarter lobar, a seventh diffuse, the rest round to patchy."""
    count, size = len(inside), inside.shape[-1]
    x, y = lung_point(inside, draw)
    line = (torch.arange(size) + 0.5) / size
    columns, rows = line.reshape(1, 1, 1, -1), line.reshape(1, 1, -1, 1)
    radius, stretch = draw.uniform(0.07, 0.26), draw.log_uniform(0.6, 1.65)
    distance = (((columns - x) / stretch) ** 2 + ((rows - y) * stretch) ** 2).sqrt()
    lumps, grain = draw.field(7, size) * 0.25, draw.field(24, size) * draw.uniform(0, 0.25)
    patchy = ((1 - distance / radius + lumps + grain) / draw.uniform(0.08, 0.5)).clamp(0, 1)
    up = 1 - 2 * draw.chance(0.5)
    fissure = (rows - y) * up + (columns - x) * draw.uniform(-0.3, 0.3)
    same_lung = ((columns - 0.5) * (x - 0.5) > 0).float().expand(-1, -1, size, -1)
    side = upsample(blur(F.avg_pool2d(same_lung, 4), 0.75), size)
    lobar = (fissure / draw.uniform(0.02, 0.1) + 0.5).clamp(0, 1) * ((radius * 2.2 - fissure) / radius).clamp(0, 1)
    lobar = lobar * side * (0.8 + grain).clamp(0, 1)
    diffuse = (0.35 + 2 * lumps + 2 * grain).clamp(0, 1) * (1.3 - distance / (3 * radius)).clamp(0, 1)
    kind = torch.rand(count, 1, 1, 1, generator=draw.generator)
    return torch.where(kind < 0.25, lobar, torch.where(kind < 0.4, diffuse, patchy))


def lung_point(inside: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    """A point inside the lungs of each film: x and y, (n, 1, 1, 1), as shares of the box."""
    cells = 24
    weights = (F.adaptive_avg_pool2d(inside, cells).flatten(1) > 0.6).float() + 1e-6
    index = torch.multinomial(weights, 1, generator=draw.generator).reshape(-1, 1, 1, 1)
    return (index % cells + 0.5) / cells, (torch.div(index, cells, rounding_mode="floor") + 0.5) / cells


def reacquire(pixels: Tensor, inside: Tensor, settings: AugmentSettings, draw: Draw) -> Tensor:
    """Another acquisition of the same chest: tone curve, contrast at each scale, uneven exposure, sharpness, noise."""
    low, high = quantile(pixels, 0.01), quantile(pixels, 0.995)
    pixels = ((pixels - low) / (high - low + 1)).clamp(0, 1.2) ** draw.log_uniform(*settings.gamma) * LEVELS
    pixels = rescale_bands(pixels, inside, settings, draw)
    mean = (pixels * inside).sum((2, 3), keepdim=True) / inside.sum((2, 3), keepdim=True).clamp(min=1)
    spread = ((pixels - mean) ** 2 * inside).sum((2, 3), keepdim=True) / inside.sum((2, 3), keepdim=True).clamp(min=1)
    spread = spread.sqrt()
    pixels = pixels + draw.field(3, pixels.shape[-1]) * draw.uniform(0, settings.bias_field) * spread
    sharp = draw.one()
    if sharp < 0.35:
        pixels = blur(pixels, max(0.2, -settings.sharpness[0] * draw.one()))
    elif sharp < 0.55:
        pixels = pixels + (pixels - blur(pixels, 1.2)) * draw.uniform(0, settings.sharpness[1])
    grain = torch.randn(pixels.shape, generator=draw.generator)
    return pixels + grain * draw.uniform(0, settings.noise)


def rescale_bands(pixels: Tensor, inside: Tensor, settings: AugmentSettings, draw: Draw) -> Tensor:
    """Multiply each level of a Laplacian pyramid; for some films towards the contrast of another film of the batch."""
    bands, rest = [], pixels
    for _ in SCALES:
        coarse = F.avg_pool2d(rest, 2)
        bands.append(rest - upsample(coarse, rest.shape[-1]))
        rest = coarse
    donors = draw.permutation()
    exchanged = draw.chance(settings.exchange) * draw.uniform(0.5, 1)
    for number in reversed(range(len(bands))):
        band = bands[number]
        weight = F.interpolate(inside, band.shape[2:], mode="area")
        energy = (
            (band * band * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1)
        ).sqrt()
        energy = energy + 1e-3
        towards = ((energy[donors] / energy).log().clamp(-1.2, 1.2) * exchanged).exp()
        normal = torch.randn(len(pixels), 1, 1, 1, generator=draw.generator)
        rest = band * towards * (normal * settings.scales).exp() + upsample(rest, band.shape[-1])
    return rest


def quantile(pixels: Tensor, share: float) -> Tensor:
    """(n, 1, 1, 1), of every fourth pixel along each axis."""
    return torch.quantile(pixels[:, :, ::4, ::4].flatten(1), share, dim=1).reshape(-1, 1, 1, 1)


def upsample(pixels: Tensor, size: int) -> Tensor:
    """Bilinear, to (n, 1, size, size)."""
    return F.interpolate(pixels, (size, size), mode="bilinear", align_corners=False)


def blur(pixels: Tensor, sigma: float) -> Tensor:
    """A Gaussian of `sigma` pixels."""
    reach = int(2.5 * sigma) + 1
    offsets = torch.arange(-reach, reach + 1).float()
    kernel = torch.exp(-offsets * offsets / (2 * sigma * sigma))
    kernel = kernel / kernel.sum()
    across = F.conv2d(F.pad(pixels, (reach, reach, 0, 0), mode="replicate"), kernel.reshape(1, 1, 1, -1))
    return F.conv2d(F.pad(across, (0, 0, reach, reach), mode="replicate"), kernel.reshape(1, 1, -1, 1))
