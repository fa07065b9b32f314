"""From a run to a bundle for a phone: TARGETS says how each kind of file is written, made smaller and checked.

To add a target, see docs/adding-a-target.md. Nothing heavy is imported before a target is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from lucency.export import litert, litert_quantize, onnx, onnx_quantize

if TYPE_CHECKING:
    from lucency.export.network import Answering

__all__ = ["TARGETS", "Smaller", "Target", "TargetName"]

TargetName = Literal["litert", "onnx"]
Smaller = Callable[[bytes, NDArray[np.uint8] | None], bytes]
"""(float32 file, squares to measure ranges on or None) → smaller file."""


@dataclass(frozen=True)
class Target:
    """A kind of file that the reader opens (lucency.reader.ENGINES has a row of the same name)."""

    file: str
    """What the file is called in a bundle."""
    convert: Callable[[Answering, int], bytes]
    """(network, side) → file: float32, static shape, answers by name."""
    quantize: Mapping[str, Smaller]
    """Name of a smaller edition → how it is made of the float32 file."""
    check: Callable[[bytes, tuple[str, ...]], None]
    """(file, names of its answers): raises ExportError where a plain runtime could not read it."""


TARGETS: dict[TargetName, Target] = {
    "litert": Target(
        file="model.tflite",
        convert=litert.convert,
        quantize={
            "float16": litert_quantize.float16,
            "int8": litert_quantize.int8,
            "weights": litert_quantize.weights,
        },
        check=litert.check,
    ),
    "onnx": Target(
        file="model.onnx",
        convert=onnx.convert,
        quantize={
            "float16": onnx_quantize.float16,
            "int8": onnx_quantize.int8,
            "weights": onnx_quantize.weights,
        },
        check=onnx.check,
    ),
}
"""Name, as in --to and in the card's model.format, to how such a file is made."""
