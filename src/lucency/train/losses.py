"""What training makes small: cross-entropy, weighed by class or focused on hard films."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lucency.data.dataset import Task


def film_losses(logits: Tensor, labels: Tensor, task: Task, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of each film, in nats.

    Args:
        logits: float (n, 1) for a binary task, else (n, classes).
        labels: int (n,), or (n, classes) of 0 and 1 for a multilabel task.
        task: which of the three.
        smoothing: how far targets are moved from 0 and 1 (Szegedy et al. 2016).

    Returns:
        float (n,).
    """
    if task == "multiclass":
        return F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    targets = labels.reshape(logits.shape).to(logits.dtype) * (1 - 2 * smoothing) + smoothing
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)


def focus(losses: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma · loss with p = exp(-loss), the probability given to the truth.

    Lin et al. 2017, eq. 4. gamma = 0 changes nothing; a film read with certainty no longer counts.
    """
    return (1 - torch.exp(-losses)) ** gamma * losses


def weighed_mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    """Mean loss, each film by its weight: sum(w · loss) / sum(w), as Keras' `class_weight` up to the mean.

    Args:
        losses: float (n,).
        weights: float (n,), or None for the plain mean.
    """
    if weights is None:
        return losses.mean()
    weights = weights.to(losses)
    return (weights * losses).sum() / weights.sum()
