"""LiteRT: a .tflite flatbuffer by litert-torch, quantised by ai-edge-quantizer."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lucency.arrays import Floats32, Pixels
from lucency.errors import ExportError
from lucency.native_output import held_stderr, interrupts_held, quiet_converter
from lucency.preprocess import as_input

if TYPE_CHECKING:
    from lucency.export.network import ExportNetwork

MISSING = "writing LiteRT needs its converter; pip install 'lucency[export]'"
CUSTOM = 32
"""BuiltinOperator.CUSTOM of the flatbuffer's schema: an operator that a plain LiteRT runtime lacks (Flex ops too)."""
POOLS = ("MEAN", "SUM", "AVERAGE_POOL_2D")
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
CROPPING = ("BATCH_MATMUL", "FULLY_CONNECTED")
"""Matrix products crop a film to its lungs or its middle. No backbone has one before its pool."""
PACKAGES = re.compile(rb"(?:\w+\.)+(\w)")
"""`lucency.models.layers.` of `lucency.models.layers.Unit_expand`."""
MIN_WEIGHTS = 4096
"""Smaller layers stay in float32: little to save, and each weight counts for more."""
MIDDLE = (12, 24)
"""Pixels of the square per row of a layer whose activations are int8: about 16."""
ACTIVATED = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "PAD")
"""Operators of a backbone that may have int8 activations; all others stay in float32."""


def convert(network: ExportNetwork, side: int) -> bytes:
    """A float32 .tflite of one film, static shape, outputs by name.

    Raises:
        ExportError: the converter is not installed, or does not support an operation of the network.
    """
    from lucency.export.network import INPUT, example_film

    try:
        with held_stderr(), quiet_converter, warnings.catch_warnings(), interrupts_held():
            warnings.simplefilter("ignore")  # of the converter's own imports
            import litert_torch
    except ImportError as error:
        raise ExportError(f"{MISSING} ({error})") from error
    try:
        with held_stderr(), quiet_converter, warnings.catch_warnings(), interrupts_held():
            warnings.simplefilter("ignore")
            litert_torch.config.show_progress = False  # it would go to stdout, as --json does
            content = litert_torch.convert(network, (), {INPUT: example_film(side, network.channels)}).model_content()
    except Exception as error:  # the converter's own exceptions share no other base
        raise ExportError(f"litert: cannot convert this network ({first_line(error)})") from error
    return bytes(content)


def first_line(error: Exception) -> str:
    """Type and first line of a library's exception."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def check(content: bytes, outputs: tuple[str, ...]) -> None:
    """Raise if a plain LiteRT runtime could not read a file.

    Raises:
        ExportError: a custom or Flex operator, a dynamic shape, or other names of input and outputs.
    """
    model = parse(content)
    custom = {bytes(code.customCode or b"?").decode() for code in model.operatorCodes if code.builtinCode == CUSTOM}
    if custom:
        raise ExportError(f"litert: expected built-in operators only, found {', '.join(sorted(custom))}")
    signature = model.signatureDefs[0]
    names = {bytes(item.name).decode() for item in signature.outputs}
    inputs = [bytes(item.name).decode() for item in signature.inputs]
    if inputs != ["film"] or names != set(outputs):
        raise ExportError(f"litert: expected film → {', '.join(outputs)}, found {inputs} → {', '.join(sorted(names))}")
    shapes = [tensor.shapeSignature for tensor in model.subgraphs[0].tensors]
    if any(-1 in tuple(shape) for shape in shapes if shape is not None):
        raise ExportError("litert: expected a static shape, found a dynamic one")


def parse(content: bytes) -> Any:
    """The .tflite as objects of its schema."""
    try:
        from ai_edge_litert.tools import flatbuffer_utils
    except ImportError as error:
        raise ExportError(f"{MISSING} ({error})") from error
    return flatbuffer_utils.read_model_from_bytearray(content)


def _serialize(model: Any) -> bytes:
    from ai_edge_litert.tools import flatbuffer_utils

    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def float16(content: bytes, squares: Pixels | None) -> bytes:
    """Weights in half precision, activations in float32."""
    with _quantizer(content) as (quantizer, q):
        quantizer.add_weight_only_config(".*", "*", 16, algorithm_key=q.AlgorithmName.FLOAT_CASTING)
        return bytes(quantizer.quantize(enable_progress_report=False).quantized_model)


def weights(content: bytes, squares: Pixels | None) -> bytes:
    """Large layers' weights in int8, a scale per channel; activations and small layers in float32."""
    with _quantizer(content) as (quantizer, _):
        for step in steps(content):
            if step.operator in WEIGHTED and step.weights >= MIN_WEIGHTS:
                quantizer.add_weight_only_config(step.pattern, step.operator, 8)
        _check_chosen(quantizer, content)
        return bytes(quantizer.quantize(enable_progress_report=False).quantized_model)


