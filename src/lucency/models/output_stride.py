"""Truer maps: the last strides taken out and dilated instead, the last blocks left out, evidence handed out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lucency.errors import UsageError
from lucency.models.layers import Inverted, Unit

NEIGHBOURS = 3
"""Cells a side over which evidence that was handed out is handed out once more."""


def set_output_stride(features: nn.Module, stride: int) -> None:
    """Let one cell of the maps stand for `stride` pixels instead of 32; no weight changes.

    A stride of 2 that would go beyond `stride` becomes 1, and every filter behind it reaches twice as far, so that
    each sees what it saw: of the finer map every second cell is the coarse map's, exactly (Yu & Koltun 2016; DeepLab,
    Chen et al. 2017, section 3.1). Training and reading cost about 1.6 times as much for 16, 4 times for 8.

    Args:
        features: a backbone of ours; changed.
        stride: 4, 8, 16 or 32.

    Raises:
        UsageError: the backbone's layers are not ours, so that their strides are unknown.
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
        unit.widen(reach)
        reach *= step


def stride_of(features: nn.Module) -> int:
    """Pixels of the square per cell of the map.

    Raises:
        UsageError: the backbone's layers are not ours, so that their strides are unknown.
    """
    units = [module for module in features.modules() if isinstance(module, Unit)]
    if not units:
        raise UsageError("lung_crop: only lucency's own backbones have a known stride; choose one of them")
    return math.prod(unit.conv.stride[0] for unit in units)


def truncate(features: nn.Module, depth: int, expansion: bool = False) -> nn.Module:
    """The first `depth` blocks of a backbone, or all of it where `depth` is 0.

    With `expansion`, then the expansion of the next block, six times as wide: what SSDLite reads (Sandler et al. 2018,
    section 6.2).

    What a cell of the map stands for is what its layer can see. A whole MobileNet sees all of the film from every
    cell, and may put the evidence beside the lesion; cut early, it cannot (Brendel & Bethge 2019, BagNets).

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
    """Each cell's activations handed out to the cells that it saw, instead of to its middle alone.

        A'(p) = sum over q with |p - q| <= r of A(q) / n(q),   n(q): cells of the film within r of q, itself included

    twice: over what a cell sees, then over a cell's neighbours, since what it sees at the rim counts less than what it
    sees in the middle (effective receptive fields, Luo et al. 2016).

    A cell speaks as soon as it sees any part of a lesion. Drawn at the middle of what it saw, the evidence rings the
    lesion and is often strongest beside it; handed out, it is strongest where those who spoke overlap. Nothing leaves
    the film: the mean over it is unchanged, and so are logit, loss and gradients. Training therefore goes without.
    """

    def __init__(self, cells: int) -> None:
        """`cells`, odd: 2 r + 1, what a cell sees over the stride."""
        super().__init__()
        self.cells = cells

    def forward(self, x: Tensor) -> Tensor:
        """A (n, k, h, w) → A' of the same shape and means; in training A itself."""
        if self.training:
            return x
        for cells in (self.cells, NEIGHBOURS):
            reach = cells // 2
            seen = F.avg_pool2d(torch.ones_like(x[:1, :1]), cells, 1, reach)  # n(q) / cells², zeros beyond the film
            x = F.avg_pool2d(x / seen, cells, 1, reach)
        return x


def spread_evidence(features: nn.Module, cells: int) -> None:
    """Hand the last activations out over `cells` × `cells` (see `Spread`).

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
