"""MobileNetV1 as its authors publish it: a float .tflite whose norms are folded into weights and biases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lucency.errors import WeightsError
from lucency.models.mobilenet_v1 import EPS

MAGIC = b"TFL3"
"""Bytes 4 to 8 of every .tflite file."""

Array = NDArray[np.float32]


def read_tflite(path: Path) -> dict[str, Tensor]:
    """The weights of a slim MobileNetV1 under our names, with dense.weight and dense.bias, background class left out.

    Raises:
        WeightsError: not a float MobileNetV1 of slim's.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(str(path))
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise WeightsError(f"{path}: expected a .tflite, cannot read it, or truncated; fetch the file anew") from error
    fixed = {
        detail["name"]: interpreter.get_tensor(detail["index"]).copy()
        for detail in interpreter.get_tensor_details()
        if re.search(r"(weights|bias)$", detail["name"]) and detail["dtype"] is np.float32
    }
    return from_slim(fixed, str(path))


def from_slim(fixed: Mapping[str, Array], where: str) -> dict[str, Tensor]:
    """Rename slim's tensors and turn their axes: (outputs, h, w, inputs) → (outputs, inputs, h, w).

    A folded convolution is our convolution with a norm of scale 1, shift bias, mean 0 and variance 1 - eps.
    """
    try:
        state = _unit(fixed, "Conv2d_0", "0")
        for block in range(1, 14):
            state |= _unit(fixed, f"Conv2d_{block}_depthwise", f"{block}.depthwise")
            state |= _unit(fixed, f"Conv2d_{block}_pointwise", f"{block}.pointwise")
        dense, bias = _pair(fixed, "Conv2d_1c_1x1")
    except KeyError as error:
        raise WeightsError(f"{where}: expected slim's float MobileNetV1, found no {error.args[0]}") from error
    # Slim's class 0 is "background"; the other 1000 are ImageNet's in order.
    return state | {"dense.weight": torch.from_numpy(dense[1:, 0, 0]), "dense.bias": torch.from_numpy(bias[1:])}


def _unit(fixed: Mapping[str, Array], theirs: str, ours: str) -> dict[str, Tensor]:
    weights, bias = _pair(fixed, theirs)
    axes = (3, 0, 1, 2) if theirs.endswith("_depthwise") else (0, 3, 1, 2)
    ones = torch.ones(len(bias))
    return {
        f"{ours}.conv.weight": torch.from_numpy(np.ascontiguousarray(weights.transpose(axes))),
        f"{ours}.norm.weight": ones,
        f"{ours}.norm.bias": torch.from_numpy(bias),
        f"{ours}.norm.running_mean": ones * 0,
        f"{ours}.norm.running_var": ones - EPS,
    }


def _pair(fixed: Mapping[str, Array], theirs: str) -> tuple[Array, Array]:
    """Weights and bias of one of slim's layers."""
    names = {name: name.rpartition("/")[2] for name in fixed if f"/{theirs}/" in name}
    weights = [name for name, last in names.items() if last.endswith("weights")]
    biases = [name for name, last in names.items() if last.endswith("bias")]
    if not weights or not biases:
        raise KeyError(theirs)
    return fixed[weights[0]], fixed[biases[0]]