def int8(content: bytes, squares: Pixels | None) -> bytes:
    """Large weights of the backbone in int8; activations in int8 in its middle, in float32 before and after.

    Large matrices after the features (of a gate, of a hidden layer) are stored in half precision.
    Early activations have few weights and see every pixel; late ones, as coarse as the features, are spread over few
    cells: either added more error than the whole middle. With the last ones in float32 the map still adds up to the
    logit. The mean shift of the logits is corrected (`correct_bias`).
    Ranges are the minimum and maximum over all films. The library's default, a moving average of each film's range,
    clips outliers, which pneumonia causes.

    Raises:
        ExportError: no films to measure on, or no layer large enough.
    """
    if squares is None:
        raise ExportError("int8 measures ranges on films of the training data; give them by --data")
    with _quantizer(content) as (quantizer, q):
        for step in steps(content):
            if step.operator == "FULLY_CONNECTED" and step.weights >= MIN_WEIGHTS:
                quantizer.add_weight_only_config(
                    step.pattern, step.operator, 16, algorithm_key=q.AlgorithmName.FLOAT_CASTING
                )
        _select_int8(quantizer, steps(content))
        _check_chosen(quantizer, content)
        ranges = _activation_ranges(content, quantizer, squares)
        small = bytes(quantizer.quantize(ranges, enable_progress_report=False).quantized_model)
        return shorten_names(correct_bias(content, small, squares))


def shorten_names(content: bytes) -> bytes:
    """The same file without packages in its tensors' names: a hundredth smaller."""
    model = parse(content)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.name = PACKAGES.sub(rb"\1", bytes(tensor.name))
    return _serialize(model)


def _select_int8(quantizer: Any, all_steps: list[Step]) -> None:
    """Int8 activations in the middle layers, int8 weights in other large layers, the lung segmenter's too."""
    inside = [step for step in all_steps if step.inside]
    side = max((step.read for step in inside), default=0)
    least, most = MIDDLE
    for step in all_steps:
        middle = step.rows and least <= side / step.rows < most and step.rows > inside[-1].rows
        if not step.inside and step.operator != "CONV_2D":
            continue
        if step.inside and middle and step.operator in ACTIVATED:
            quantizer.add_static_config(step.pattern, step.operator, activation_num_bits=8, weight_num_bits=8)
        elif step.operator in WEIGHTED and step.weights >= MIN_WEIGHTS:
            quantizer.add_weight_only_config(step.pattern, step.operator, 8)


def _check_chosen(quantizer: Any, content: bytes) -> None:
    """Raise ExportError where nothing is to be quantised: the library's own words for it do not say why."""
    if not quantizer.get_quantization_recipe():
        largest = max((step.weights for step in steps(content)), default=0)
        raise ExportError(
            f"litert: expected a layer of {MIN_WEIGHTS:,} weights or more to store in int8, the largest has "
            f"{largest:,}; int8 saves nothing here: leave out --quantize, or take float16"
        )


def _activation_ranges(content: bytes, quantizer: Any, squares: Pixels) -> Any:
    """Minimum and maximum of every tensor over the films."""
    from ai_edge_quantizer.calibrator import Calibrator
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    calibrator = Calibrator(content, num_threads=1, qsv_update_func=min_max_update)
    films = [{"film": as_input(square[None])} for square in squares]
    # Quantizer.calibrate does not take the update function; its recipe has no public name.
    calibrator.calibrate({None: films}, quantizer._recipe_manager)
    return calibrator.get_model_qsvs()


def correct_bias(content: bytes, small: bytes, squares: Pixels) -> bytes:
    """The quantised file with logits whose mean over films is that of the float32 file.

    Bias correction (Nagel et al. 2019, arXiv:1906.04721, section 4.2) of the last layer alone, where the shifts of all
    layers before add up.

    Args:
        content: the float32 file.
        small: the same network, quantised.
        squares: uint8 (n, side, side) or (n, side, side, 3), films on which both are compared.

    Returns:
        `small` with another bias; unchanged where its last layer has no float32 bias.
    """
    model = parse(small)
    bias = _last_bias(model)
    if bias is None:
        return small
    shift = logits(content, squares).mean(axis=0) - logits(small, squares).mean(axis=0)
    buffer = model.buffers[bias.buffer]
    values = np.frombuffer(bytes(buffer.data), dtype="<f4") + shift
    buffer.data = np.frombuffer(values.astype("<f4").tobytes(), dtype=np.uint8)
    return _serialize(model)


