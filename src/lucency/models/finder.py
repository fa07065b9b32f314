"""The lung finder: a U-Net (Ronneberger et al. 2015) of 71,000 numbers that has only ever seen drawn films.

`lucency.lungs` evaluates the same numbers in numpy, to judge maps where PyTorch is absent; here it is part of a
network (`lucency.models.frame`). `scripts/train_lungs.py` makes the numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

NUMBERS = Path(__file__).with_name("lungs.npz")
FALLING = (8, 16, 24, 32, 32)
"""Channels of each level on the way down…"""
RISING = (24, 16, 12)
"""…and on the way back up."""


def unit(inputs: int, outputs: int) -> nn.Sequential:
    """A 3 × 3 convolution with ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU())


class Finder(nn.Module):
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


def trained_finder() -> Finder:
    """The finder that was trained on drawn films, in evaluation mode; its weights do not learn."""
    finder = Finder().eval().requires_grad_(False)
    with np.load(NUMBERS) as stored:
        for name, part in finder.parts.items():
            conv = part[0] if isinstance(part, nn.Sequential) else part
            for kind in ("weight", "bias"):
                getattr(conv, kind).copy_(torch.from_numpy(stored[f"{name}.{kind}"].astype(np.float32)))
    return finder
