"""The two blocks of every backbone here, a convolution with its norm and the inverted residual; and finer maps.

Strides become dilation, backbones are truncated, evidence is spread over receptive fields; films are resampled, and
seen in the views of test-time augmentation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lucency.errors import UsageError

Padding = Literal["symmetric", "same"]
"""Padding of a stride of 2 on an even side: equal on both sides or, as in TensorFlow, more below and right."""


def divisible(channels: float, divisor: int = 8, least: int | None = None) -> int:
    """Round a channel count to a multiple of `divisor`, never down by more than a tenth.

    The rounding of the published MobileNetV2 and EfficientNet code (`make_divisible`, `round_filters`).

    >>> divisible(32 * 0.35), divisible(96 * 1.4)
    (16, 136)
    """
    rounded = max(least or divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


class Unit(nn.Module):
    """Convolution without bias → batch norm → ReLU6, or nothing for a linear bottleneck.

    (n, inputs, h, w) → (n, outputs, ceil(h / stride), ceil(w / stride)), whichever the padding.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        depthwise: bool = False,
        active: bool = True,
        eps: float = 1e-5,
        padding: Padding = "symmetric",
    ) -> None:
        super().__init__()
        self.same = padding == "same" and stride > 1  # with stride 1 the two paddings agree
        groups = inputs if depthwise else 1
        margin = 0 if self.same else kernel // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, margin, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=eps)
        self.act = nn.ReLU6() if active else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """One convolution, normed and clipped to 0..6."""
        if self.same:
            x = F.pad(x, self._margins(x.shape[-2], x.shape[-1]))
        out: Tensor = self.act(self.norm(self.conv(x)))
        return out

    def dilate(self, reach: int) -> None:
        """Replace the stride by a dilation of `reach` pixels (see output_stride)."""
        kernel = self.conv.kernel_size[0]
        reach = reach if kernel > 1 else 1
        self.same = False  # with stride 1 the two paddings agree
        self.conv.stride, self.conv.dilation = (1, 1), (reach, reach)
        self.conv.padding = (reach * (kernel // 2), reach * (kernel // 2))

    def _margins(self, height: int, width: int) -> list[int]:
        """Zeros to add (left, right, top, bottom), as TensorFlow's SAME does."""
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        margins = []
        for side in (width, height):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            margins += [total // 2, total - total // 2]
        return margins


class Inverted(nn.Module):
    """Inverted residual: 1×1 expansion, depthwise filter, linear 1×1 projection; adds the input if the shapes agree.

    Sandler et al. 2018, table 1. Without expansion (factor 1) the first step is left out.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        factor: int = 6,
        *,
        eps: float = 1e-5,
        padding: Padding = "symmetric",
    ) -> None:
        super().__init__()
        inner = inputs * factor
        self.expand = Unit(inputs, inner, eps=eps) if factor > 1 else nn.Identity()
        self.depthwise = Unit(inner, inner, kernel, stride, depthwise=True, eps=eps, padding=padding)
        self.project = Unit(inner, outputs, active=False, eps=eps)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) → (n, outputs, ceil(h / stride), ceil(w / stride))."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.skip else y


def initialise(network: nn.Module) -> None:
    """Random first weights: convolutions as in He et al. 2015, by fan-out; norms at identity."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            # A depthwise filter feeds one map only: its fan-out is counted per group.
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
            nn.init.normal_(module.weight, 0.0, (2.0 / fan_out) ** 0.5)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


NEIGHBOURS = 3
"""Side, in cells, of the second spreading."""


def set_output_stride(features: nn.Module, stride: int) -> None:
    """Make one cell of the maps cover `stride` pixels instead of 32; no weight changes.

    A stride of 2 that would go beyond `stride` becomes 1, and every filter after it is dilated by 2, which keeps
    receptive fields: every second cell of the finer map equals the coarse map's (Yu & Koltun 2016; DeepLab, Chen et al.
    2017, section 3.1). Training and reading cost about 1.6 times as much for 16, 4 times for 8.

    Args:
        features: a backbone of ours; changed.
        stride: 4, 8, 16 or 32.

    Raises:
    UsageError: the backbone's layers are not ours, so their strides are unknown.
    """
    units = [module for module in features.modules() if isinstance(module, Unit)]
    if not units and stride != 32:
        raise UsageError("stride: only lucency's own backbones can be made finer; leave it out, or choose another")
    reached, reach = 1, 1
    for unit in units:
        step = unit.conv.stride[0]
        reached *= step
        if reached <= stride:
            continue
        unit.dilate(reach)
        reach *= step


def stride_of(features: nn.Module) -> int:
    """Pixels of the square per cell of the map.

    Raises:
    UsageError: the backbone's layers are not ours, so their strides are unknown.
    """
    units = [module for module in features.modules() if isinstance(module, Unit)]
    if not units:
        raise UsageError("lung_crop: only lucency's own backbones have a known stride; choose one of them")
    return math.prod(unit.conv.stride[0] for unit in units)


def truncate(features: nn.Module, depth: int, expansion: bool = False) -> nn.Module:
    """The first `depth` blocks of a backbone, or all of it if `depth` is 0.

    With `expansion`, also the expansion of the next block, six times as wide, as in SSDLite (Sandler et al. 2018,
    section 6.2).

    Truncation shrinks the receptive field of a cell. That of a whole MobileNet is the whole film, so evidence may lie
    beside the lesion; in a truncated one it cannot (Brendel & Bethge 2019, BagNets).

    Raises:
        UsageError: the backbone is not one of ours, or has fewer blocks.
    """
    if not depth:
        return features
    parts: list[nn.Module] = list(features.children())
    if not isinstance(features, nn.Sequential):
        raise UsageError("depth: only lucency's own backbones can be cut; leave it out, or choose another")
    if depth > len(parts):
        raise UsageError(f"depth: the backbone has {len(parts)} blocks, cannot keep {depth}; 0 keeps all")
    following = parts[depth] if expansion else None
    return nn.Sequential(*parts[:depth], *([following.expand] if isinstance(following, Inverted) else []))


class Spread(nn.Module):
    """Each cell's activations spread over its receptive field.

        A'(p) = sum over q with |p - q| <= r of A(q) / n(q),   n(q): cells of the film within r of q, itself included

    twice: over the receptive field, then over a cell's neighbours, since the effective receptive field weights its rim
    less than its middle (Luo et al. 2016).

    A cell responds to any part of a lesion in its receptive field. Drawn at the centre of the field, the evidence rings
    the lesion and is often strongest beside it; spread, it is strongest where responding fields overlap. The mean over
    the film is unchanged, and so are logit, loss and gradients; training therefore leaves it out.
    """

    def __init__(self, cells: int) -> None:
        """`cells`, odd: 2 r + 1, the receptive field over the stride."""
        super().__init__()
        self.cells = cells

    def forward(self, x: Tensor) -> Tensor:
        """A (n, k, h, w) → A' of the same shape and means; in training A itself."""
        if self.training:
            return x
        for cells in (self.cells, NEIGHBOURS):
            reach = cells // 2
            share = F.avg_pool2d(torch.ones_like(x[:1, :1]), cells, 1, reach)  # n(q) / cells², zeros beyond the film
            x = F.avg_pool2d(x / share, cells, 1, reach)
        return x


def spread_evidence(features: nn.Module, cells: int) -> None:
    """Spread the last activations over `cells` × `cells` (see `Spread`).

    Args:
        features: a backbone of ours, cut and refined; changed unless `cells` is 1.
        cells: odd.

    Raises:
        UsageError: the backbone is not one of ours.
    """
    if cells == 1:
        return
    if not isinstance(features, nn.Sequential):
        raise UsageError("spread: only for lucency's own backbones; leave it out, or choose another")
    features[-1] = nn.Sequential(features[-1], Spread(cells))


def pixel_centers(count: int, like: Tensor | None = None) -> Tensor:
    """Centers of `count` equal parts of 0..1: (count,), on the device of `like`."""
    device = None if like is None else like.device
    return (torch.arange(count, dtype=torch.float32, device=device) + 0.5) / count


def resample(gray: Tensor, box: Tensor, centers: Tensor) -> Tensor:
    """Films (n, h, w) → the contents of each film's box, (n, k, k) for k centers, by two matrix products.

    Pillow's antialiased bilinear filter, without rounding; pixels outside the film are 0.
    """
    rows = tents(box[:, 1:2], box[:, 3:4], centers, gray.shape[1])
    columns = tents(box[:, 0:1], box[:, 2:3], centers, gray.shape[2])
    return rows @ gray @ columns.transpose(1, 2)


def tents(start: Tensor, end: Tensor, centers: Tensor, given: int) -> Tensor:
    """Weights (n, wanted, given) of the given pixels in each wanted one, from `start` to `end` (n, 1) of the film.

    w(i, j) = max(0, 1 - |j + 1/2 - c(i)| / max(scale, 1)), rows scaled to sum 1     (docs/preprocessing.md, section 4)
    """
    scale = (end - start) * (given / len(centers))
    centre = (start + (end - start) * centers) * given
    positions = torch.arange(given, dtype=start.dtype, device=start.device) + 0.5
    weights = torch.relu(1.0 - (positions - centre[:, :, None]).abs() / scale.clamp(min=1.0)[:, :, None])
    return weights / weights.sum(2, keepdim=True).clamp(min=0.5)


def overlaps(start: Tensor, end: Tensor, given: int, wanted: int) -> Tensor:
    """Share of each of `given` cells of a box in each of `wanted` cells of the film: (n, given, wanted)."""
    width = (end - start) / given
    first = start + width * torch.arange(given, dtype=start.dtype, device=start.device)
    edges = torch.arange(wanted, dtype=start.dtype, device=start.device) / wanted
    low = torch.maximum(first[:, :, None], edges)
    high = torch.minimum((first + width)[:, :, None], edges + 1 / wanted)
    return torch.relu(high - low) / width[:, :, None]


FLIPS: dict[str, tuple[tuple[int, ...], ...]] = {
    "none": ((),),
    "horizontal": ((), (3,)),
    "both": ((), (3,), (2,), (2, 3)),
}
"""Settings of `model.tta_flip` → the axes along which each view of a film (n, c, h, w) is mirrored."""


class TTAView(NamedTuple):
    """One of the views in which a whole film is read (test-time augmentation)."""

    zoom: float = 1.0
    """Share of the side, in the middle, that is read, resized to the whole; at most 1."""
    axes: tuple[int, ...] = ()
    """Axes along which it is mirrored."""

    def of(self, films: Tensor) -> Tensor:
        """Films (n, c, s, s) → this view of them."""
        if self.zoom < 1:
            start, end = self._ends(films)
            across = tents(start, end, pixel_centers(films.shape[3], films), films.shape[3])[0].T
            films = ((films @ across).transpose(2, 3) @ across).transpose(2, 3)  # one matrix, once in an exported file
        return films.flip(self.axes) if self.axes else films

    def on_film(self, maps: Tensor) -> Tensor:
        """Maps (n, f, h, h) of the view → maps on the whole film, of the same mean."""
        maps = maps.flip(self.axes) if self.axes else maps
        if self.zoom == 1:
            return maps
        across = overlaps(*self._ends(maps), maps.shape[3], maps.shape[3])[0]
        return ((maps @ across).transpose(2, 3) @ across).transpose(2, 3)

    def _ends(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Where what is read starts and ends along each axis, (1, 1) each, as shares of the side."""
        margin = torch.full((1, 1), (1 - self.zoom) / 2, dtype=like.dtype, device=like.device)
        return margin, 1 - margin


def tta_views(flip: str, zooms: Sequence[float] = (1.0,)) -> tuple[TTAView, ...]:
    """The views that `model.tta_flip` and `model.tta_zoom` ask for: each zoom mirrored each way."""
    return tuple(TTAView(zoom, axes) for zoom, axes in product(zooms, FLIPS[flip]))
