"""A run: a trained classifier on disk. The same directory as a bundle, with the weights in safetensors."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from lucency.bundle import Bundle, Card, open_bundle, write_bundle
from lucency.compat import rename_weights
from lucency.errors import BundleError
from lucency.models import Classifier, build
from lucency.models.imported import build_imported, parse_architecture
from lucency.preprocess import Preprocess
from lucency.recipe import ModelSettings

WEIGHTS = "model.safetensors"
SHAPE = (
    *("backbone", "width", "depth", "stride", "expansion", "lung_crop", "crop_scales", "tta_flip", "tta_zoom"),
    *("spread", "head"),
)
"""Settings of a recipe's [model] that its card keeps: with these and the weights the network is built again."""


@dataclass(frozen=True)
class Run:
    """A trained classifier with its card."""

    path: Path
    card: Card
    classifier: Classifier
    """In evaluation mode, on the CPU."""
    preprocess: Preprocess


def save_run(
    out: Path,
    classifier: Classifier,
    card: Card,
    files: Mapping[str, bytes | Path] | None = None,
    replace: bool = False,
) -> Card:
    """Write a classifier, its card and further `files` to the directory `out`, whole or not at all.

    Args:
        out: a new directory, or one that holds no card yet.
        classifier: unchanged.
        card: its model format, file, parameter count and hashes are filled in here.
        files: name → content of further files.
        replace: overwrite an existing run.

    Returns:
        the card as written.

    Raises:
        OutputError: `out` holds a run or bundle already, or cannot be written.
    """
    counted = sum(parameter.numel() for parameter in classifier.parameters())
    model = card.model.model_copy(update={"format": "torch", "file": WEIGHTS, "parameters": counted})
    state = {name: value.detach().cpu().contiguous() for name, value in classifier.state_dict().items()}
    content = {WEIGHTS: safetensors.torch.save(state), **(files or {})}
    return write_bundle(out, card.model_copy(update={"model": model}), content, replace)


def open_run(path: Path) -> Run:
    """Open the run at `path`, a directory or a .zip of one.

    Raises:
        BundleError: broken, altered, from a newer lucency, or a bundle for another engine than PyTorch.
    """
    return load_run(open_bundle(path))


def load_run(bundle: Bundle) -> Run:
    """The classifier of a run whose card has been read. Raises BundleError as `open_run` does."""
    card = bundle.card
    if card.model.format != "torch":
        raise BundleError(
            f"{bundle.path}: expected a run, written by lucency train; this is a bundle for {card.model.format}, "
            "which holds no trainable network"
        )
    preprocess = Preprocess.from_json(card.preprocess.model_dump())
    return Run(bundle.path, card, _classifier(bundle), preprocess)


def _classifier(bundle: Bundle) -> Classifier:
    model = bundle.card.model
    if model.architecture is not None:
        return _imported(bundle, model.architecture)
    shape = model.model_dump(include=set(SHAPE))
    settings = ModelSettings.model_validate(shape)
    with torch.random.fork_rng(devices=[]):  # the random initial weights are replaced anyway
        classifier = build(settings, findings=bundle.card.findings)
    try:
        classifier.load_state_dict(rename_weights(safetensors.torch.load(bundle.read(model.file))))
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise BundleError(
            f"{bundle.path}: {model.file} does not hold the weights of {model.backbone} with width {model.width:g} "
            f"and head {model.head}, which the card names; get the run again"
        ) from error
    return classifier.eval()


def _imported(bundle: Bundle, architecture: str) -> Classifier:
    try:
        state = safetensors.torch.load(bundle.read(bundle.card.model.file))
        return build_imported(parse_architecture(bundle.read(architecture)), state)
    except BundleError as error:
        raise error if str(error).startswith(str(bundle.path)) else error.prefixed(str(bundle.path)) from None
    except safetensors.SafetensorError as error:
        raise BundleError(f"{bundle.path}: {bundle.card.model.file} holds no weights; get the run again") from error


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""


def keep_freed_memory() -> bool:
    """Make glibc keep freed blocks for the next step of the same network.

    By default the kernel maps and clears every block above 32 MiB again for each allocation: at 224 pixels and 32
    films that took most of a forward pass (docs/decisions.md). The process' peak is the same.

    Returns:
        whether it succeeded; without glibc nothing changes.
    """
    if sys.platform != "linux":
        return False
    try:
        set_option = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(set_option(M_MMAP_THRESHOLD, 1 << 30) and set_option(M_TRIM_THRESHOLD, -1))  # -1: give nothing back
