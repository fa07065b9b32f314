"""A Core ML bundle: by Core ML on macOS, elsewhere by evaluating its program in numpy, slowly, to check an export.

The operations are those of coremltools' MIL, opset iOS 16, that `lucency export --to coreml` writes.
"""

from __future__ import annotations

import io
import sys
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from lucency.bundle import Bundle
from lucency.errors import BundleError
from lucency.files import scratch
from lucency.native_output import held_stderr
from lucency.reader.engines import NO_DOUBT, Row, interpreter_pool
from lucency.reader.outputs import Engine, Squares

FILES = tuple(
    f"model.mlpackage/{name}"
    for name in ("Manifest.json", "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin")
)
Array = NDArray[Any]
Given = Mapping[str, Any]
"""Inputs of an operation by name; arrays, or numbers and lists that are constants."""


def load_spec(content: bytes, folder: Path) -> Any:
    """The description of a zipped .mlpackage, unpacked into `folder`.

    Raises:
        BundleError: not such a package.
    """
    from coremltools.proto import Model_pb2
    from google.protobuf.message import DecodeError

    spec = Model_pb2.Model()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in FILES:
                if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
                    raise ValueError("its files are compressed")  # unpacked they could be of any size
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(archive.read(name))
        spec.ParseFromString((folder / FILES[1]).read_bytes())
    except (zipfile.BadZipFile, KeyError, ValueError, DecodeError) as error:
        raise BundleError(f"expected a zip of stored files with {FILES[0]}, found something else ({error})") from error
    return spec


def open_coreml(bundle: Bundle, threads: int) -> Engine:
    """Open a bundle whose format is `coreml`.

    Raises:
        BundleError: coremltools is not installed, or the file is not what docs/bundle.md says.
    """
    network = runner(bundle)
    asked = ("logit", "map", "doubt") if bundle.card.gate.checks else ("logit", "map")

    def one(square: Squares) -> Row:
        found = network(square[None, :, :, None].astype(np.float32))
        logit, cells, *doubt = (found[name][0] for name in asked)
        return logit, np.moveaxis(cells, -1, 0), doubt[0] if doubt else NO_DOUBT

    return interpreter_pool(bundle.card, lambda _: one, threads)


def runner(bundle: Bundle) -> Callable[[Array], dict[str, Array]]:
    """The network: float32 (1, s, s, 1) → its outputs by name.

    Raises:
        BundleError: coremltools is not installed, or the file is not what docs/bundle.md says.
    """
    try:
        with held_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of untested versions of other libraries
            import coremltools
            from coremltools.converters.mil.frontend.milproto.load import load
    except ImportError as error:
        raise BundleError(f"{bundle.path}: needs coremltools; pip install 'lucency[coreml]'") from error
    with scratch() as folder, held_stderr():
        spec = load_spec(bundle.read(bundle.card.model.file), folder)
        if sys.platform == "darwin":
            units = coremltools.ComputeUnit.CPU_ONLY
            model = coremltools.models.MLModel(f"{folder}/model.mlpackage", compute_units=units)
            return lambda film: dict(model.predict({"film": film}))
        program = load(spec, spec.specificationVersion, str(Path(folder, FILES[2]).parent))
    return lambda film: evaluate(program, film)


def evaluate(program: Any, film: Array) -> dict[str, Array]:
    """Run a MIL program in numpy.

    Raises:
        BundleError: an operation that is not among OPERATIONS.
    """
    main = program.functions["main"]
    known: dict[str, Array] = {"film": film}

    def value(given: Any) -> Any:
        if isinstance(given, list | tuple):
            return [value(one) for one in given]
        return known.get(given.name, given.val)

    for step in main.operations:
        if step.op_type != "const":
            if step.op_type not in OPERATIONS:
                raise BundleError(f"the program has the operation {step.op_type}, which is evaluated on macOS only")
            given = {name: value(one) for name, one in step.inputs.items() if one is not None}
            known[step.outputs[0].name] = OPERATIONS[step.op_type](given)
    return {output.name: known[output.name] for output in main.outputs}


def _conv(given: Given) -> Array:
    """X (n, i, h, w) with weight (o, i / groups, a, b)."""
    x, weight, groups = given["x"], _dilated(given), int(given.get("groups", 1))
    pad = [int(v) for v in given.get("pad", (0, 0, 0, 0))]
    x = np.pad(x, ((0, 0), (0, 0), (pad[0], pad[1]), (pad[2], pad[3])))
    down, across = (int(v) for v in given.get("strides", (1, 1)))
    windows = sliding_window_view(x, weight.shape[2:], axis=(2, 3))[:, :, ::down, ::across]
    count, channels, height, width = windows.shape[:4]
    apart = windows.reshape(count, groups, channels // groups, height, width, *weight.shape[2:])
    kernels = weight.reshape(groups, -1, *weight.shape[1:])
    found = np.einsum("ngihwab,goiab->ngohw", apart, kernels, optimize=True).reshape(count, -1, height, width)
    return np.asarray(found + given["bias"].reshape(1, -1, 1, 1) if "bias" in given else found)


def _dilated(given: Given) -> Array:
    """The weight with zeros between its values, as far apart as the dilations say."""
    weight = given["weight"]
    down, across = (int(v) for v in given.get("dilations", (1, 1)))
    height, width = ((size - 1) * step + 1 for size, step in zip(weight.shape[2:], (down, across), strict=True))
    apart = np.zeros((*weight.shape[:2], height, width), weight.dtype)
    apart[:, :, ::down, ::across] = weight
    return apart


def _pooled(given: Given, reduce: Callable[..., Array], around: float) -> Array:
    size = tuple(int(v) for v in given["kernel_sizes"])
    down, across = (int(v) for v in given.get("strides", size))
    x, pad = given["x"], [0, 0, 0, 0]
    if given["pad_type"] == "custom":
        pad = [int(v) for v in given["pad"]]
    x = np.pad(x, ((0, 0), (0, 0), (pad[0], pad[1]), (pad[2], pad[3])), constant_values=around)
    windows = sliding_window_view(x, size, axis=(2, 3))[:, :, ::down, ::across]
    return reduce(windows, axis=(-2, -1))


def _padded(given: Given) -> Array:
    if str(given["mode"]) != "constant":
        raise BundleError(f"the program pads by {given['mode']}, which is evaluated on macOS only")
    ends = np.asarray(given["pad"], int).reshape(-1, 2)
    before = [(0, 0)] * (given["x"].ndim - len(ends))
    return np.pad(given["x"], [*before, *map(tuple, ends)], constant_values=float(given["constant_val"]))


def _resized(given: Given) -> Array:
    """Bilinear between the centers of pixels, as align_corners=False."""
    x = given["x"]
    for axis, name in ((2, "scale_factor_height"), (3, "scale_factor_width")):
        size = round(x.shape[axis] * float(given[name]))
        places = np.clip((np.arange(size) + 0.5) * x.shape[axis] / size - 0.5, 0, x.shape[axis] - 1)
        near = np.minimum(places.astype(int), x.shape[axis] - 2)
        share = (places - near).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(4)])
        x = x.take(near, axis) * (1 - share) + x.take(near + 1, axis) * share
    return np.asarray(x)


