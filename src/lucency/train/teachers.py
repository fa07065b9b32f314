"""Teachers: networks trained before, whose answers a network learns beside the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lucency.data.dataset import Task
from lucency.models import Classifier
from lucency.train.objective import Said

TEMPERATURE = 2.0
"""By which logits are divided, so that what is unlikely still tells (Hinton et al. 2015)."""
SEEDS_APART = 1_000
"""Between the seed of a network and its teachers'."""


@dataclass(frozen=True)
class Teachers:
    """What several networks say on average of the films as they are seen, to be said too."""

    networks: Sequence[Classifier]
    """In evaluation mode; they read what the one that learns reads."""
    task: Task

    def __call__(self, said: Said) -> Tensor:
        """Cross-entropy with the teachers' mean probabilities at TEMPERATURE, times its square: a scalar."""
        with torch.no_grad():
            for network in self.networks:
                network.to(said.logits.device)
            wanted = torch.stack([self._chances(network(said.batch.inputs).float()) for network in self.networks])
        logits = said.logits / TEMPERATURE
        if self.task == "multiclass":
            loss = functional.cross_entropy(logits, wanted.mean(0))
        else:
            loss = functional.binary_cross_entropy_with_logits(logits, wanted.mean(0))
        return TEMPERATURE**2 * loss

    def _chances(self, logits: Tensor) -> Tensor:
        cooled = logits / TEMPERATURE
        return cooled.softmax(1) if self.task == "multiclass" else cooled.sigmoid()
