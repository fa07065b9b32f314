"""Mixup: films laid over one another, and learned as both. Zhang et al. 2018, arXiv:1710.09412."""

from __future__ import annotations

import torch
from torch.distributions import Beta

from lucency.train.batches import Batch


def mixed(batch: Batch, alpha: float) -> tuple[Batch, Batch, float]:
    """Lay each film of a batch over another one of it, all by one share, drawn by PyTorch's generator.

    Args:
        batch: b films or their features.
        alpha: of Beta(alpha, alpha), from which the share is drawn.

    Returns:
        the batch with its inputs mixed and the labels of what lies on top, with a share of a half at least; what lies
        underneath; the share of what lies on top.
    """
    drawn = float(Beta(alpha, alpha).sample())
    share = max(drawn, 1 - drawn)
    order = torch.randperm(len(batch.labels))
    under = Batch(*(part[order.to(part.device)] for part in batch))
    return batch._replace(inputs=share * batch.inputs + (1 - share) * under.inputs), under, share