def _last_bias(model: Any) -> Any:
    """The constant float32 bias of the dense layer that computes the logit, or None."""
    from ai_edge_litert.schema_py_generated import TensorType

    graph = model.subgraphs[0]
    logit = _logit_tensor(model)
    last = next(step for step in graph.operators if logit in step.outputs)
    if len(last.inputs) != 3 or last.inputs[2] < 0:
        return None
    bias = graph.tensors[last.inputs[2]]
    constant = model.buffers[bias.buffer].data is not None
    return bias if constant and bias.type == TensorType.FLOAT32 else None


def _logit_tensor(model: Any) -> int:
    return int(next(item.tensorIndex for item in model.signatureDefs[0].outputs if bytes(item.name) == b"logit"))


def logits(content: bytes, squares: Pixels) -> Floats32:
    """A file's logits, float32 (n, f)."""
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_content=content, num_threads=1).get_signature_runner()
    return np.concatenate([run(film=as_input(square[None]))["logit"].copy() for square in squares])


@dataclass(frozen=True)
class Step:
    """One operator of a file."""

    operator: str
    output: str
    """Name of its output tensor."""
    read: int
    """Rows of its input; 0 if that is not an image."""
    rows: int
    """Rows of its output; 0 if that is not an image."""
    weights: int
    """Numbers in its largest constant."""
    inside: bool
    """Whether it is part of the backbone (the features depend on it, after the crop of lucency.models.lung_crop)
    and more than the addition of a constant."""

    @property
    def pattern(self) -> str:
        """The quantiser's expression for it."""
        return f"^{re.escape(self.output)};$"


def steps(content: bytes) -> list[Step]:
    """The operators of one of our files. The features are the input of the last pool before the logit.

    Raises:
        ExportError: there is no such pool.
    """
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    names = {code: name for name, code in vars(BuiltinOperator).items() if isinstance(code, int)}
    model = parse(content)
    graph = model.subgraphs[0]
    codes = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    makers = {int(tensor): step for step in graph.operators for tensor in step.outputs}
    pools = [step for step in _ancestors(_logit_tensor(model), makers) if codes[step.opcodeIndex] in POOLS]
    if not pools:
        raise ExportError("litert: expected a pool before the logit, found none; cannot quantise this network")
    features = _ancestors(int(pools[0].inputs[0]), makers, lambda step: codes[step.opcodeIndex] in CROPPING)
    backbone = {id(step) for step in features}

    def describe(step: Any) -> Step:
        output, kind = graph.tensors[step.outputs[0]], codes[step.opcodeIndex]
        constants = [graph.tensors[item] for item in step.inputs if item >= 0 and int(item) not in makers]
        return Step(
            operator=kind,
            output=bytes(output.name).decode(),
            read=_rows(graph.tensors[step.inputs[0]]) if len(step.inputs) else 0,
            rows=_rows(output),
            weights=max((int(np.prod(item.shape)) for item in constants if item.shape is not None), default=0),
            inside=id(step) in backbone and not (kind == "ADD" and constants),
        )

    return [describe(step) for step in graph.operators]


def _rows(tensor: Any) -> int:
    """Height of an image (n, h, w, k); 0 for anything else."""
    return int(tensor.shape[1]) if tensor.shape is not None and len(tensor.shape) == 4 else 0


def _ancestors(tensor: int, makers: dict[int, Any], stop: Callable[[Any], bool] = lambda step: False) -> list[Any]:
    """Every step that `tensor` depends on, nearest first, up to and without those at which to stop."""
    found: dict[int, Any] = {}
    waiting = [tensor]
    while waiting:
        step = makers.get(waiting.pop(0))
        if step is not None and not stop(step) and id(step) not in found:
            found[id(step)] = step
            waiting += [int(item) for item in step.inputs]
    return list(found.values())


@contextmanager
def _quantizer(content: bytes) -> Iterator[tuple[Any, Any]]:
    """A Quantizer of the file, and its module; the library's output is held back, its errors become one line."""
    try:
        from ai_edge_quantizer import quantizer as module
    except ImportError as error:
        raise ExportError(f"{MISSING} ({error})") from error
    try:
        with held_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its calibrator's imports
            yield module.Quantizer(content), module
    except ExportError:
        raise
    except Exception as error:  # the library has no common base class
        raise ExportError(f"litert: cannot quantise this network ({first_line(error)})") from error
