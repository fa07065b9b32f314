"""From a .onnx or .tflite file to a bundle that runs it as it is. Needs its runtime, no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from lucency.bundle import Model, write_bundle
from lucency.bundle.card import IMPORTED, Format
from lucency.errors import BundleError, UsageError, WeightsError
from lucency.importing.imported import Imported, ImportOptions, card_of, choose_input
from lucency.importing.input_range import RANGES
from lucency.importing.outputs import Outputs, read_outputs
from lucency.preprocess import Preprocess
from lucency.reader.engines import ADAPTER, Activation, Adapter, Session, answer, open_session

FORMATS: dict[str, Format] = {".onnx": "onnx", ".tflite": "litert"}
SUFFIXES = {kind: suffix for suffix, kind in FORMATS.items()}
RUNTIMES = {"onnx": "onnxruntime", "litert": "ai-edge-litert"}
PROBES = 8
"""Squares of noise that show in which activation a network ends."""


@dataclass(frozen=True)
class NetworkInput:
    """The square that a network takes."""

    side: int
    channels: int
    channels_first: bool


def import_network(path: Path, content: bytes, kind: Format, out: Path, options: ImportOptions) -> Imported:
    """Write the content of a .onnx or .tflite classifier, byte for byte, and its adapter as a bundle.

    Raises:
        BundleError: the runtime is not installed; else as `import_model`.
    """
    try:
        session = open_session(content, kind)
        taken = _square(session, options.image_size)
        last, units = _activation(session, taken, options.activation)
        outputs = read_outputs(None if last == "logits" else last, units, options.classes, options.flip)
    except BundleError as error:
        raise error.prefixed(str(path)) from None
    except ValueError as error:
        raise WeightsError(f"{path}: cannot be imported ({error})") from error

    def adapter(name: str) -> Adapter:
        return _adapter(taken, name, last, outputs)

    def logits(name: str, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.stack([answer(session, adapter(name), square) for square in squares])

    chosen = choose_input(path, options, outputs.labels, logits, taken.side)
    file = f"model{SUFFIXES[kind]}"
    model = Model(format=kind, file=file, backbone=IMPORTED, head=IMPORTED, architecture=ADAPTER)
    versions = {RUNTIMES[kind]: version(RUNTIMES[kind])}
    card = card_of(
        path, content, outputs, model, Preprocess(taken.side, chosen.resize_mode), chosen.pixel_range, versions
    )
    files = {model.file: content, ADAPTER: adapter(chosen.pixel_range).model_dump_json(indent=1).encode()}
    says = (
        f"{kind}, {len(content) / 1e6:.1f} MB, films of {taken.side} × {taken.side} × {taken.channels}",
        outputs.says + ("" if options.activation else ", by its answers to noise; --activation says otherwise"),
        chosen.says,
        "run as it is: no map of its own (occlusion draws one), no export, no fine-tuning",
    )
    return Imported(out, write_bundle(out, card, files, options.replace), says, chosen.tried)


def _square(session: Session, image_size: int | None) -> NetworkInput:
    if len(session.shape) != 4 or session.shape[0] not in (None, 1):
        raise ValueError(f"expected one film of height, width and channels, found the input {session.shape}")
    channels_first = session.shape[3] not in (1, 3)
    first, second, third = session.shape[1:]
    height, width, channels = (second, third, first) if channels_first else (first, second, third)
    side = height or image_size
    if side is None:
        raise UsageError("the network takes films of any size; say which it learned from with --image-size")
    if image_size not in (None, side):
        raise UsageError(f"--image-size {image_size}: the network takes {height} × {width}")
    if channels not in (1, 3) or (width or side) != side:
        raise ValueError(f"expected a square of 1 or 3 channels, found {height} × {width} × {channels}")
    return NetworkInput(side, channels, channels_first)


def _activation(session: Session, taken: NetworkInput, stated: str | None) -> tuple[Activation, int]:
    """The activation that the network ends in, and its number of outputs."""
    known = next((one for one in get_args(Activation) if one == stated), None)
    if stated is not None and known is None:
        raise UsageError(f"--activation: expected one of {', '.join(get_args(Activation))}, received '{stated}'")
    values = np.stack([session.run(film).reshape(-1) for film in _noise(taken)])
    if not np.isfinite(values).all():
        raise ValueError("its answers are not numbers")
    if known is not None:
        return known, values.shape[1]
    shares = bool((values >= 0).all() and (values <= 1).all())
    if shares and values.shape[1] > 1 and bool(np.abs(values.sum(axis=1) - 1).max() < 0.02):
        return "softmax", values.shape[1]
    return "sigmoid" if shares else "logits", values.shape[1]


def _noise(taken: NetworkInput) -> list[NDArray[np.float32]]:
    """Inputs of every size: from -1..1 to 0..255."""
    rng = np.random.default_rng(0)
    film = (
        (taken.channels, taken.side, taken.side) if taken.channels_first else (taken.side, taken.side, taken.channels)
    )
    scales = np.geomspace(1, 255, PROBES)
    return [np.asarray(rng.uniform(-1 if scale < 4 else 0, 1, (1, *film)) * scale, np.float32) for scale in scales]


def _adapter(taken: NetworkInput, pixel_range: str, activation: Activation, outputs: Outputs) -> Adapter:
    mean, std = RANGES[pixel_range]
    stds, means = std[: taken.channels], mean[: taken.channels]
    return Adapter(
        channels=taken.channels,  # type: ignore[arg-type]
        channels_first=taken.channels_first,
        scale=tuple(1 / (255 * one) for one in stds),
        shift=tuple(-one / two for one, two in zip(means, stds, strict=True)),
        activation=activation,
        fold=tuple(map(tuple, outputs.fold.tolist())),
    )