def _sliced(given: Given) -> Array:
    x = given["x"]
    zeros = [False] * x.ndim
    strides = given.get("stride", [1] * x.ndim)
    whole, open_, squeezed = (given.get(f"{name}_mask", zeros) for name in ("begin", "end", "squeeze"))
    parts: list[Any] = []
    for axis in range(x.ndim):
        if squeezed[axis]:
            parts.append(int(given["begin"][axis]))
        else:
            start = None if whole[axis] else int(given["begin"][axis])
            end = None if open_[axis] else int(given["end"][axis])
            parts.append(slice(start, end, int(strides[axis])))
    return np.asarray(x[tuple(parts)])


def _matmul(given: Given) -> Array:
    x, y = given["x"], given["y"]
    x = np.swapaxes(x, -1, -2) if given.get("transpose_x") else x
    return np.asarray(x @ (np.swapaxes(y, -1, -2) if given.get("transpose_y") else y))


def _reduced(reduce: Callable[..., Array]) -> Callable[[Given], Array]:
    return lambda g: np.asarray(
        reduce(g["x"], axis=tuple(int(a) for a in g["axes"]), keepdims=bool(g["keep_dims"]), dtype=np.float32)
    )


def _expanded(given: Given) -> Array:
    return np.expand_dims(given["x"], tuple(int(axis) for axis in given["axes"]))


def _doubled(given: Given) -> Array:
    down, across = (int(given[f"scale_factor_{name}"]) for name in ("height", "width"))
    return np.asarray(given["x"].repeat(down, axis=2).repeat(across, axis=3))


def _softmax(given: Given) -> Array:
    shares = np.exp(given["x"] - given["x"].max(int(given["axis"]), keepdims=True))
    return np.asarray(shares / shares.sum(int(given["axis"]), keepdims=True))


OPERATIONS: dict[str, Callable[[Given], Array]] = {
    "abs": lambda g: np.abs(g["x"]),
    "add": lambda g: g["x"] + g["y"],
    "avg_pool": lambda g: _pooled(g, np.mean, 0.0),
    "clip": lambda g: np.clip(g["x"], g["alpha"], g["beta"]),
    "concat": lambda g: np.concatenate(g["values"], int(g["axis"])),
    "conv": _conv,
    "exp": lambda g: np.exp(g["x"]),
    "expand_dims": _expanded,
    "inverse": lambda g: 1 / (g["x"] + g["epsilon"]),
    "linear": lambda g: g["x"] @ g["weight"].T + g["bias"],
    "log": lambda g: np.log(g["x"] + g["epsilon"]),
    "matmul": _matmul,
    "max_pool": lambda g: _pooled(g, np.max, -np.inf),
    "maximum": lambda g: np.maximum(g["x"], g["y"]),
    "minimum": lambda g: np.minimum(g["x"], g["y"]),
    "mul": lambda g: g["x"] * g["y"],
    "pad": _padded,
    "real_div": lambda g: g["x"] / g["y"],
    "reduce_mean": _reduced(np.mean),
    "reduce_sum": _reduced(np.sum),
    "relu": lambda g: np.maximum(g["x"], 0),
    "relu6": lambda g: np.clip(g["x"], 0, 6),
    "reshape": lambda g: g["x"].reshape([int(v) for v in g["shape"]]),
    "reverse": lambda g: np.flip(g["x"], tuple(int(axis) for axis in g["axes"])),
    "sigmoid": lambda g: 1 / (1 + np.exp(-g["x"])),
    "slice_by_index": _sliced,
    "softmax": _softmax,
    "sqrt": lambda g: np.sqrt(g["x"]),
    "squeeze": lambda g: np.squeeze(g["x"], tuple(int(axis) for axis in g["axes"])),
    "stack": lambda g: np.stack(g["values"], int(g["axis"])),
    "sub": lambda g: g["x"] - g["y"],
    "tile": lambda g: np.tile(g["x"], [int(v) for v in g["reps"]]),
    "transpose": lambda g: np.transpose(g["x"], [int(v) for v in g["perm"]]),
    "upsample_bilinear": _resized,
    "upsample_nearest_neighbor": _doubled,
}
"""Names of MIL's operations and what they give of their inputs."""
