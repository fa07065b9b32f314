"""One phase of training by Lightning: checkpoints, early stopping, averaging, logs, resume."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from torch.optim.swa_utils import get_ema_avg_fn

from lucency.errors import OutputError, TrainingError
from lucency.progress import PATIENCE_S, clock
from lucency.recipe import FinetuneSettings, FitSettings
from lucency.train.checkpoints import LAST, CheckpointFiles, find_last, read_best, read_checkpoint, unwritable_run
from lucency.train.distributed import sync_batchnorm, world_size
from lucency.train.metrics import Row
from lucency.train.module import ClassifierModule

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts: sums in a fixed order

MONITOR = "val_auroc"
"""The best checkpoint is the one with the highest validation AUROC. `keep = "last"` keeps the last instead."""


Watch = Callable[[list[Row]], None]
"""Called after each epoch with the metrics of the phase so far, a row per epoch."""


def fit(
    module: ClassifierModule, settings: FitSettings, folder: Path, title: str, watch: Watch | None = None
) -> list[Row]:
    """Train one phase, from the last complete epoch if `folder` holds one, and load the weights to keep.

    Args:
        module: the network and its data; holds the kept weights afterwards.
        settings: epochs, learning rate, early stopping.
        folder: of this phase's checkpoints.
        title: of the phase, in progress and errors.
        watch: called after each epoch.

    Returns:
        one row of metrics per epoch.

    Raises:
        TrainingError: the loss is not finite, or the kept checkpoint is damaged.
        OutputError: a checkpoint cannot be written.
        KeyboardInterrupt: Ctrl-C; the last complete epoch is kept.
    """
    last = find_last(folder)
    if last is not None and _is_finished(state := read_checkpoint(last), settings):
        module.history = list(state["history"])
        return _load_kept(module, settings, folder)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # no advice on devices
    trainer = _trainer(settings, folder, _callbacks(module, settings, folder, title, watch))
    try:
        with warnings.catch_warnings(), _quiet_writer():
            _ignore_advice()
            folder.mkdir(parents=True, exist_ok=True)
            trainer.fit(module, ckpt_path=last, weights_only=True)
    except SystemExit as stop:  # Lightning's reaction to Ctrl-C
        raise KeyboardInterrupt from stop
    except FloatingPointError as error:
        raise TrainingError(f"{title}: {error}; lower lr, or look for broken films with lucency audit") from error
    except (OSError, OutputError) as error:
        raise unwritable_run(folder, error) from error
    return _load_kept(module, settings, folder)


def _callbacks(
    module: ClassifierModule, settings: FitSettings, folder: Path, title: str, watch: Watch | None
) -> list[Callback]:
    found: list[Callback] = [EpochProgress(title, settings.epochs, watch)]
    if settings.patience:
        found.append(EarlyStopping(MONITOR, mode="max", patience=settings.patience))
    if isinstance(settings, FinetuneSettings) and settings.ema:
        found.append(Averaging(avg_fn=get_ema_avg_fn(settings.ema)))  # type: ignore[no-untyped-call]
    # At the end of the epoch, after early stopping has counted: a resumed run then begins with a complete epoch.
    options: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
    best = ModelCheckpoint(folder, "best", monitor=MONITOR, mode="max", **options)
    return [*found, best, ModelCheckpoint(folder, "last", **options)]


def _trainer(settings: FitSettings, folder: Path, callbacks: list[Callback]) -> pl.Trainer:
    # Deterministic mode also fills all new memory, to reveal reads of uninitialised values; a quarter of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    bf16 = isinstance(settings, FinetuneSettings) and settings.precision == "bf16"
    return pl.Trainer(
        max_epochs=settings.epochs,
        accelerator="auto",
        **_parallelism(),
        precision="bf16-mixed" if bf16 else "32-true",
        callbacks=callbacks,
        logger=_loggers(folder),
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1_000_000,
        deterministic="warn",
        plugins=[CheckpointFiles()],
    )


def _parallelism() -> dict[str, Any]:
    """Devices and strategy; loaders and metrics know their own share (lucency.train.distributed)."""
    if world_size() == 1:
        return {"devices": 1}
    each = int(os.environ["LOCAL_WORLD_SIZE"])
    # Statistics of batch normalisation are averaged before validation, not sent at each step.
    strategy = DDPStrategy(forward_sync_buffers=False)
    return {
        "devices": each,
        "num_nodes": world_size() // each,
        "strategy": strategy,
        "use_distributed_sampler": False,
    }


def _loggers(folder: Path) -> list[Logger]:
    """TensorBoard always; MLflow where it is installed. Neither gets the name of a file or a patient."""
    loggers: list[Logger] = [TensorBoardLogger(folder.parent.parent / "tensorboard", name="", version=folder.name)]
    try:
        import mlflow  # noqa: F401
    except ImportError:
        return loggers
    from lightning.pytorch.loggers import MLFlowLogger

    return [*loggers, MLFlowLogger("lucency", tracking_uri=f"file:{folder.parent.parent / 'mlruns'}")]


@contextlib.contextmanager
def _quiet_writer() -> Iterator[None]:
    """TensorBoard writes in a thread; `fit` raises what that thread raises, so its traceback says nothing more."""
    usual = threading.excepthook
    threading.excepthook = lambda raised: None if issubclass(raised.exc_type, OSError) else usual(raised)
    try:
        yield
    finally:
        threading.excepthook = usual


def _ignore_advice() -> None:
    """Lightning's advice on worker counts and folders does not apply."""
    for message in (
        ".*does not have many workers.*",
        ".*exists and is not empty.*",
        ".*LeafSpec.*",
        ".*logging interval.*",
        ".*does not have a deterministic implementation.*",  # the order of equal values does not matter
    ):
        warnings.filterwarnings("ignore", message)


