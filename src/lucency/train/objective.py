"""What training makes small, and what else is asked of a network while it learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lucency.data.dataset import Task
from lucency.train.batches import Batch
from lucency.train.losses import film_losses, focus, weighed_mean
from lucency.train.team import gathered, share, size


@dataclass(frozen=True)
class Objective:
    """The loss of films."""

    task: Task
    class_weights: Tensor | None = None
    focal_gamma: float = 0.0
    smoothing: float = 0.0
    misled: float = 1.0
    """Weight of films that acquisition misleads, beside 1 of the others."""

    def __call__(self, logits: Tensor, labels: Tensor, misled: Tensor | None = None) -> Tensor:
        """The loss of a batch, a scalar. Without `misled` no film counts as such."""
        return weighed_mean(self.losses(logits, labels), self.weights(labels, misled))

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of each film, (n,)."""
        losses = film_losses(logits, labels, self.task, self.smoothing)
        return focus(losses, self.focal_gamma) if self.focal_gamma else losses

    def weights(self, labels: Tensor, misled: Tensor | None = None) -> Tensor | None:
        """Of each film, (n,); None: all alike."""
        weights = None
        if self.class_weights is not None and self.task != "multilabel":
            weights = self.class_weights.to(labels.device)[labels]
        if misled is None or self.misled == 1:
            return weights
        deceived = 1 + (self.misled - 1) * misled.float()
        return deceived if weights is None else weights * deceived

    def weight(self, labels: Tensor, misled: Tensor | None = None) -> Tensor:
        """What the mean over these films was divided by, a scalar: their number, or the sum of their weights."""
        weights = self.weights(labels, misled)
        return torch.tensor(float(len(labels))) if weights is None else weights.sum()


class Mean(nn.Module):
    """The loss of a training batch: the objective, of the films of all processes."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, logits: Tensor, labels: Tensor, misled: Tensor) -> Tensor:
        """A scalar, of logits (n, findings), labels (n,) or (n, findings) and misled, bool (n,)."""
        loss = self.objective(logits, labels, misled)
        return loss * share(self.objective.weight(labels, misled)).to(loss)


class GroupDRO(nn.Module):
    """The loss of a training batch where groups weigh the more, the worse they are read.

    Sagawa et al. 2020, Distributionally robust neural networks for group shifts, algorithm 1. Of each class, films that
    acquisition misleads are one group, the others another.
    """

    shares: Tensor

    def __init__(self, objective: Objective, classes: int, step: float) -> None:
        """Begin with equal shares; `step` is eta_q of the paper."""
        super().__init__()
        self.objective = objective
        self.step = step
        self.register_buffer("shares", torch.full((2 * classes,), 1 / (2 * classes)))

    def forward(self, logits: Tensor, labels: Tensor, misled: Tensor) -> Tensor:
        """A scalar, of logits (n, findings), labels int (n,) and misled, bool (n,)."""
        losses = self.objective.losses(logits, labels)
        groups = 2 * labels + misled.to(labels)
        none = torch.zeros_like(self.shares)
        sums, counts = none.index_add(0, groups, losses), none.index_add(0, groups, torch.ones_like(losses))
        total, films = gathered(torch.stack([sums, counts])[None]).sum(0).to(sums)
        films = films.clamp(min=1)
        grown = self.shares * torch.exp(self.step * total / films)
        self.shares.copy_(grown / grown.sum())
        loss: Tensor = (self.shares.clone() * sums / films).sum() * size()
        return loss


class Said(NamedTuple):
    """What a network said of a training batch."""

    batch: Batch
    logits: Tensor
    """(n, findings)."""
    maps: Tensor
    """(n, findings, h, w)."""
    pooled: Tensor
    """(n, k), what the head read."""


Extra = Callable[[Said], Tensor]
"""What a batch costs besides its loss, a scalar."""


@dataclass(frozen=True)
class Sparse:
    """Evidence costs wherever the map puts it, for or against."""

    price: float

    def __call__(self, said: Said) -> Tensor:
        """The price times mean |M| over films and places."""
        return self.price * said.maps.float().abs().mean()
