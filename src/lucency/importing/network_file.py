"""Networks that are imported from files of other frameworks, without PyTorch.

A .onnx or .tflite file becomes a bundle that runs it as it is, which needs its runtime. A SavedModel is converted by a
child process, in a Python that has TensorFlow, to a file that is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from lucency.bundle import Model, write_bundle
from lucency.bundle.card import IMPORTED, Format
from lucency.errors import BundleError, ExtraError, UsageError, WeightsError
from lucency.files import scratch
from lucency.importing.imported import (
    RANGES,
    Imported,
    ImportOptions,
    Outputs,
    card_of,
    choose_input,
    read_model,
    read_outputs,
)
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


CHILD = Path(__file__).with_name("saved_model_child.py")
SECONDS = 900
"""That TensorFlow may take; a MobileNet takes a few seconds of processor time."""
KEPT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")
"""Variables of the environment that the child gets: no token or proxy is among them."""
QUIET = {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}


def is_saved_model(path: Path) -> bool:
    """Whether it is a folder as TensorFlow saves."""
    return (path / "saved_model.pb").is_file()


def convert(path: Path, python: Path | str | None = None) -> tuple[bytes, str]:
    """The content and suffix of the file that a SavedModel becomes: `.h5` if Keras 2 described it, else `.tflite`.

    Args:
        path: the SavedModel. TensorFlow loads what is no `.h5`, and a graph can read and write files: it gets bounded
            memory and time, and no network where Linux allows that, but it is no jail.
        python: one that has TensorFlow; by default this one.

    Raises:
        ExtraError: no TensorFlow there.
        WeightsError: TensorFlow cannot load or convert it, or not in time.
    """
    if python is None and find_spec("tensorflow") is None:
        raise ExtraError(
            f"{path}: TensorFlow reads a SavedModel, and this Python has none; name one that has it by --tensorflow "
            "PYTHON, or save the network where it was made with model.save('model.keras')"
        )
    print(f"{path}: TensorFlow converts it, for at most {SECONDS // 60} minutes", file=sys.stderr)
    with scratch() as folder:
        out = folder / "model"
        _run([str(python or sys.executable), "-I", str(CHILD), str(path.resolve()), str(out)], folder, path)
        found = next(out.with_suffix(suffix) for suffix in (".h5", ".tflite") if out.with_suffix(suffix).is_file())
        return read_model(found), found.suffix


def _run(command: list[str], folder: Path, path: Path) -> None:
    own = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment = {**own, **QUIET, "HOME": str(folder), "TMPDIR": str(folder)}
    log = folder / "log"
    with log.open("wb") as stream:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise WeightsError(f"{path}: TensorFlow has not converted it within {SECONDS} s") from error
        except OSError as error:
            raise ExtraError(f"{command[0]}: expected a Python with TensorFlow ({error.strerror})") from error
    last = log.read_bytes()[-400:].decode(errors="replace").strip().rpartition("\n")[2][:200]
    if last.startswith("ModuleNotFoundError"):
        raise ExtraError(f"{command[0]}: expected a Python with TensorFlow ({last})")
    if done.returncode:
        raise WeightsError(f"{path}: TensorFlow cannot convert it ({last or f'exit {done.returncode}'})")
