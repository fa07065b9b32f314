"""From a run to a bundle for a phone: TARGETS lists how each kind of file is written, quantised and checked.

To add a target, see docs/adding-a-target.md. Nothing heavy is imported before a target is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from lucency.arrays import Pixels
from lucency.export import coreml, litert, onnx

if TYPE_CHECKING:
    from lucency.export.network import ExportNetwork

__all__ = ["TARGETS", "Quantizer", "Target", "TargetName"]

TargetName = Literal["litert", "onnx", "coreml"]
Quantizer = Callable[[bytes, Pixels | None], bytes]
"""(float32 file, squares to measure activation ranges on or None) → smaller file."""


@dataclass(frozen=True)
class Target:
    """A kind of file that the reader opens (lucency.reader.ENGINES has a row of the same name)."""

    file: str
    """Its name in a bundle."""
    convert: Callable[[ExportNetwork, int], bytes]
    """(network, side) → file: float32, static shape, outputs by name."""
    quantize: Mapping[str, Quantizer]
    """By name, as in --quantize."""
    check: Callable[[bytes, tuple[str, ...]], None]
    """(file, names of its outputs): raises ExportError if a plain runtime could not read it."""


def _quantizers(module: ModuleType) -> dict[str, Quantizer]:
    return {"float16": module.float16, "int8": module.int8, "weights": module.weights}


TARGETS: dict[TargetName, Target] = {
    "litert": Target("model.tflite", litert.convert, _quantizers(litert), litert.check),
    "onnx": Target("model.onnx", onnx.convert, _quantizers(onnx), onnx.check),
    "coreml": Target("model.mlpackage.zip", coreml.convert, {}, coreml.check),
}
"""Name, as in --to and in the card's model.format, to target."""
