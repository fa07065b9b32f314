"""Smaller .tflite files, by ai-edge-quantizer."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lucency.errors import ExportError
from lucency.export.litert import MISSING, first_line, flatbuffer
from lucency.export.litert_centre import centred
from lucency.native_output import held_stderr

Squares = NDArray[np.uint8]
POOLS = ("MEAN", "SUM", "AVERAGE_POOL_2D")
WEIGHED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
CUTTING = ("BATCH_MATMUL", "FULLY_CONNECTED")
"""What cuts a film, to its lungs or its middle: matrix products. No backbone has one before its pool."""
PACKAGES = re.compile(rb"(?:\w+\.)+(\w)")
"""`lucency.models.layers.` of `lucency.models.layers.Unit_expand`."""
FEW = 4096
"""Weights below this number stay in float32: there is little to save, and each of them counts for more."""
MIDDLE = (12, 24)
"""Pixels of the square per row of a layer whose sums are int8: about 16."""
MEASURED = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "PAD")
"""Operators of a backbone that work on int8; all others stay in float32."""


def float16(content: bytes, squares: Squares | None) -> bytes:
    """Weights in half precision; the sums stay in float32."""
    with quantizer(content) as (made, q):
        made.add_weight_only_config(".*", "*", 16, algorithm_key=q.AlgorithmName.FLOAT_CASTING)
        return bytes(made.quantize(enable_progress_report=False).quantized_model)


def weights(content: bytes, squares: Squares | None) -> bytes:
    """Large weights in int8, a scale for each channel; the sums stay in float32, and so do small weights."""
    with quantizer(content) as (made, _):
        for step in steps(content):
            if step.operator in WEIGHED and step.weights >= FEW:
                made.add_weight_only_config(step.pattern, step.operator, 8)
        return bytes(made.quantize(enable_progress_report=False).quantized_model)


def int8(content: bytes, squares: Squares | None) -> bytes:
    """Large weights of the backbone in int8; sums in int8 in its middle, in float32 before and after.

    Large matrices after the features (of a gate, of a hidden layer) are stored in half precision.
    The sums before hold few weights that see every pixel, those after, as coarse as the features, are spread over few
    cells: either made more errors than the whole middle. The last sums are what is read: in float32 the map still adds
    up to the logit. What rounding moves all logits by is taken back (`litert_centre`).
    Ranges are the lowest and highest value over all films. The library's default, a moving average of each film's
    range, clips what stands out, and that is what pneumonia does.

    Raises:
        ExportError: no films to measure on.
    """
    if squares is None:
        raise ExportError("int8 measures ranges on films of the training data; give them by --data")
    with quantizer(content) as (made, q):
        for step in steps(content):
            if step.operator == "FULLY_CONNECTED" and step.weights >= FEW:
                made.add_weight_only_config(
                    step.pattern, step.operator, 16, algorithm_key=q.AlgorithmName.FLOAT_CASTING
                )
        _choose(made, steps(content))
        ranges = measured(content, made, squares)
        small = bytes(made.quantize(ranges, enable_progress_report=False).quantized_model)
        return shortly_named(centred(content, small, squares))


def shortly_named(content: bytes) -> bytes:
    """The same file, its tensors named without the packages that their layers come from: a hundredth smaller."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer(content)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.name = PACKAGES.sub(rb"\1", bytes(tensor.name))
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _choose(made: Any, all_steps: list[Step]) -> None:
    """What is int8: the sums of middle layers above the features' rows, elsewhere large weights, the finder's too."""
    inside = [step for step in all_steps if step.inside]
    side = max((step.read for step in inside), default=0)
    least, most = MIDDLE
    for step in all_steps:
        middle = step.rows and least <= side / step.rows < most and step.rows > inside[-1].rows
        if not step.inside and step.operator != "CONV_2D":
            continue
        if step.inside and middle and step.operator in MEASURED:
            made.add_static_config(step.pattern, step.operator, activation_num_bits=8, weight_num_bits=8)
        elif step.operator in WEIGHED and step.weights >= FEW:
            made.add_weight_only_config(step.pattern, step.operator, 8)


def measured(content: bytes, made: Any, squares: Squares) -> Any:
    """The range of every tensor over the films: lowest and highest value."""
    from ai_edge_quantizer.calibrator import Calibrator
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    calibrator = Calibrator(content, num_threads=1, qsv_update_func=min_max_update)
    films = [{"film": square[None, :, :, None].astype(np.float32)} for square in squares]
    # Quantizer.calibrate cannot be told which update to use; its recipe has no public name.
    calibrator.calibrate({None: films}, made._recipe_manager)
    return calibrator.get_model_qsvs()


@dataclass(frozen=True)
class Step:
    """One operator of a file."""

    operator: str
    output: str
    """Name of what it gives."""
    read: int
    """Height of what it is given; 0 where that is no picture."""
    rows: int
    """Height of what it gives; 0 where that is no picture."""
    weights: int
    """Numbers in its largest constant."""
    inside: bool
    """Whether it is the backbone's: the features follow from it, what it reads is cut already (lucency.models.frame),
    and it is more than a shift by a constant."""

    @property
    def pattern(self) -> str:
        """What the quantiser finds it by."""
        return f"^{re.escape(self.output)};$"


def steps(content: bytes) -> list[Step]:
    """The operators of one of our files. The features are what the last pool before the logit takes.

    Raises:
        ExportError: there is no such pool.
    """
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    names = {code: name for name, code in vars(BuiltinOperator).items() if isinstance(code, int)}
    model = flatbuffer(content)
    graph = model.subgraphs[0]
    codes = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    makers = {int(tensor): step for step in graph.operators for tensor in step.outputs}
    logit = next(item.tensorIndex for item in model.signatureDefs[0].outputs if bytes(item.name) == b"logit")
    pools = [step for step in _before(logit, makers) if codes[step.opcodeIndex] in POOLS]
    if not pools:
        raise ExportError("litert: expected a pool before the logit, found none; this network has no such edition")
    features = _before(int(pools[0].inputs[0]), makers, lambda step: codes[step.opcodeIndex] in CUTTING)

    def told(step: Any) -> Step:
        given, kind = graph.tensors[step.outputs[0]], codes[step.opcodeIndex]
        constants = [graph.tensors[item] for item in step.inputs if item >= 0 and int(item) not in makers]
        return Step(
            operator=kind,
            output=bytes(given.name).decode(),
            read=_rows(graph.tensors[step.inputs[0]]) if len(step.inputs) else 0,
            rows=_rows(given),
            weights=max((int(np.prod(item.shape)) for item in constants if item.shape is not None), default=0),
            inside=any(step is other for other in features) and not (kind == "ADD" and constants),
        )

    return [told(step) for step in graph.operators]


def _rows(tensor: Any) -> int:
    """Height of a picture (n, h, w, k); 0 of anything else."""
    return int(tensor.shape[1]) if tensor.shape is not None and len(tensor.shape) == 4 else 0


def _before(tensor: int, makers: dict[int, Any], beyond: Callable[[Any], bool] = lambda step: False) -> list[Any]:
    """Every step that `tensor` follows from, nearest first, without any that is `beyond` and what leads to it alone."""
    found: list[Any] = []
    waiting = [tensor]
    while waiting:
        step = makers.get(waiting.pop(0))
        if step is not None and not beyond(step) and not any(step is other for other in found):
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
        with held_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what its calibrator needs
            yield module.Quantizer(content), module
    except ExportError:
        raise
    except Exception as error:  # the library raises whatever its parts raise
        raise ExportError(f"litert: cannot quantise this network ({first_line(error)})") from error
