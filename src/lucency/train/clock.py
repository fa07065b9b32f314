"""Progress of a phase with the time left over all of its epochs."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from lucency.progress import PATIENCE_S, clock


class TimeLeft(Callback):
    """One line that moves on a terminal, one line an epoch in a log."""

    def __init__(self, doing: str, epochs: int) -> None:
        self.doing = doing
        self.epochs = epochs
        self.start = self.shown = 0.0
        self.first_epoch = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Time counts from here; epochs that an earlier run did are not in the rate."""
        self.start = self.shown = time.monotonic()
        self.first_epoch = trainer.current_epoch

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show where in which epoch, and how long still."""
        now = time.monotonic()
        if (
            not trainer.is_global_zero
            or not sys.stderr.isatty()
            or now - self.start < PATIENCE_S
            or now - self.shown < 0.5
        ):
            return
        self.shown = now
        per_epoch = int(trainer.num_training_batches)
        done = (trainer.current_epoch - self.first_epoch) * per_epoch + batch_idx + 1
        left = ((self.epochs - self.first_epoch) * per_epoch - done) * (now - self.start) / done
        where = f"epoch {trainer.current_epoch + 1}/{self.epochs}, batch {batch_idx + 1}/{per_epoch}"
        print(f"\r\x1b[2K{self.doing}: {where}, {clock(left)} left", end="", file=sys.stderr, flush=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """One line that stays."""
        if not trainer.is_global_zero:
            return
        now = time.monotonic()
        done = trainer.current_epoch + 1 - self.first_epoch
        left = (self.epochs - trainer.current_epoch - 1) * (now - self.start) / done
        metrics = trainer.callback_metrics
        figures = "  ".join(f"{name} {float(metrics[name]):.4f}" for name in ("train_loss", "val_loss", "val_auroc"))
        lead = "\r\x1b[2K" if sys.stderr.isatty() else ""
        print(
            f"{lead}{self.doing}: epoch {trainer.current_epoch + 1}/{self.epochs}  {figures}  {clock(left)} left",
            file=sys.stderr,
            flush=True,
        )
