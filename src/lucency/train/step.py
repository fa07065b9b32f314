"""The step that Lightning repeats: the same for a head on cached features and for a whole network on films."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lucency.models.classifier import Classifier
from lucency.recipe import FitSettings, TuneSettings
from lucency.train.batches import Batch
from lucency.train.measure import measure
from lucency.train.mixup import mixed
from lucency.train.objective import Extra, GroupDRO, Mean, Said
from lucency.train.schedules import factor
from lucency.train.team import gathered, settle, size

Loader = DataLoader[Batch]
Row = dict[str, float]


class Step(pl.LightningModule):
    """One phase of fitting a network.

    Args:
        network: takes what the loaders yield, gives logits (n, findings).
        loss: of a training batch.
        settings: rate, schedule, decay.
        seed: with the epoch, decides dropout.
        train_loader: epoch -> the training batches of that epoch.
        judge_loader: the validation batches.
        keep_still: called each time training starts, to put frozen parts back into evaluation mode.
        extras: what a training batch costs besides its loss; those that are modules learn too.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Mean | GroupDRO,
        settings: FitSettings,
        seed: int,
        train_loader: Callable[[int], Loader],
        judge_loader: Loader,
        keep_still: Callable[[], None] = lambda: None,
        extras: Sequence[Extra] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.learners = nn.ModuleList(extra for extra in extras if isinstance(extra, nn.Module))
        self.extras = tuple(extras)
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
        moving = [parameter for parameter in self.parameters() if parameter.requires_grad]
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

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Loss of a training batch. Dropout is drawn from seed, epoch and batch: a resumed epoch repeats itself."""
        torch.manual_seed((self.seed * 1_000_003 + self.current_epoch) * 1_000_003 + index)
        loss = self._learn(batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss.item()} at epoch {self.current_epoch}, batch {index}")
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """Logits of a validation batch are kept for the end of the epoch."""
        self.seen["val"].append((self.network(batch.inputs).float(), batch.labels))

    def on_validation_epoch_end(self) -> None:
        """One row of history: the metrics of both sides, on all of their films, of all processes, at once."""
        row: Row = {"epoch": float(self.current_epoch + 1), "lr": self._rate()}
        for side in ("train", "val"):
            row |= {f"{side}_{name}": value for name, value in self._measure(side).items()}
            self.seen[side].clear()
        self.history.append(row)
        for name, value in row.items():
            self.log(name, value, prog_bar=False, rank_zero_only=False, sync_dist=size() > 1)

    @torch.no_grad()
    def judge(self) -> Row:
        """The metrics of the network as it is, once fitting is over; what is of training is not a number."""
        self.network.eval()
        self.seen["val"].clear()
        for index, batch in enumerate(self.judge_loader):
            self.validation_step(Batch(*(part.to(self.device) for part in batch)), index)
        found = {f"val_{name}": value for name, value in self._measure("val").items()}
        return {name: found.get(name, math.nan) for name in self.history[-1]} | {"epoch": len(self.history) + 1.0}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """History travels with the checkpoint, so that a resumed run's is whole."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history up where it was."""
        self.history = list(checkpoint["history"])

    def _learn(self, batch: Batch) -> Tensor:
        alpha = self.settings.mixup if isinstance(self.settings, TuneSettings) else 0.0
        batch, under, share = mixed(batch, alpha) if alpha else (batch, None, 1.0)
        said = self._said(batch)
        self.seen["train"].append((said.logits.detach(), batch.labels))
        loss: Tensor = self.loss(said.logits, batch.labels, batch.misled)
        if under is not None:
            loss = share * loss + (1 - share) * self.loss(said.logits, under.labels, under.misled)
        return loss + sum(extra(said) for extra in self.extras)

    def _said(self, batch: Batch) -> Said:
        """What the network says; maps and features only where something beside the loss asks for them."""
        if not self.extras:
            none = torch.empty(0)
            return Said(batch, self.network(batch.inputs).float(), none, none)
        assert isinstance(self.network, Classifier)
        logits, maps, pooled = self.network.answers(batch.inputs)
        return Said(batch, logits.float(), maps, pooled)

    def _measure(self, side: str) -> Row:
        logits = gathered(torch.cat([logits for logits, _ in self.seen[side]]))
        labels = gathered(torch.cat([labels for _, labels in self.seen[side]]))
        loss = self.loss.objective(logits, labels).item()
        return {"loss": loss} | measure(logits.numpy(), labels.numpy().astype(np.int64))

    def _rate(self) -> float:
        return float(self.trainer.optimizers[0].param_groups[0]["lr"])
