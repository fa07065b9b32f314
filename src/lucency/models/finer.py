"""Truer maps: the last strides taken out and dilated instead, the last blocks left out, what is left averaged."""

from __future__ import annotations

from torch import nn

from lucency.errors import UsageError
from lucency.models.layers import Unit


def refine(features: nn.Module, stride: int) -> None:
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


def cut(features: nn.Module, depth: int) -> nn.Module:
    """The first `depth` blocks of a backbone, or all of it where `depth` is 0.

    What a cell of the map stands for is what its layer can see. A whole MobileNet sees all of the film from every
    cell, and may put the evidence beside the lesion; cut early, it cannot (Brendel & Bethge 2019, BagNets).

    Raises:
        UsageError: the backbone is not one of ours, or has fewer blocks.
    """
    if not depth:
        return features
    parts = [*features.children()]
    if not isinstance(features, nn.Sequential):
        raise UsageError("depth: only lucency's own backbones can be cut; leave it out, or choose another")
    if depth > len(parts):
        raise UsageError(f"depth: the backbone has {len(parts)} blocks, cannot keep {depth}; 0 keeps all")
    return nn.Sequential(*parts[:depth])


def soften(features: nn.Module, cells: int) -> None:
    """Average the last activations over `cells` × `cells` around each cell, zeros beyond the film.

        A'(i, j) = sum over |u|, |v| <= cells // 2 of A(i + u, j + v) / cells²

    A cell speaks as soon as it sees any part of a lesion, so evidence rings the lesion as wide as a cell sees, and its
    maximum often lies on the ring. The mean around a place is largest in the ring's middle. The map stays what it was:
    a part of the network, linear in its last activations, adding up to the logit.

    Args:
        features: a backbone of ours, cut and refined; changed unless `cells` is 1.
        cells: odd; some 30 % of the map's side served best on drawn films.

    Raises:
        UsageError: the backbone is not one of ours.
    """
    if cells == 1:
        return
    if not isinstance(features, nn.Sequential):
        raise UsageError("soften: only lucency's own backbones can be softened; leave it out, or choose another")
    features[-1] = nn.Sequential(features[-1], nn.AvgPool2d(cells, stride=1, padding=cells // 2))
