"""The Lightning module of both phases: forward, loss, optimizer, metrics; for a head on features or a whole network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler
from torch.utils.data import DataLoader

from lucency.models.classifier import Classifier
from lucency.recipe import FitSettings
from lucency.train.cached_views import ViewNetwork
from lucency.train.dataloader import Batch
from lucency.train.distributed import all_gather, sync_batchnorm, world_size
from lucency.train.losses import AuxiliaryLoss, ForwardOutput, MeanLoss
from lucency.train.metrics import Row, epoch_metrics

Loader = DataLoader[Batch]


class ClassifierModule(pl.LightningModule):
    """One phase of training a network.

    Args:
        network: takes what the loaders yield, gives logits (n, findings).
        loss: of a training batch.
        settings: learning rate, schedule, decay.
        seed: with epoch and batch, decides dropout.
        train_batches: epoch -> the training batches of that epoch.
        val_batches: the validation batches.
        keep_frozen: called whenever training mode is switched on, to put frozen parts back into evaluation mode.
        auxiliary: added to the loss; those that are modules are trained too.
        mixup: both parameters of the Beta distribution of the share in which inputs are mixed in pairs; 0 mixes none.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: MeanLoss,
        settings: FitSettings,
        seed: int,
        train_batches: Callable[[int], Loader],
        val_batches: Loader,
        keep_frozen: Callable[[], None] = lambda: None,
        auxiliary: Sequence[AuxiliaryLoss] = (),
        mixup: float = 0.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.auxiliary = tuple(auxiliary)
        self.mixup = mixup
        self.settings = settings
        self.seed = seed
        self.train_batches = train_batches
        self.val_batches = val_batches
        self.keep_frozen = keep_frozen
        self.history: list[Row] = []
        self.outputs: dict[str, list[tuple[Tensor, Tensor]]] = {"train": [], "val": []}

    def train_dataloader(self) -> Loader:
        """The batches of the current epoch."""
        return self.train_batches(self.current_epoch)

    def val_dataloader(self) -> Loader:
        """The validation batches."""
        return self.val_batches

    def configure_optimizers(self) -> Any:
        """AdamW over the trainable parameters, and the recipe's schedule."""
        trainable = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trainable, self.settings.lr, weight_decay=self.settings.weight_decay, fused=True)
        return {
            "optimizer": optimizer,
            "lr_scheduler": schedule(optimizer, self.settings, len(self.train_batches(0))),
        }

    def on_train_epoch_start(self) -> None:
        """Training mode, except for frozen parts."""
        self.network.train()
        self.keep_frozen()

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Loss of a training batch. What is random depends on (seed, epoch, batch): a resumed epoch is the same."""
        torch.manual_seed((self.seed * 1_000_003 + self.current_epoch) * 1_000_003 + index)
        batch, partners, share = mix(batch, self.mixup) if self.mixup else (batch, batch.labels, 1.0)
        output = self._forward(batch)
        self.outputs["train"].append((output.logits.detach(), batch.labels))
        loss: Tensor = self.loss(output.logits, batch.labels)
        if share < 1:
            loss = share * loss + (1 - share) * self.loss(output.logits, partners)
        loss = loss + sum(auxiliary(output) for auxiliary in self.auxiliary)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss.item()} at epoch {self.current_epoch}, batch {index}")
        return loss

    def on_validation_epoch_start(self) -> None:
        """All processes validate the same network."""
        sync_batchnorm(self.network)

    def validation_step(self, batch: Batch, index: int) -> None:
        """Keep the logits of a validation batch for the end of the epoch."""
        self.outputs["val"].append((self.network(batch.inputs).float(), batch.labels))

    def on_validation_epoch_end(self) -> None:
        """One row of history: the metrics over all films of all processes."""
        row: Row = {"epoch": float(self.current_epoch + 1), "lr": self._lr()}
        for split in ("train", "val"):
            row |= {f"{split}_{name}": value for name, value in self._metrics(split).items()}
            self.outputs[split].clear()
        self.history.append(row)
        for name, value in row.items():
            self.log(name, value, prog_bar=False, rank_zero_only=False, sync_dist=world_size() > 1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the history, so that a resumed run's is complete."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the history."""
        self.history = list(checkpoint["history"])

    def _forward(self, batch: Batch) -> ForwardOutput:
        """Maps and features are computed only for auxiliary losses."""
        if not self.auxiliary:
            empty = torch.empty(0)
            return ForwardOutput(batch, self.network(batch.inputs).float(), empty, empty)
        assert isinstance(self.network, Classifier | ViewNetwork)
        logits, maps, pooled = self.network.forward_all(batch.inputs)
        return ForwardOutput(batch, logits.float(), maps, pooled)

    def _metrics(self, split: str) -> Row:
        logits = all_gather(torch.cat([logits for logits, _ in self.outputs[split]]))
        labels = all_gather(torch.cat([labels for _, labels in self.outputs[split]]))
        loss = self.loss.objective(logits, labels).item()
        return {"loss": loss} | epoch_metrics(logits.numpy(), labels.numpy().astype(np.int64))

    def _lr(self) -> float:
        return float(self.trainer.optimizers[0].param_groups[0]["lr"])


def mix(batch: Batch, beta: float) -> tuple[Batch, Tensor, float]:
    """Mix inputs in pairs (Zhang et al. 2018, mixup); also the partners' labels, and the share of the first of a pair.

    The share is at least one half: the loss is the same whichever of two is called the first.
    """
    drawn = float(torch.distributions.Beta(beta, beta).sample())
    share, other = max(drawn, 1 - drawn), torch.randperm(len(batch.labels))
    return Batch(batch.inputs.lerp(batch.inputs[other], 1 - share), batch.labels), batch.labels[other], share


def schedule(optimizer: Optimizer, settings: FitSettings, steps_per_epoch: int) -> Any:
    """The learning-rate schedule as Lightning takes it: a scheduler, and how often it steps."""
    steps = max(1, settings.epochs * steps_per_epoch)
    if settings.schedule == "exponential":  # constant within an epoch, as Keras' LearningRateScheduler
        decay = lr_scheduler.ExponentialLR(optimizer, 0.1 ** (1 / settings.decay_epochs))
        return {"scheduler": decay, "interval": "epoch"}
    if settings.schedule == "cosine":
        return {"scheduler": lr_scheduler.CosineAnnealingLR(optimizer, steps), "interval": "step"}
    if settings.schedule == "one_cycle":
        cycle = lr_scheduler.OneCycleLR(optimizer, settings.lr, steps, cycle_momentum=False)
        return {"scheduler": cycle, "interval": "step"}
    return {"scheduler": lr_scheduler.ConstantLR(optimizer, factor=1.0), "interval": "step"}
