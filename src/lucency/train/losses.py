"""Losses: cross-entropy weighted by class, group or difficulty, and the auxiliary losses of fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lucency.data.dataset import Task
from lucency.train.dataloader import Batch
from lucency.train.distributed import all_gather, loss_scale, world_size
from lucency.train.lung_views import unpack

PAINTED_CELL = 0.12
"""Painted share above which a cell is positive."""
TEMPERATURE = 2.0
"""Logits are divided by it in distillation, so that unlikely classes still count (Hinton et al. 2015)."""


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
    misled: float = 1.0
    """Weight of films whose acquisition points to another class; the others weigh 1."""

    def __call__(self, logits: Tensor, labels: Tensor, misled: Tensor | None = None) -> Tensor:
        """The loss of a batch, a scalar."""
        return weighted_mean(self.losses(logits, labels), self.weights(labels, misled))

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each film, (n,)."""
        positive = self.class_weights if self.task == "multilabel" else None
        losses = cross_entropy(logits, labels, self.task, self.smoothing, positive)
        return focal(losses, self.focal_gamma) if self.focal_gamma else losses

    def weights(self, labels: Tensor, misled: Tensor | None = None) -> Tensor | None:
        """The weight of each film, (n,); None: all 1."""
        weights = None
        if self.class_weights is not None and self.task != "multilabel":
            weights = self.class_weights.to(labels.device)[labels]
        if misled is None or self.misled == 1:
            return weights
        groups = 1 + (self.misled - 1) * misled.float()
        return groups if weights is None else weights * groups

    def total_weight(self, labels: Tensor, misled: Tensor | None = None) -> Tensor:
        """The divisor of the mean over these films, a scalar."""
        weights = self.weights(labels, misled)
        return torch.tensor(float(len(labels))) if weights is None else weights.sum()


class MeanLoss(nn.Module):
    """The objective of a training batch, over the films of all processes."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, logits: Tensor, labels: Tensor, misled: Tensor) -> Tensor:
        """A scalar, of logits (n, findings), labels (n,) or (n, findings) and misled, bool (n,)."""
        loss = self.objective(logits, labels, misled)
        return loss * loss_scale(self.objective.total_weight(labels, misled)).to(loss)


class GroupDROLoss(nn.Module):
    """Group DRO: groups of films with a higher loss have a higher weight.

    Sagawa et al. 2020, Distributionally robust neural networks for group shifts, algorithm 1. Each class has two
    groups: films whose acquisition points to another class, and the others.
    """

    group_weights: Tensor

    def __init__(self, objective: Objective, classes: int, step_size: float) -> None:
        """Begin with equal weights; `step_size` is eta_q of the paper."""
        super().__init__()
        self.objective = objective
        self.step_size = step_size
        self.register_buffer("group_weights", torch.full((2 * classes,), 1 / (2 * classes)))

    def forward(self, logits: Tensor, labels: Tensor, misled: Tensor) -> Tensor:
        """A scalar, of logits (n, findings), labels int (n,) and misled, bool (n,)."""
        losses = self.objective.losses(logits, labels)
        groups = 2 * labels + misled.to(labels)
        zeros = torch.zeros_like(self.group_weights)
        sums, counts = zeros.index_add(0, groups, losses), zeros.index_add(0, groups, torch.ones_like(losses))
        total, films = all_gather(torch.stack([sums, counts])[None]).sum(0).to(sums)
        films = films.clamp(min=1)
        grown = self.group_weights * torch.exp(self.step_size * total / films)
        self.group_weights.copy_(grown / grown.sum())
        loss: Tensor = (self.group_weights.clone() * sums / films).sum() * world_size()
        return loss


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


@dataclass(frozen=True)
class DistillationLoss:
    """Distillation of the mean prediction of several networks on the augmented films (Hinton et al. 2015)."""

    teachers: Sequence[nn.Module]
    """In evaluation mode; they take the input of the network that trains."""
    task: Task

    def __call__(self, output: ForwardOutput) -> Tensor:
        """Cross-entropy with the teachers' mean probabilities at TEMPERATURE, times its square: a scalar."""
        with torch.no_grad():
            for teacher in self.teachers:
                teacher.to(output.logits.device)
            predictions = [self._probabilities(teacher(output.batch.inputs).float()) for teacher in self.teachers]
            targets = torch.stack(predictions).mean(0)
        logits = output.logits / TEMPERATURE
        entropy = F.cross_entropy if self.task == "multiclass" else F.binary_cross_entropy_with_logits
        return TEMPERATURE**2 * entropy(logits, targets)

    def _probabilities(self, logits: Tensor) -> Tensor:
        logits = logits / TEMPERATURE
        return logits.softmax(1) if self.task == "multiclass" else logits.sigmoid()
