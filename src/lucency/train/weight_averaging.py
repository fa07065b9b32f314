"""Averages of weights: over the steps of training (EMA, SWA), or between its start and its end (WiSE-FT)."""

from __future__ import annotations

from collections.abc import Mapping

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_avg_fn

from lucency.recipe import FinetuneSettings
from lucency.train.distributed import sync_batchnorm


class Averaging(WeightAveraging):
    """Validates and keeps the average of the weights."""

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Also synchronise the trained network before the average replaces it: a resumed run needs it."""
        sync_batchnorm(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)


def averaging(settings: FinetuneSettings, steps_per_epoch: int) -> Averaging | None:
    """The average that the recipe asks for, updated after each step; None: no average."""
    if settings.swa:
        return Averaging(avg_fn=MeanFrom((settings.epochs - settings.swa) * steps_per_epoch))
    return Averaging(avg_fn=get_ema_avg_fn(settings.ema)) if settings.ema else None  # type: ignore[no-untyped-call]


class MeanFrom:
    """The mean of the weights from step `first` on; before it, the latest weights."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __call__(self, averaged: Tensor, current: Tensor, steps: Tensor) -> Tensor:
        """The next average, given the average of so many steps (a scalar) and the current weights."""
        return averaged + (current - averaged) / ((steps - self.first).clamp(min=0) + 1)


@torch.no_grad()
def interpolate_weights(network: nn.Module, start: Mapping[str, Tensor], share: float) -> None:
    """Move a network to `share` of the way from the weights `start` to its own, running statistics included.

    Wortsman et al. 2022, Robust fine-tuning of zero-shot models.
    """
    for name, now in network.state_dict().items():
        if now.is_floating_point():
            now.copy_(torch.lerp(start[name].to(now), now, share))
