"""Smaller .tflite files, by ai-edge-quantizer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lucency.errors import ExportError
from lucency.export.litert import MISSING, first_line, flatbuffer
from lucency.reader.quiet import quiet

Squares = NDArray[np.uint8]
MEASURED = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "PAD")
"""Operators of a backbone that work on int8; all others, and everything after the features, stay in float32."""


def float16(content: bytes, squares: Squares | None) -> bytes:
    """Weights in half precision; the sums stay in float32."""
    with quantizer(content) as (made, q):
        made.add_weight_only_config(".*", "*", 16, algorithm_key=q.AlgorithmName.FLOAT_CASTING)
        return bytes(made.quantize(enable_progress_report=False).quantized_model)


def weights(content: bytes, squares: Squares | None) -> bytes:
    """Weights in int8, a scale for each channel; the sums stay in float32."""
    with quantizer(content) as (made, _):
        made.add_weight_only_config(".*", "*", 8)
        return bytes(made.quantize(enable_progress_report=False).quantized_model)


def int8(content: bytes, squares: Squares | None) -> bytes:
    """Weights and activations of the backbone in int8; head, map, calibration and gate in float32.

    The last sums cost nothing and are what is read: in float32 the map still adds up to the logit exactly.
    Ranges are the lowest and highest value over all films. The library's default, a moving average of each film's
    range, clips what stands out, and that is what pneumonia does.

    Raises:
        ExportError: no films to measure on.
    """
    if squares is None:
        raise ExportError("int8 measures ranges on films of the training data; give them by --data")
    with quantizer(content) as (made, _):
        for operator, names in backbone(content).items():
            outputs = "|".join(map(re.escape, names))
            made.add_static_config(f"^({outputs});$", operator, activation_num_bits=8, weight_num_bits=8)
        ranges = measured(content, made, squares)
        return bytes(made.quantize(ranges, enable_progress_report=False).quantized_model)


def measured(content: bytes, made: Any, squares: Squares) -> Any:
    """The range of every tensor over the films: lowest and highest value."""
    from ai_edge_quantizer.calibrator import Calibrator
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    calibrator = Calibrator(content, num_threads=1, qsv_update_func=min_max_update)
    films = [{"film": square[None, :, :, None].astype(np.float32)} for square in squares]
    # Quantizer.calibrate cannot be told which update to use; its recipe has no public name.
    calibrator.calibrate({None: films}, made._recipe_manager)
    return calibrator.get_model_qsvs()


def backbone(content: bytes) -> dict[str, list[str]]:
    """Operator → output tensors of every such step before the pool, for those that can work on int8.

    The features are what the first mean or pool on the way back from the logit takes.

    Raises:
        ExportError: the file is not one of ours.
    """
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    names = {code: name for name, code in vars(BuiltinOperator).items() if isinstance(code, int)}
    model = flatbuffer(content)
    graph, codes = model.subgraphs[0], model.operatorCodes
    makers = {int(tensor): step for step in graph.operators for tensor in step.outputs}

    def kind(step: Any) -> str:
        return names[max(codes[step.opcodeIndex].builtinCode, codes[step.opcodeIndex].deprecatedBuiltinCode)]

    logit = next(item.tensorIndex for item in model.signatureDefs[0].outputs if bytes(item.name) == b"logit")
    pools = [step for step in _before(logit, makers) if kind(step) in ("MEAN", "SUM", "AVERAGE_POOL_2D")]
    if not pools:
        raise ExportError("litert: expected a pool before the logit, found none; this network has no int8 edition")
    found: dict[str, list[str]] = {}
    for step in _before(int(pools[0].inputs[0]), makers):
        constant = [int(tensor) not in makers for tensor in step.inputs]
        if kind(step) in MEASURED and not (kind(step) == "ADD" and any(constant)):
            found.setdefault(kind(step), []).append(bytes(graph.tensors[step.outputs[0]].name).decode())
    return found


def _before(tensor: int, makers: dict[int, Any]) -> list[Any]:
    """Every step that `tensor` follows from, nearest first."""
    found: list[Any] = []
    waiting = [tensor]
    while waiting:
        step = makers.get(waiting.pop(0))
        if step is not None and not any(step is other for other in found):
            found.append(step)
            waiting += [int(item) for item in step.inputs]
    return found


@contextmanager
def quantizer(content: bytes) -> Iterator[tuple[Any, Any]]:
    """A Quantizer of the file, and its module; what the library chatters or raises is kept to one line."""
    try:
        from ai_edge_quantizer import quantizer as module
    except ImportError as error:
        raise ExportError(f"{MISSING} ({error})") from error
    try:
        with quiet():
            yield module.Quantizer(content), module
    except ExportError:
        raise
    except Exception as error:  # the library raises whatever its parts raise
        raise ExportError(f"litert: cannot quantise this network ({first_line(error)})") from error
