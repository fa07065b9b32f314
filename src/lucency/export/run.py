"""Export a run: convert, make smaller, check, add golden answers, write the bundle whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from lucency.bundle import Bundle, Card, open_bundle, write_bundle
from lucency.bundle.card import Quantize
from lucency.errors import ExportError, UsageError
from lucency.export import TARGETS, Target, TargetName
from lucency.export.golden import golden_files
from lucency.files import sha256_bytes
from lucency.reader import ENGINES

LICENCE = "LICENSE"


def export_run(
    path: Path,
    to: TargetName,
    out: Path,
    quantize: Quantize = "none",
    squares: NDArray[np.uint8] | None = None,
    replace: bool = False,
) -> Card:
    """Write the bundle `out` for one target.

    Args:
        path: a run.
        to: a row of TARGETS.
        out: a new directory.
        quantize: none, or a smaller edition that the target has.
        squares: uint8 (n, side, side), training films to measure ranges on; int8 needs them.
        replace: whether a bundle that is there already may be written over.

    Returns:
        the card as written.

    Raises:
        UsageError: no such target or edition.
        BundleError: `path` is not a run, or is altered.
        ExportError: the network cannot be written for this target, or its converter is not installed.
        OutputError: `out` holds a bundle already, or cannot be written.
    """
    target = chosen(to, quantize)
    run = open_bundle(path)
    content, outputs = convert(run, target)
    if quantize != "none":
        content = target.quantize[quantize](content, squares)
        target.check(content, outputs)
    card = export_card(run.card, to, target.file, quantize)
    files = {target.file: content, LICENCE: licence(run.card)}
    return write_bundle(out, card, {**files, **_golden(card, files)}, replace)


def chosen(to: str, quantize: str) -> Target:
    """The row of TARGETS.

    Raises:
        UsageError: no such target, or it has no such edition.
    """
    if to not in TARGETS:
        raise UsageError(f"expected --to to be one of {', '.join(TARGETS)}; received '{to}'")
    target: Target = TARGETS[to]
    if quantize != "none" and quantize not in target.quantize:
        raise UsageError(f"{to}: expected --quantize none, {', '.join(target.quantize)}; received '{quantize}'")
    return target


def convert(run: Bundle, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The run's float32 file for a target, checked, and the names of its answers."""
    try:
        from lucency.export.network import Answering
        from lucency.models.gate import load_gate
        from lucency.models.run import load_run
    except ImportError as error:
        raise ExportError(f"exporting needs PyTorch; pip install 'lucency[export]' ({error})") from error
    network = Answering(load_run(run).classifier, run.card, load_gate(run))
    print(f"converting {run.card.model.backbone} to {target.file}, which takes half a minute", file=sys.stderr)
    content = target.convert(network, run.card.preprocess.image_size)
    target.check(content, network.outputs)
    return content, network.outputs


def export_card(run: Card, to: TargetName, file: str, quantize: Quantize) -> Card:
    """The card of a run's export. The recipe keeps the name of a weights file, not the folder where it lay."""
    recipe = {**run.training.recipe}
    if isinstance(recipe.get("model"), dict):
        recipe["model"] = {**recipe["model"], "weights": PurePath(recipe["model"].get("weights", "none")).name}
    model = {"format": to, "file": file, "quantize": quantize, "source": run.files[run.model.file]}
    return run.model_copy(
        update={
            "model": run.model.model_copy(update=model),
            "calibration": run.calibration.model_copy(update={"in_graph": True}),
            "gate": run.gate.model_copy(update={"file": None}),
            "training": run.training.model_copy(update={"recipe": recipe}),
            "parity": None,
            "files": {},
        }
    )


def licence(card: Card) -> bytes:
    """What a bundle's LICENSE says."""
    return f"{card.name}: weights and bundle under {card.licence or 'no licence stated'}.\n".encode()


def _golden(card: Card, files: dict[str, bytes]) -> dict[str, bytes]:
    """Golden answers by the very engine that readers use, over the file in memory."""
    hashes = {name: sha256_bytes(content) for name, content in files.items()}
    load: Callable[[str], bytes] = files.__getitem__
    engine = ENGINES[card.model.format](Bundle(Path("export"), card.model_copy(update={"files": hashes}), "", load), 1)
    return golden_files(card, engine)
