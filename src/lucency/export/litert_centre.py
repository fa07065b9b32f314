"""Rounding weights moves every logit to one side; here the bias of the last layer takes that back.

Bias correction of Nagel et al. 2019 (arXiv:1906.04721, section 4.2), of the last layer alone: what all layers before
did to the mean arrives there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lucency.export.litert import flatbuffer

Squares = NDArray[np.uint8]
Floats = NDArray[np.float32]


def centred(content: bytes, small: bytes, squares: Squares) -> bytes:
    """The smaller file with logits whose mean over films is that of the float32 file.

    Args:
        content: the float32 file.
        small: the same network, made smaller.
        squares: uint8 (n, side, side), films that both are asked about.

    Returns:
        `small` with another bias; as it is where its last layer has none in float32.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer(small)
    bias = _bias(model)
    if bias is None:
        return small
    shift = logits(content, squares).mean(axis=0) - logits(small, squares).mean(axis=0)
    buffer = model.buffers[bias.buffer]
    values = np.frombuffer(bytes(buffer.data), dtype="<f4") + shift
    buffer.data = np.frombuffer(values.astype("<f4").tobytes(), dtype=np.uint8)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _bias(model: Any) -> Any:
    """The float32 bias, a constant, of the dense layer that gives the logit; None where there is no such thing."""
    from ai_edge_litert.schema_py_generated import TensorType

    graph = model.subgraphs[0]
    logit = next(item.tensorIndex for item in model.signatureDefs[0].outputs if bytes(item.name) == b"logit")
    last = next(step for step in graph.operators if logit in step.outputs)
    if len(last.inputs) != 3 or last.inputs[2] < 0:
        return None
    bias = graph.tensors[last.inputs[2]]
    constant = model.buffers[bias.buffer].data is not None
    return bias if constant and bias.type == TensorType.FLOAT32 else None


def logits(content: bytes, squares: Squares) -> Floats:
    """What a file answers, float32 (n, f)."""
    from ai_edge_litert.interpreter import Interpreter

    ask = Interpreter(model_content=content, num_threads=1).get_signature_runner()
    return np.concatenate([ask(film=square[None, :, :, None].astype(np.float32))["logit"].copy() for square in squares])
