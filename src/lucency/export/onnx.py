"""ONNX: one self-contained .onnx file by torch.onnx; weights quantised here, activations by ONNX Runtime."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lucency.arrays import Floats32, Pixels
from lucency.errors import ExportError
from lucency.export.litert import MIN_WEIGHTS, first_line
from lucency.files import scratch
from lucency.native_output import held_stderr
from lucency.preprocess import as_input

if TYPE_CHECKING:
    from lucency.export.network import ExportNetwork

MISSING = "writing ONNX needs onnx and onnxscript; pip install 'lucency[export]'"
OPSET = 18
"""Old enough for phones' and browsers' ONNX Runtime, new enough for what torch.onnx writes without adapters."""
PLAIN = ("", "ai.onnx")
"""The domain of built-in operators."""
MIN_STRIDE = 8
"""Finer layers stay in float32 in int8 files: few weights that see every pixel."""
ACTIVATED = ("Conv", "Add", "Clip", "Relu", "Pad")
"""Operators of a backbone that get int8 activations."""
Stored = tuple[list[Any], list[Any]]
"""Constants and nodes that replace a float32 constant."""


def convert(network: ExportNetwork, side: int) -> bytes:
    """A float32 .onnx of one film, static shape, outputs by name, weights inside the file.

    Raises:
        ExportError: onnx is not installed, or the exporter does not support an operation of the network.
    """
    import torch

    from lucency.export.network import INPUT, example_film

    try:
        import onnx
        import onnxscript  # noqa: F401  torch.onnx needs it and its own error is long
    except ImportError as error:
        raise ExportError(f"{MISSING} ({error})") from error
    stream = io.BytesIO()
    try:
        with held_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (),
                kwargs={INPUT: example_film(side, network.channels)},
                input_names=[INPUT],
                output_names=list(network.outputs),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
            assert program is not None
            program.save(stream, external_data=False)  # type: ignore[arg-type]  # its code takes a stream too
    except Exception as error:  # torch.onnx wraps any error in its own exceptions
        raise ExportError(f"onnx: cannot convert this network ({first_line(error)})") from error
    model = onnx.load_from_string(stream.getvalue())
    _strip_notes(model)
    return bytes(model.SerializeToString())


def _strip_notes(model: Any) -> None:
    """Remove the converter's notes: paths and stack traces of this machine."""
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]


def check(content: bytes, outputs: tuple[str, ...]) -> None:
    """Raise if ONNX Runtime could not read a file everywhere.

    Raises:
        ExportError: an operator outside ai.onnx, weights outside the file, a dynamic shape, or other names.
    """
    import onnx

    model = onnx.load_from_string(content)
    custom = sorted({f"{node.domain}:{node.op_type}" for node in model.graph.node if node.domain not in PLAIN})
    if custom or model.functions:
        raise ExportError(f"onnx: expected operators of ai.onnx only, found {', '.join(custom) or 'functions'}")
    if any(item.data_location == onnx.TensorProto.EXTERNAL for item in model.graph.initializer):
        raise ExportError("onnx: expected one self-contained file, found weights outside of it")
    names = [value.name for value in model.graph.output]
    inputs = [value.name for value in model.graph.input]
    if inputs != ["film"] or set(names) != set(outputs):
        raise ExportError(f"onnx: expected film → {', '.join(outputs)}, found {inputs} → {', '.join(names)}")
    dims = [dim for value in (*model.graph.input, *model.graph.output) for dim in value.type.tensor_type.shape.dim]
    if not all(dim.HasField("dim_value") for dim in dims):
        raise ExportError("onnx: expected a static shape, found a dynamic one")
    onnx.checker.check_model(model)


def float16(content: bytes, squares: Pixels | None) -> bytes:
    """Weights in half precision, activations in float32."""
    return _store_weights(content, _as_half, 1)


def weights(content: bytes, squares: Pixels | None) -> bytes:
    """Large layers' weights in int8, a scale per channel; activations and small layers in float32."""
    return _store_weights(content, _as_int8, MIN_WEIGHTS)


