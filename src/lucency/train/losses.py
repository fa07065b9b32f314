"""Losses: cross-entropy weighted by class or difficulty, and the auxiliary losses of fine-tuning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lucency.data.dataset import Task
from lucency.train.cached_views import unpack
from lucency.train.dataloader import Batch
from lucency.train.distributed import loss_scale

PAINTED_CELL = 0.12
"""Painted share above which a cell is positive."""


def cross_entropy(
    logits: Tensor, labels: Tensor, task: Task, smoothing: float = 0.0, positive: Tensor | None = None
) -> Tensor:
    """Cross-entropy of each film, in nats.

    Args:
        logits: float (n, 1) for a binary task, else (n, classes).
        labels: int (n,), or (n, classes) of 0 and 1 for a multilabel task.
        task: which of the three.
        smoothing: how far targets are moved from 0 and 1 (Szegedy et al. 2016).
        positive: (classes,), for a multilabel task the weight of each finding where it is there; 1 without.

    Returns:
        float (n,).
    """
    if task == "multiclass":
        return F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    targets = labels.reshape(logits.shape).to(logits.dtype) * (1 - 2 * smoothing) + smoothing
    weights = None if positive is None else positive.to(logits)
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none", pos_weight=weights).mean(dim=1)


def focal(losses: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma · loss with p = exp(-loss), the probability of the true class (Lin et al. 2017, eq. 4)."""
    return (1 - torch.exp(-losses)) ** gamma * losses


def weighted_mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    """sum(w · loss) / sum(w) of losses and weights (n,), the plain mean without weights; a scalar."""
    if weights is None:
        return losses.mean()
    weights = weights.to(losses)
    return (weights * losses).sum() / weights.sum()


@dataclass(frozen=True)
class Objective:
    """The weighted loss of films."""

    task: Task
    class_weights: Tensor | None = None
    """Of each class; for a multilabel task of each finding where it is there."""
    focal_gamma: float = 0.0
    smoothing: float = 0.0

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch, a scalar."""
        return weighted_mean(self.losses(logits, labels), self.weights(labels))

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each film, (n,)."""
        positive = self.class_weights if self.task == "multilabel" else None
        losses = cross_entropy(logits, labels, self.task, self.smoothing, positive)
        return focal(losses, self.focal_gamma) if self.focal_gamma else losses

    def weights(self, labels: Tensor) -> Tensor | None:
        """The weight of each film, (n,); None: all 1."""
        if self.class_weights is None or self.task == "multilabel":
            return None
        return self.class_weights.to(labels.device)[labels]

    def total_weight(self, labels: Tensor) -> Tensor:
        """The divisor of the mean over these films, a scalar."""
        weights = self.weights(labels)
        return torch.tensor(float(len(labels))) if weights is None else weights.sum()


class MeanLoss(nn.Module):
    """The objective of a training batch, over the films of all processes."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """A scalar, of logits (n, findings) and labels (n,) or (n, findings)."""
        return self.objective(logits, labels) * loss_scale(self.objective.total_weight(labels)).to(logits)


class ForwardOutput(NamedTuple):
    """A training batch and the network's outputs on it."""

    batch: Batch
    logits: Tensor
    """(n, findings)."""
    maps: Tensor
    """(n, findings, h, w)."""
    pooled: Tensor
    """(n, k), the input of the head."""


AuxiliaryLoss = Callable[[ForwardOutput], Tensor]
"""A scalar added to the loss of a batch."""


@dataclass(frozen=True)
class SparsityLoss:
    """L1 penalty on the map: weight · mean |M| over films and places."""

    weight: float

    def __call__(self, output: ForwardOutput) -> Tensor:
        """A scalar."""
        return self.weight * output.maps.float().abs().mean()


class LocalLoss(nn.Module):
    """Cross-entropy of the cells with known labels: those of normal films, and of films with painted opacities.

    A cell's logit is its evidence plus a trained offset: the head's own bias is for whole films.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.offset = nn.Parameter(torch.tensor(-1.0))

    def forward(self, output: ForwardOutput) -> Tensor:
        """A scalar; cells are weighted as in the map, films with unknown cells left out."""
        _, weights, painted = unpack(output.batch.inputs, output.maps.shape[-1])
        known = (output.batch.labels == 0) | (painted.sum((1, 2)) > 0)
        target = (painted > PAINTED_CELL).float()
        losses = F.binary_cross_entropy_with_logits(output.maps[:, 0].float() + self.offset, target, reduction="none")
        films = (losses * weights).sum((1, 2))[known]
        return self.weight * films.sum() / max(1, len(films))
