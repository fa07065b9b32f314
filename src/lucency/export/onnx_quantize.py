"""Smaller .onnx files: weights stored small by ourselves, int8 arithmetic by ONNX Runtime's quantiser."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lucency.errors import ExportError
from lucency.export.litert import first_line
from lucency.export.onnx import MISSING, written
from lucency.native_output import held_stderr

Squares = NDArray[np.uint8]
Stored = tuple[list[Any], list[Any]]
"""Constants and nodes that stand in for a float32 constant."""
FEW = 4096
"""Weights below this number stay in float32: there is little to save, and each of them counts for more."""
COARSE = 8
"""Layers with more rows than side / COARSE stay in float32 in int8 files: few weights that see every pixel."""
MEASURED = ("Conv", "Add", "Clip", "Relu", "Pad")
"""Operators of a backbone that work on int8."""


def float16(content: bytes, squares: Squares | None) -> bytes:
    """Weights in half precision; the sums stay in float32."""
    return _stored(content, _as_half, 1)


def weights(content: bytes, squares: Squares | None) -> bytes:
    """Large weights in int8, a scale for each channel; the sums stay in float32, and so do small weights."""
    return _stored(content, _as_int8, FEW)


def int8(content: bytes, squares: Squares | None) -> bytes:
    """Weights and activations of the backbone in int8; its first layers, head, map, calibration and gate in float32.

    Large matrices after the features (of a gate, of a hidden layer) are stored in half precision.
    Signed int8 for both: unsigned activations are faster on processors without dot products for int8, but their sums
    saturate there, and the answer would depend on the machine.

    Raises:
        ExportError: no films to measure on.
    """
    if squares is None:
        raise ExportError("int8 measures ranges on films of the training data; give them by --data")
    try:
        from onnxruntime import quantization as q
    except ImportError as error:
        raise ExportError(f"{MISSING} ({error})") from error
    films = ({"film": square[None, :, :, None].astype(np.float32)} for square in squares)
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        before.write_bytes(content)
        try:
            with held_stderr():
                q.quantize_static(
                    before,
                    after,
                    _Films(films),
                    quant_format=q.QuantFormat.QDQ,
                    op_types_to_quantize=list(MEASURED),
                    nodes_to_exclude=_outside(content),
                    per_channel=True,
                    activation_type=q.QuantType.QInt8,
                    weight_type=q.QuantType.QInt8,
                    calibrate_method=q.CalibrationMethod.MinMax,
                )
        except Exception as error:  # the library raises whatever its parts raise
            raise ExportError(f"onnx: cannot quantise this network ({first_line(error)})") from error
        return _stored(after.read_bytes(), _as_half, FEW)


class _Films:
    """The one method that ONNX Runtime's quantiser asks of films."""

    def __init__(self, films: Iterable[dict[str, Any]]) -> None:
        self._films = iter(films)

    def get_next(self) -> dict[str, Any] | None:
        """The next film, None after the last."""
        return next(self._films, None)


def _outside(content: bytes) -> list[str]:
    """Names of all nodes that stay in float32: not of the backbone, shifts by a constant, and fine ones (COARSE)."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(content)).graph
    makers = {name: node for node in graph.node for name in node.output}
    pools = [node for node in _before("logit", makers) if node.op_type in ("ReduceMean", "GlobalAveragePool")]
    if not pools:
        raise ExportError("onnx: expected a pool before the logit, found none; this network has no such edition")
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in graph.value_info}
    constants = {item.name for item in graph.initializer}
    backbone = _before(pools[0].input[0], makers, beyond="MatMul")  # which cuts films to their lungs
    read = [shapes[name][-1] for node in backbone for name in node.input if len(shapes.get(name, ())) == 4]
    rows = max(read, default=0) // COARSE
    inside = {
        node.name
        for node in backbone
        if shapes.get(node.output[0], [0])[-1] <= rows
        and not (node.op_type == "Add" and constants.intersection(node.input))
    }
    return [node.name for node in graph.node if node.name not in inside]


def _before(name: str, makers: dict[str, Any], beyond: str = "") -> list[Any]:
    """Every node that the value `name` follows from, nearest first, without those of the type `beyond` and before."""
    found: list[Any] = []
    waiting = [name]
    while waiting:
        node = makers.get(waiting.pop(0))
        if node is not None and node.op_type != beyond and node not in found:
            found.append(node)
            waiting += list(node.input)
    return found


def _stored(content: bytes, store: Callable[[str, NDArray[np.float32]], Stored], few: int) -> bytes:
    """The file with weights of `few` numbers and more stored as `store` says; a runtime unpacks them as it opens it."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(content)
    kept, nodes = [], []
    for item in model.graph.initializer:
        values = numpy_helper.to_array(item)
        if values.dtype != np.float32 or values.size < few or values.ndim < 2:
            kept.append(item)
            continue
        small, unpacking = store(item.name, values)
        kept += small
        nodes += unpacking
    nodes += list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    return written(model)


def _as_half(name: str, values: NDArray[np.float32]) -> Stored:
    from onnx import TensorProto, helper, numpy_helper

    small = numpy_helper.from_array(values.astype(np.float16), f"{name}_half")
    return [small], [helper.make_node("Cast", [small.name], [name], to=TensorProto.FLOAT)]


def _as_int8(name: str, values: NDArray[np.float32]) -> Stored:
    """Symmetric: w = scale_c · q, the largest weight of channel c at 127."""
    from onnx import helper, numpy_helper

    largest = np.abs(values).reshape(len(values), -1).max(axis=1)
    scale = np.maximum(largest, 1e-12).astype(np.float32) / np.float32(127)
    counted = np.round(values / scale.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8)
    zero = np.zeros(len(values), dtype=np.int8)
    parts = {f"{name}_int8": counted, f"{name}_scale": scale, f"{name}_zero": zero}
    constants = [numpy_helper.from_array(value, key) for key, value in parts.items()]
    return constants, [helper.make_node("DequantizeLinear", list(parts), [name], axis=0)]
