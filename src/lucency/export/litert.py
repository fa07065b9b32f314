"""LiteRT: a .tflite flatbuffer by litert-torch, quantised by ai-edge-quantizer."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from lucency.errors import ExportError
from lucency.native_output import held_stderr

if TYPE_CHECKING:
    from lucency.export.network import Answering

MISSING = "writing LiteRT needs its converter; pip install 'lucency[export]'"
CUSTOM = 32
"""BuiltinOperator.CUSTOM of the flatbuffer's schema: an operator that a plain LiteRT runtime lacks (Flex ops too)."""


def convert(network: Answering, side: int) -> bytes:
    """A float32 .tflite of one film, static shape, answers by name.

    Raises:
        ExportError: the converter is not installed, or does not know an operation of the network.
    """
    from lucency.export.network import INPUT, blank

    try:
        with held_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the converter's own imports
            import litert_torch
    except ImportError as error:
        raise ExportError(f"{MISSING} ({error})") from error
    try:
        with held_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            litert_torch.config.show_progress = False  # it goes to stdout, where --json is
            content = litert_torch.convert(network, (), {INPUT: blank(side)}).model_content()
    except Exception as error:  # the converter's own exceptions share no base but this one
        raise ExportError(f"litert: cannot convert this network ({first_line(error)})") from error
    return bytes(content)


def first_line(error: Exception) -> str:
    """What an exception of a library says, short enough for one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def check(content: bytes, outputs: tuple[str, ...]) -> None:
    """Refuse a file that a plain LiteRT runtime could not read.

    Raises:
        ExportError: a custom or Flex operator, a shape left open, or other names of input and outputs.
    """
    model = flatbuffer(content)
    custom = {bytes(code.customCode or b"?").decode() for code in model.operatorCodes if code.builtinCode == CUSTOM}
    if custom:
        raise ExportError(f"litert: expected built-in operators only, found {', '.join(sorted(custom))}")
    signature = model.signatureDefs[0]
    names = {bytes(item.name).decode() for item in signature.outputs}
    taken = [bytes(item.name).decode() for item in signature.inputs]
    if taken != ["film"] or names != set(outputs):
        raise ExportError(f"litert: expected film → {', '.join(outputs)}, found {taken} → {', '.join(sorted(names))}")
    if any(-1 in _signature(tensor) for tensor in model.subgraphs[0].tensors):
        raise ExportError("litert: expected a static shape, found one left open")


def _signature(tensor: Any) -> tuple[int, ...]:
    """The tensor's shape with -1 for what is left open; empty where nothing is."""
    return () if tensor.shapeSignature is None else tuple(tensor.shapeSignature)


def flatbuffer(content: bytes) -> Any:
    """The .tflite as objects of its schema."""
    try:
        from ai_edge_litert.tools import flatbuffer_utils
    except ImportError as error:
        raise ExportError(f"{MISSING} ({error})") from error
    return flatbuffer_utils.read_model_from_bytearray(content)
