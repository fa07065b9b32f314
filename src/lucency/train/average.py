"""Averages of weights: over the steps of a training, or between where it began and where it ended."""

from __future__ import annotations

from collections.abc import Mapping

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_avg_fn

from lucency.recipe import TuneSettings
from lucency.train.team import settle


class Averaging(WeightAveraging):
    """The average is judged; what learns on is settled too, so that a resumed run begins alike in all processes."""

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Average the running statistics of what learns, before it makes way for the average."""
        settle(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)


def averaging(settings: TuneSettings, steps: int) -> Averaging | None:
    """The average that the recipe asks for, of the weights after each step; `steps` is how many an epoch has."""
    if settings.swa:
        return Averaging(avg_fn=EvenFrom((settings.epochs - settings.swa) * steps))
    return Averaging(avg_fn=get_ema_avg_fn(settings.ema)) if settings.ema else None  # type: ignore[no-untyped-call]


class EvenFrom:
    """The mean of the weights after step `first` and each later one; before it, those of the last step."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __call__(self, averaged: Tensor, current: Tensor, steps: Tensor) -> Tensor:
        """The next average, from the one over so many steps, a scalar, and the weights now."""
        return averaged + (current - averaged) / ((steps - self.first).clamp(min=0) + 1)


@torch.no_grad()
def go_back(network: nn.Module, start: Mapping[str, Tensor], share: float) -> None:
    """Leave a network `share` of the way from the weights `start` to those that it has.

    Wortsman et al. 2022, Robust fine-tuning of zero-shot models. Running statistics go with the weights.
    """
    for name, now in network.state_dict().items():
        if now.is_floating_point():
            now.copy_(torch.lerp(start[name].to(now), now, share))
