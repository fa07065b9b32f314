"""The bundle of tests/cli/brightness.py as a .tflite file: logit = (mean gray - 128) / 16, written op by op."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from lucency.bundle import Card, Model, OperatingPoint, Square, write_bundle

SIDE = 8
FILM, LEVEL, SCALE, AXES, CENTRED, MAP, LOGIT, PROBABILITY = range(8)
"""The network's tensors; a constant's buffer has the tensor's number plus one."""
CONSTANTS = {
    LEVEL: np.array([128], dtype=np.float32),
    SCALE: np.array([1 / 16], dtype=np.float32),
    AXES: np.array([1, 2], dtype=np.int32),
}
SHAPES = {
    FILM: [1, SIDE, SIDE, 1],
    LEVEL: [1],
    SCALE: [1],
    AXES: [2],
    CENTRED: [1, SIDE, SIDE, 1],
    MAP: [1, SIDE, SIDE, 1],
    LOGIT: [1, 1],
    PROBABILITY: [1, 1],
}
STEPS = (
    (schema.BuiltinOperator.SUB, [FILM, LEVEL], CENTRED, schema.BuiltinOptions.SubOptions, schema.SubOptionsT),
    (schema.BuiltinOperator.MUL, [CENTRED, SCALE], MAP, schema.BuiltinOptions.MulOptions, schema.MulOptionsT),
    (schema.BuiltinOperator.MEAN, [MAP, AXES], LOGIT, schema.BuiltinOptions.ReducerOptions, schema.ReducerOptionsT),
    (schema.BuiltinOperator.LOGISTIC, [LOGIT], PROBABILITY, schema.BuiltinOptions.NONE, None),
)


def network(names: dict[str, int] | None = None) -> bytes:
    """The file; `names` are its outputs."""
    names = names or {"logit": LOGIT, "probability": PROBABILITY, "map": MAP}
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT() for _ in range(len(SHAPES) + 1)]
    for number, value in CONSTANTS.items():
        model.buffers[number + 1].data = np.frombuffer(value.tobytes(), dtype=np.uint8)
    model.operatorCodes = [_code(step[0]) for step in STEPS]
    graph = schema.SubGraphT()
    graph.tensors = [_tensor(number, shape) for number, shape in SHAPES.items()]
    graph.inputs, graph.outputs = [FILM], list(names.values())
    graph.operators = [_operator(number, *step[1:]) for number, step in enumerate(STEPS)]
    model.subgraphs = [graph]
    model.signatureDefs = [_signature(names)]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _code(builtin: int) -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    return code


def _tensor(number: int, shape: list[int]) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.shape, tensor.buffer, tensor.name = shape, number + 1, f"tensor-{number}"
    tensor.type = schema.TensorType.INT32 if number == AXES else schema.TensorType.FLOAT32
    return tensor


def _operator(number: int, inputs: list[int], output: int, kind: int, options: type | None) -> schema.OperatorT:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = number, inputs, [output]
    operator.builtinOptionsType, operator.builtinOptions = kind, options() if options else None
    return operator


def _signature(names: dict[str, int]) -> schema.SignatureDefT:
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs = [_named("film", FILM)]
    signature.outputs = [_named(name, number) for name, number in names.items()]
    return signature


def _named(name: str, number: int) -> schema.TensorMapT:
    named = schema.TensorMapT()
    named.name, named.tensorIndex = name, number
    return named


def write_brightness_litert(out: Path, content: bytes | None = None) -> Path:
    """Write the bundle to `out`."""
    card = Card(
        name="brightness",
        labels=("normal", "pneumonia"),
        preprocess=Square(image_size=SIDE),
        model=Model(format="litert", file="model.tflite", backbone="none"),
        operating_point=OperatingPoint(threshold=0.5, chosen_by="hand", chosen_on="nothing"),
    )
    write_bundle(out, card, {"model.tflite": network() if content is None else content})
    return out