def _is_finished(state: dict[str, Any], settings: FitSettings) -> bool:
    """Whether all epochs are done, or patience is exhausted."""
    waited = [value["wait_count"] for key, value in state["callbacks"].items() if "EarlyStop" in key]
    return len(state["history"]) >= settings.epochs or any(count >= settings.patience for count in waited)


def _load_kept(module: ClassifierModule, settings: FitSettings, folder: Path) -> list[Row]:
    """Load the weights of the best or the last epoch; returns the history."""
    kept = read_checkpoint(folder / LAST) if settings.keep == "last" else read_best(folder, MONITOR)
    module.load_state_dict(kept["state_dict"])
    return module.history


class Averaging(WeightAveraging):
    """Validates and keeps the moving average of the weights."""

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Also synchronise the trained network before the average replaces it: a resumed run needs it."""
        sync_batchnorm(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)


class EpochProgress(Callback):
    """Progress with the time left over all epochs: one moving line on a terminal, one line per epoch in a log."""

    def __init__(self, title: str, epochs: int, watch: Watch | None = None) -> None:
        self.title = title
        self.epochs = epochs
        self.watch = watch
        self.start = self.shown = 0.0
        self.first_epoch = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock; epochs of an earlier run do not count."""
        self.start = self.shown = time.monotonic()
        self.first_epoch = trainer.current_epoch

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show the batch and the time left."""
        now = time.monotonic()
        quiet = now - self.start < PATIENCE_S or now - self.shown < 0.5
        if quiet or not trainer.is_global_zero or not sys.stderr.isatty():
            return
        self.shown = now
        batches = int(trainer.num_training_batches)
        done = trainer.current_epoch - self.first_epoch + (batch_idx + 1) / batches
        where = f"epoch {trainer.current_epoch + 1}/{self.epochs}, batch {batch_idx + 1}/{batches}"
        print(f"\r\x1b[2K{self.title}: {where}, {self._left(now, done)} left", end="", file=sys.stderr, flush=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the metrics of the epoch."""
        if not trainer.is_global_zero:
            return
        left = self._left(time.monotonic(), trainer.current_epoch + 1 - self.first_epoch)
        metrics = trainer.callback_metrics
        figures = "  ".join(f"{name} {float(metrics[name]):.4f}" for name in ("train_loss", "val_loss", "val_auroc"))
        lead = "\r\x1b[2K" if sys.stderr.isatty() else ""
        where = f"epoch {trainer.current_epoch + 1}/{self.epochs}"
        print(f"{lead}{self.title}: {where}  {figures}  {left} left", file=sys.stderr, flush=True)
        if self.watch and isinstance(pl_module, ClassifierModule):
            self.watch(pl_module.history)

    def _left(self, now: float, done: float) -> str:
        return clock((self.epochs - self.first_epoch - done) * (now - self.start) / done)
