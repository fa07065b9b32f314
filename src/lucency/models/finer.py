"""Finer maps from the same weights: the last strides are taken out and what follows is dilated instead."""

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
        stride: 8, 16 or 32.

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
