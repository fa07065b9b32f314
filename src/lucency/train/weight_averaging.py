"""Averages of weights: over the steps of training (EMA, SWA), between its start and end (WiSE-FT), of runs (soups)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import WeightAveraging
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_avg_fn

from lucency.bundle import Card
from lucency.data.dataset import Dataset
from lucency.data.decode import decode_squares
from lucency.models import Classifier
from lucency.models.classifier import fuse_batchnorm
from lucency.models.run import open_run, save_run
from lucency.progress import track
from lucency.recipe import FinetuneSettings
from lucency.train.distributed import sync_batchnorm

BATCH = 32
"""Films per forward pass."""


class Averaging(WeightAveraging):
    """Validates and keeps the average of the weights."""

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Synchronise the network that trains on, too, before the average takes its place: a resumed run needs it."""
        sync_batchnorm(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)


def averaging(settings: FinetuneSettings, steps_per_epoch: int) -> Averaging | None:
    """The average that the recipe asks for, updated after each step; None: no average."""
    if settings.swa:
        return Averaging(avg_fn=MeanFrom((settings.epochs - settings.swa) * steps_per_epoch))
    return Averaging(avg_fn=get_ema_avg_fn(settings.ema)) if settings.ema else None  # type: ignore[no-untyped-call]


class MeanFrom:
    """The mean of the weights after step `first` and each later one; before it, those of the last step."""

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


def average_runs(paths: Sequence[Path], films: Dataset, out: Path) -> Card:
    """One network from several of the same recipe: their mean weights (a model soup, Wortsman et al. 2022).

    Averages of independent networks answer less sharply. So the head is scaled and shifted until the logits of `films`
    have the mean and spread of the networks' mean logit: calibrations of the networks then hold for their average. No
    label is used.

    Args:
        paths: runs of one shape, with one finding, trained from the same pretrained weights.
        films: what they were trained on.
        out: folder of the new run.

    Returns:
        its card: that of the first run, with the names of all in `training`.

    Raises:
        BundleError, OutputError, SourceError: as `open_run`, `save_run` and `decode_squares` do.
    """
    runs = [open_run(path) for path in paths]
    squares = np.stack(decode_squares(films, runs[0].preprocess).pixels)
    target = np.mean([_logits(run.classifier, squares) for run in runs], axis=0)
    states = [run.classifier.state_dict() for run in runs]
    averaged = runs[0].classifier
    mean = {name: torch.stack([state[name].float() for state in states]).mean(0) for name in states[0]}
    averaged.load_state_dict({name: value.to(states[0][name].dtype) for name, value in mean.items()})
    found = _logits(averaged, squares)
    scale = float(target.std() / found.std())
    last = averaged.head.last
    with torch.no_grad():
        last.weight.mul_(scale)
        last.bias.mul_(scale).add_(float(target.mean() - scale * found.mean()))
    card = runs[0].card
    limits = (*card.limits, f"the mean of the weights of {len(runs)} networks, each trained on other folds and seeds")
    return save_run(out, averaged, card.model_copy(update={"limits": limits}))


def _logits(classifier: Classifier, squares: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The logit of each of n films, (n,)."""
    network = fuse_batchnorm(classifier).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = []
    with torch.inference_mode():
        for start in track(range(0, len(squares), BATCH), "reading films", worth=lambda _: BATCH):
            gray = torch.from_numpy(squares[start : start + BATCH, None].astype(np.float32))
            found.append(network(gray)[:, 0].double().numpy())
    return np.concatenate(found)
