"""The step that Lightning repeats: the same for a head on cached features and for a whole network on films."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lucency.data.record import Task
from lucency.models.classifier import Classifier
from lucency.recipe import FitSettings, TuneSettings
from lucency.train.losses import film_losses, focus, weighed_mean
from lucency.train.measure import measure
from lucency.train.schedules import factor
from lucency.train.team import gathered, settle, share, size

Loader = DataLoader[tuple[Tensor, Tensor]]
Row = dict[str, float]


@dataclass(frozen=True)
class Objective:
    """What is made small."""

    task: Task
    class_weights: Tensor | None = None
    focal_gamma: float = 0.0
    smoothing: float = 0.0

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch, a scalar."""
        losses = film_losses(logits, labels, self.task, self.smoothing)
        if self.focal_gamma:
            losses = focus(losses, self.focal_gamma)
        return weighed_mean(losses, labels, None if self.task == "multilabel" else self.class_weights)

    def weight(self, labels: Tensor) -> Tensor:
        """What the mean over these films was divided by, a scalar: their number, or the sum of their weights."""
        if self.class_weights is None or self.task == "multilabel":
            return torch.tensor(float(len(labels)))
        return self.class_weights[labels.cpu()].sum()


class Step(pl.LightningModule):
    """One phase of fitting a network.

    Args:
        network: takes what the loaders yield, gives logits (n, findings).
        objective: the loss.
        settings: rate, schedule, decay.
        seed: with the epoch, decides dropout.
        train_loader: epoch -> the training batches of that epoch.
        judge_loader: the validation batches.
        keep_still: called each time training starts, to put frozen parts back into evaluation mode.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        settings: FitSettings,
        seed: int,
        train_loader: Callable[[int], Loader],
        judge_loader: Loader,
        keep_still: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        self.settings = settings
        self.seed = seed
        self.train_loader = train_loader
        self.judge_loader = judge_loader
        self.keep_still = keep_still
        self.history: list[Row] = []
        self.seen: dict[str, list[tuple[Tensor, Tensor]]] = {"train": [], "val": []}

    def train_dataloader(self) -> Loader:
        """The batches of the current epoch."""
        return self.train_loader(self.current_epoch)

    def val_dataloader(self) -> Loader:
        """The validation batches."""
        return self.judge_loader

    def configure_optimizers(self) -> Any:
        """Adam, its rate moved at each step by the schedule."""
        moving = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        decay = self.settings.weight_decay
        optimizer = torch.optim.AdamW(moving, self.settings.lr, weight_decay=decay, fused=True)
        curve = factor(self.settings, len(self.train_loader(0)))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, curve)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_validation_epoch_start(self) -> None:
        """All processes judge the same network."""
        settle(self.network)

    def on_train_epoch_start(self) -> None:
        """Training mode, but for what the recipe keeps still."""
        self.network.train()
        self.keep_still()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Loss of a training batch. Dropout is drawn from seed, epoch and batch: a resumed epoch repeats itself."""
        torch.manual_seed((self.seed * 1_000_003 + self.current_epoch) * 1_000_003 + index)
        loss = self._see("train", batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss.item()} at epoch {self.current_epoch}, batch {index}")
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Logits of a validation batch are kept for the end of the epoch."""
        self._see("val", batch)

    def on_validation_epoch_end(self) -> None:
        """One row of history: the metrics of both sides, on all of their films, of all processes, at once."""
        row: Row = {"epoch": float(self.current_epoch + 1), "lr": self._rate()}
        for side in ("train", "val"):
            row |= {f"{side}_{name}": value for name, value in self._measure(side).items()}
            self.seen[side].clear()
        self.history.append(row)
        for name, value in row.items():
            self.log(name, value, prog_bar=False, rank_zero_only=False, sync_dist=size() > 1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """History travels with the checkpoint, so that a resumed run's is whole."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history up where it was."""
        self.history = list(checkpoint["history"])

    def _see(self, side: str, batch: tuple[Tensor, Tensor]) -> Tensor:
        inputs, labels = batch
        logits, cost = self._priced(inputs) if side == "train" and self._sparse else (self.network(inputs).float(), 0.0)
        self.seen[side].append((logits.detach(), labels))
        loss = self.objective(logits, labels)
        if side == "train":
            loss = loss * share(self.objective.weight(labels)).to(loss)
        return loss + cost

    @property
    def _sparse(self) -> float:
        """The price of a logit of evidence; a head alone has no map, so it pays none."""
        return self.settings.sparse if isinstance(self.settings, TuneSettings) else 0.0

    def _priced(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, findings), and what their evidence costs: sparse · mean |M| over films and places."""
        assert isinstance(self.network, Classifier)
        logits, maps = self.network.forward_map(inputs)
        return logits.float(), self._sparse * maps.float().abs().mean()

    def _measure(self, side: str) -> Row:
        logits = gathered(torch.cat([logits for logits, _ in self.seen[side]]))
        labels = gathered(torch.cat([labels for _, labels in self.seen[side]]))
        loss = self.objective(logits, labels).item()
        return {"loss": loss} | measure(logits.numpy(), labels.numpy().astype(np.int64))

    def _rate(self) -> float:
        return float(self.trainer.optimizers[0].param_groups[0]["lr"])