def int8(content: bytes, squares: Pixels | None) -> bytes:
    """Weights and activations of the backbone in int8; its first layers, head, map, calibration and gate in float32.

    Large matrices after the features (of a gate, of a hidden layer) are stored in half precision.
    Signed int8 for both: unsigned activations are faster on processors without dot products for int8, but their sums
    saturate there, and the output would depend on the machine.

    Raises:
        ExportError: no films to measure on.
    """
    if squares is None:
        raise ExportError("int8 measures ranges on films of the training data; give them by --data")
    try:
        from onnxruntime import quantization as q
    except ImportError as error:
        raise ExportError(f"{MISSING} ({error})") from error
    films = ({"film": as_input(square[None])} for square in squares)
    with scratch() as folder:
        before, after = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        before.write_bytes(content)
        try:
            with held_stderr():
                q.quantize_static(
                    before,
                    after,
                    _Films(films),
                    quant_format=q.QuantFormat.QDQ,
                    op_types_to_quantize=list(ACTIVATED),
                    nodes_to_exclude=_float_nodes(content),
                    per_channel=True,
                    activation_type=q.QuantType.QInt8,
                    weight_type=q.QuantType.QInt8,
                    calibrate_method=q.CalibrationMethod.MinMax,
                )
        except Exception as error:  # the library has no common base class
            raise ExportError(f"onnx: cannot quantise this network ({first_line(error)})") from error
        return _store_weights(after.read_bytes(), _as_half, MIN_WEIGHTS)


class _Films:
    """A data reader of ONNX Runtime's quantiser."""

    def __init__(self, films: Iterable[dict[str, Any]]) -> None:
        self._films = iter(films)

    def get_next(self) -> dict[str, Any] | None:
        """The next film, None after the last."""
        return next(self._films, None)


def _float_nodes(content: bytes) -> list[str]:
    """Nodes that stay in float32: outside the backbone, additions of a constant, and fine ones (MIN_STRIDE)."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(content)).graph
    makers = {name: node for node in graph.node for name in node.output}
    pools = [node for node in _ancestors("logit", makers) if node.op_type in ("ReduceMean", "GlobalAveragePool")]
    if not pools:
        raise ExportError("onnx: expected a pool before the logit, found none; cannot quantise this network")
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in graph.value_info}
    constants = {item.name for item in graph.initializer}
    backbone = _ancestors(pools[0].input[0], makers, stop="MatMul")  # which crops films to their lungs
    read = [shapes[name][-1] for node in backbone for name in node.input if len(shapes.get(name, ())) == 4]
    rows = max(read, default=0) // MIN_STRIDE
    inside = {
        node.name
        for node in backbone
        if shapes.get(node.output[0], [0])[-1] <= rows
        and not (node.op_type == "Add" and constants.intersection(node.input))
    }
    return [node.name for node in graph.node if node.name not in inside]


def _ancestors(name: str, makers: dict[str, Any], stop: str = "") -> list[Any]:
    """Every node that the value `name` depends on, nearest first, up to and without those of the type `stop`."""
    found: list[Any] = []
    waiting = [name]
    while waiting:
        node = makers.get(waiting.pop(0))
        if node is not None and node.op_type != stop and node not in found:
            found.append(node)
            waiting += list(node.input)
    return found


def _store_weights(content: bytes, store: Callable[[str, Floats32], Stored], least: int) -> bytes:
    """The file with weights of at least `least` elements stored by `store`; a runtime unpacks them on opening."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(content)
    kept, nodes = [], []
    for item in model.graph.initializer:
        values = numpy_helper.to_array(item)
        if values.dtype != np.float32 or values.size < least or values.ndim < 2:
            kept.append(item)
            continue
        small, unpacking = store(item.name, values)
        kept += small
        nodes += unpacking
    nodes += list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    return bytes(model.SerializeToString())


def _as_half(name: str, values: Floats32) -> Stored:
    from onnx import TensorProto, helper, numpy_helper

    small = numpy_helper.from_array(values.astype(np.float16), f"{name}_half")
    return [small], [helper.make_node("Cast", [small.name], [name], to=TensorProto.FLOAT)]


def _as_int8(name: str, values: Floats32) -> Stored:
    """Symmetric: w = scale_c · q, the largest weight of channel c at 127."""
    from onnx import helper, numpy_helper

    largest = np.abs(values).reshape(len(values), -1).max(axis=1)
    scale = np.maximum(largest, 1e-12).astype(np.float32) / np.float32(127)
    quantized = np.round(values / scale.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8)
    zero = np.zeros(len(values), dtype=np.int8)
    parts = {f"{name}_int8": quantized, f"{name}_scale": scale, f"{name}_zero": zero}
    constants = [numpy_helper.from_array(value, key) for key, value in parts.items()]
    return constants, [helper.make_node("DequantizeLinear", list(parts), [name], axis=0)]
