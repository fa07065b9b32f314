"""One phase of fitting, carried by Lightning: checkpoints, early stopping, averaging, logs, resume."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from lucency.errors import OutputError, TrainingError
from lucency.recipe import FitSettings, TuneSettings
from lucency.train.average import averaging
from lucency.train.clock import TimeLeft
from lucency.train.step import Row, Step
from lucency.train.team import size

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts: its sums come in one order

MONITOR = "val_auroc"
"""The best checkpoint is the one with the highest validation AUROC."""


def fit(step: Step, settings: FitSettings, folder: Path, doing: str) -> list[Row]:
    """Fit one phase, going on from the last whole epoch if `folder` holds one; the best weights are put back.

    Args:
        step: the network and what it is fitted to; holds the best weights afterwards.
        settings: how long and how fast.
        folder: of this phase's checkpoints.
        doing: what a person reads beside the progress.

    Returns:
        one row of metrics per epoch.

    Raises:
        TrainingError: the loss is no longer a number.
        OutputError: a checkpoint cannot be written.
        KeyboardInterrupt: Ctrl-C; the last whole epoch is kept.
    """
    last = folder / "last.ckpt"
    if last.exists() and _finished(last, settings):
        step.history = list(_load(last)["history"])
        return _put_back(step, folder / "best.ckpt")
    steps = len(step.train_loader(0))
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # its advice on devices is not for who trains
    trainer = _trainer(
        settings, folder, [TimeLeft(doing, settings.epochs), *_extras(settings, steps), *_keepers(folder)]
    )
    try:
        with warnings.catch_warnings():
            _hush()
            trainer.fit(step, ckpt_path=last if last.exists() else None, weights_only=True)
    except SystemExit as stop:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from stop
    except FloatingPointError as error:
        raise TrainingError(f"{doing}: {error}; lower lr, or look for broken films with lucency audit") from error
    except OSError as error:
        reason = f"a checkpoint cannot be written ({error.strerror or error})"
        raise OutputError(f"{folder}: {reason}; free some space, then go on with --resume") from error
    return _put_back(step, folder / "best.ckpt")


def _keepers(folder: Path) -> list[Callback]:
    """The best epoch is kept, and the last one: what a stopped run goes on from.

    At the end of the epoch, after early stopping has counted: what is resumed then begins with a whole epoch.
    """
    best = ModelCheckpoint(
        folder, "best", monitor=MONITOR, mode="max", save_on_train_epoch_end=True, enable_version_counter=False
    )
    last = ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    return [best, last]


def _trainer(settings: FitSettings, folder: Path, callbacks: list[Callback]) -> pl.Trainer:
    # Deterministic mode also paints all new memory, to show reads of what was never written; a quarter of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return pl.Trainer(
        max_epochs=settings.epochs,
        accelerator="auto",
        **_together(),
        precision=_precision(settings),
        callbacks=callbacks,
        logger=_loggers(folder),
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1_000_000,
        deterministic="warn",
    )


def _together() -> dict[str, Any]:
    """How the processes of a team share the work; the loaders and metrics know their own part (lucency.train.team)."""
    if size() == 1:
        return {"devices": 1}
    each = int(os.environ["LOCAL_WORLD_SIZE"])
    # Statistics of batch normalisation are averaged when the network is judged, not sent at each step.
    strategy = DDPStrategy(forward_sync_buffers=False)
    return {"devices": each, "num_nodes": size() // each, "strategy": strategy, "use_distributed_sampler": False}


def _precision(settings: FitSettings) -> Any:
    wanted = settings.precision if isinstance(settings, TuneSettings) else "32"
    return "bf16-mixed" if wanted == "bf16" else "32-true"


def _extras(settings: FitSettings, steps: int) -> list[Callback]:
    stopping = [EarlyStopping(MONITOR, mode="max", patience=settings.patience)] if settings.patience else []
    average = averaging(settings, steps) if isinstance(settings, TuneSettings) else None
    return [*stopping, *([average] if average else [])]


def _loggers(folder: Path) -> list[Logger]:
    """TensorBoard always; MLflow where it is installed. Neither is told a file's or a patient's name."""
    loggers: list[Logger] = [TensorBoardLogger(folder.parent.parent / "tensorboard", name="", version=folder.name)]
    try:
        import mlflow  # noqa: F401
    except ImportError:
        return loggers
    from lightning.pytorch.loggers import MLFlowLogger

    return [*loggers, MLFlowLogger("lucency", tracking_uri=f"file:{folder.parent.parent / 'mlruns'}")]


def _hush() -> None:
    """Lightning's advice on worker counts and folders is not for the person who trains."""
    for message in (
        ".*does not have many workers.*",
        ".*exists and is not empty.*",
        ".*LeafSpec.*",
        ".*logging interval.*",
        ".*does not have a deterministic implementation.*",  # which of equal pixels is the median does not matter
    ):
        warnings.filterwarnings("ignore", message)


def _finished(last: Path, settings: FitSettings) -> bool:
    """Whether the phase had come to its end: all epochs done, or patience lost."""
    state = _load(last)
    lost = [value["wait_count"] >= settings.patience for key, value in state["callbacks"].items() if "EarlyStop" in key]
    return len(state["history"]) >= settings.epochs or any(lost)


def _put_back(step: Step, best: Path) -> list[Row]:
    """Load the best weights, whether or not fitting stopped early; gives the history."""
    step.load_state_dict(_load(best)["state_dict"])
    return step.history


def _load(checkpoint: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return state
