"""An adversary: a probe of the features for how a film looks, whose gradient turns the features against it.

Ganin et al. 2016, Domain-adversarial training of neural networks. What the class itself tells of a film's look is taken
out first, as `lucency shift` does when it probes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lucency.train.objective import Said
from lucency.train.seen.reacquire import sharpness

HIDDEN = 64
EVEN = 1e-3
"""Standard deviation in a batch below which a property does not vary."""


class Adversary(nn.Module):
    """Learns with the network, and against it.

    Args:
        features: k.
        strength: times what the probe's gradient is turned around with.
    """

    def __init__(self, features: int, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.probe = nn.Sequential(nn.Linear(features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PROPERTIES))

    def forward(self, said: Said) -> Tensor:
        """The probe's mean squared error, a scalar; 1 if it knows no more than the class."""
        wanted = beyond_class(properties(said.batch.inputs), said.batch.labels)
        turned = Reversed.apply(said.pooled.float(), self.strength)  # type: ignore[no-untyped-call]
        told: Tensor = self.probe(turned)
        return functional.mse_loss(told, wanted)


class Reversed(torch.autograd.Function):
    """What goes in comes out; on the way back it is turned around."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, strength: float) -> Tensor:
        """The features."""
        ctx.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Minus strength times the gradient."""
        return -ctx.strength * gradients[0], None


PROPERTIES = 6


@torch.no_grad()
def properties(gray: Tensor) -> Tensor:
    """How films look: gray level, spread, log of the mean absolute Laplacian, log of detail at three scales.

    Args:
        gray: (n, 1, s, s), in 0..255.

    Returns:
        float (n, PROPERTIES).
    """
    edges = sharpness(gray[:, 0])
    smaller = [functional.avg_pool2d(gray, size) for size in (2, 4, 8, 16)]
    bands = [
        (finer - functional.interpolate(coarser, finer.shape[2:], mode="bilinear")).std((1, 2, 3))
        for finer, coarser in pairwise(smaller)
    ]
    return torch.stack([gray.mean((1, 2, 3)), gray.std((1, 2, 3)), *(torch.log1p(x) for x in (edges, *bands))], 1)


@torch.no_grad()
def beyond_class(values: Tensor, labels: Tensor) -> Tensor:
    """What a class of the batch has in common taken out, then all brought to one scale.

    Args:
        values: (n, p).
        labels: int (n,), or (n, findings): then what all have in common is taken out.

    Returns:
        (n, p), of mean 0 and standard deviation 1 in the batch; 0 where a property does not vary.
    """
    own = labels if labels.ndim == 1 else torch.zeros_like(labels[:, 0])
    member = (own[:, None] == own[None, :]).to(values)
    rest = values - member @ values / member.sum(1, keepdim=True)
    spread = rest.pow(2).mean(0).sqrt()
    return torch.where(spread > EVEN, rest / spread.clamp(min=EVEN), torch.zeros_like(rest))
