"""How others name the same weights: state dicts of torchvision, timm and efficientnet_pytorch, renamed to ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lucency.errors import WeightsError
from lucency.models.backbones import TF_EPS

Rules = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Layout:
    """One way to name the weights of a backbone."""

    mark: str
    """A name that only this layout has."""
    dense: str
    """What its 1000-way classifier is called; "" where it has none."""
    rules: Rules
    """Pattern and replacement; the first that matches renames. What none matches is not the backbone's."""


LAYOUTS: dict[str, Layout] = {
    "lucency features": Layout("0.conv.weight", "", ((r"(\d+\..*)", r"\1"),)),
    "lucency": Layout("features.0.conv.weight", "", ((r"features\.(\d+\..*)", r"\1"),)),
    "torchvision": Layout(
        mark="features.0.0.weight",
        dense="classifier.1",
        rules=(
            (r"features\.1\.conv\.0\.0\.(.*)", r"1.depthwise.conv.\1"),
            (r"features\.1\.conv\.0\.1\.(.*)", r"1.depthwise.norm.\1"),
            (r"features\.1\.conv\.1\.(.*)", r"1.project.conv.\1"),
            (r"features\.1\.conv\.2\.(.*)", r"1.project.norm.\1"),
            (r"features\.(\d+)\.conv\.0\.0\.(.*)", r"\1.expand.conv.\2"),
            (r"features\.(\d+)\.conv\.0\.1\.(.*)", r"\1.expand.norm.\2"),
            (r"features\.(\d+)\.conv\.1\.0\.(.*)", r"\1.depthwise.conv.\2"),
            (r"features\.(\d+)\.conv\.1\.1\.(.*)", r"\1.depthwise.norm.\2"),
            (r"features\.(\d+)\.conv\.2\.(.*)", r"\1.project.conv.\2"),
            (r"features\.(\d+)\.conv\.3\.(.*)", r"\1.project.norm.\2"),
            (r"features\.(\d+)\.0\.(.*)", r"\1.conv.\2"),
            (r"features\.(\d+)\.1\.(.*)", r"\1.norm.\2"),
        ),
    ),
    "efficientnet_pytorch": Layout(
        mark="_conv_stem.weight",
        dense="_fc",
        rules=(
            (r"_conv_stem\.(.*)", r"stem.conv.\1"),
            (r"_bn0\.(.*)", r"stem.norm.\1"),
            (r"_blocks\.(\d+)\._expand_conv\.(.*)", r"\1.expand.conv.\2"),
            (r"_blocks\.(\d+)\._bn0\.(.*)", r"\1.expand.norm.\2"),
            (r"_blocks\.(\d+)\._depthwise_conv\.(.*)", r"\1.depthwise.conv.\2"),
            (r"_blocks\.(\d+)\._bn1\.(.*)", r"\1.depthwise.norm.\2"),
            (r"_blocks\.(\d+)\._project_conv\.(.*)", r"\1.project.conv.\2"),
            (r"_blocks\.(\d+)\._bn2\.(.*)", r"\1.project.norm.\2"),
            (r"_conv_head\.(.*)", r"last.conv.\1"),
            (r"_bn1\.(.*)", r"last.norm.\1"),
        ),
    ),
    "timm": Layout(
        mark="conv_stem.weight",
        dense="classifier",
        rules=(
            (r"conv_stem\.(.*)", r"stem.conv.\1"),
            (r"bn1\.(.*)", r"stem.norm.\1"),
            (r"blocks\.0\.(\d+)\.conv_dw\.(.*)", r"0-\1.depthwise.conv.\2"),
            (r"blocks\.0\.(\d+)\.bn1\.(.*)", r"0-\1.depthwise.norm.\2"),
            (r"blocks\.0\.(\d+)\.conv_pw\.(.*)", r"0-\1.project.conv.\2"),
            (r"blocks\.0\.(\d+)\.bn2\.(.*)", r"0-\1.project.norm.\2"),
            (r"blocks\.(\d+)\.(\d+)\.conv_pw\.(.*)", r"\1-\2.expand.conv.\3"),
            (r"blocks\.(\d+)\.(\d+)\.bn1\.(.*)", r"\1-\2.expand.norm.\3"),
            (r"blocks\.(\d+)\.(\d+)\.conv_dw\.(.*)", r"\1-\2.depthwise.conv.\3"),
            (r"blocks\.(\d+)\.(\d+)\.bn2\.(.*)", r"\1-\2.depthwise.norm.\3"),
            (r"blocks\.(\d+)\.(\d+)\.conv_pwl\.(.*)", r"\1-\2.project.conv.\3"),
            (r"blocks\.(\d+)\.(\d+)\.bn3\.(.*)", r"\1-\2.project.norm.\3"),
            (r"conv_head\.(.*)", r"last.conv.\1"),
            (r"bn2\.(.*)", r"last.norm.\1"),
        ),
    ),
}


def to_ours(state: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The backbone's weights under our names, with its classifier, if any, as dense.weight and dense.bias.

    None where no layout is recognised.
    """
    found = [layout for layout in LAYOUTS.values() if layout.mark in state]
    if not found:
        return None
    renamed = {name: value for old, value in state.items() if (name := _rename(old, found[0].rules))}
    dense = {f"dense.{part}": f"{found[0].dense}.{part}" for part in ("weight", "bias")}
    return _number(renamed) | {ours: state[theirs] for ours, theirs in dense.items() if theirs in state}


def _rename(name: str, rules: Rules) -> str | None:
    matches = (match.expand(new) for pattern, new in rules if (match := re.fullmatch(pattern, name)))
    return next(matches, None)


def _number(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Number the blocks through: stem is 0, then each block, whether it is called 4 or 2-1 (stage-block), then last."""
    places = {name.split(".")[0] for name in state}
    if "stem" not in places:
        return state
    inner = sorted(places - {"stem", "last"}, key=lambda place: [int(part) for part in place.split("-")])
    numbers = {place: number for number, place in enumerate(["stem", *inner, "last"])}
    return {f"{numbers[place]}.{rest}": value for (place, rest), value in _split(state)}


def _split(state: dict[str, Tensor]) -> list[tuple[tuple[str, str], Tensor]]:
    return [((name.split(".", 1)[0], name.split(".", 1)[1]), value) for name, value in state.items()]


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
        f"{ours}.norm.running_var": ones - TF_EPS,
    }


def _pair(fixed: Mapping[str, Array], theirs: str) -> tuple[Array, Array]:
    """Weights and bias of one of slim's layers."""
    names = {name: name.rpartition("/")[2] for name in fixed if f"/{theirs}/" in name}
    weights = [name for name, last in names.items() if last.endswith("weights")]
    biases = [name for name, last in names.items() if last.endswith("bias")]
    if not weights or not biases:
        raise KeyError(theirs)
    return fixed[weights[0]], fixed[biases[0]]
