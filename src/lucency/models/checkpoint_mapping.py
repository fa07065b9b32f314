"""Weights from elsewhere: state dicts of torchvision, timm and efficientnet_pytorch, renamed to ours."""

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
    """A naming scheme for the weights of a backbone."""

    mark: str
    """A name that only this layout has."""
    dense: str
    """Name of its 1000-way classifier; "" if it has none."""
    rules: Rules
    """Pattern and replacement; the first match renames. Unmatched names are not the backbone's."""


def _rules(*rows: tuple[str, str, str]) -> Rules:
    """Rules from rows (pattern of the convolution, pattern of its norm, our unit)."""
    return tuple(
        (rf"{theirs}\.(.*)", rf"{unit}.{part}.\{re.compile(theirs).groups + 1}")
        for conv, norm, unit in rows
        for theirs, part in ((conv, "conv"), (norm, "norm"))
    )


LAYOUTS: dict[str, Layout] = {
    "lucency features": Layout("0.conv.weight", "", ((r"(\d+\..*)", r"\1"),)),
    "lucency": Layout("features.0.conv.weight", "", ((r"features\.(\d+\..*)", r"\1"),)),
    "torchvision": Layout(
        mark="features.0.0.weight",
        dense="classifier.1",
        rules=_rules(
            (r"features\.1\.conv\.0\.0", r"features\.1\.conv\.0\.1", "1.depthwise"),
            (r"features\.1\.conv\.1", r"features\.1\.conv\.2", "1.project"),
            (r"features\.(\d+)\.conv\.0\.0", r"features\.(\d+)\.conv\.0\.1", r"\1.expand"),
            (r"features\.(\d+)\.conv\.1\.0", r"features\.(\d+)\.conv\.1\.1", r"\1.depthwise"),
            (r"features\.(\d+)\.conv\.2", r"features\.(\d+)\.conv\.3", r"\1.project"),
            (r"features\.(\d+)\.0", r"features\.(\d+)\.1", r"\1"),
        ),
    ),
    "efficientnet_pytorch": Layout(
        mark="_conv_stem.weight",
        dense="_fc",
        rules=_rules(
            ("_conv_stem", "_bn0", "stem"),
            (r"_blocks\.(\d+)\._expand_conv", r"_blocks\.(\d+)\._bn0", r"\1.expand"),
            (r"_blocks\.(\d+)\._depthwise_conv", r"_blocks\.(\d+)\._bn1", r"\1.depthwise"),
            (r"_blocks\.(\d+)\._project_conv", r"_blocks\.(\d+)\._bn2", r"\1.project"),
            ("_conv_head", "_bn1", "last"),
        ),
    ),
    "timm": Layout(
        mark="conv_stem.weight",
        dense="classifier",
        rules=_rules(
            ("conv_stem", "bn1", "stem"),
            (r"blocks\.0\.(\d+)\.conv_dw", r"blocks\.0\.(\d+)\.bn1", r"0-\1.depthwise"),
            (r"blocks\.0\.(\d+)\.conv_pw", r"blocks\.0\.(\d+)\.bn2", r"0-\1.project"),
            (r"blocks\.(\d+)\.(\d+)\.conv_pw", r"blocks\.(\d+)\.(\d+)\.bn1", r"\1-\2.expand"),
            (r"blocks\.(\d+)\.(\d+)\.conv_dw", r"blocks\.(\d+)\.(\d+)\.bn2", r"\1-\2.depthwise"),
            (r"blocks\.(\d+)\.(\d+)\.conv_pwl", r"blocks\.(\d+)\.(\d+)\.bn3", r"\1-\2.project"),
            ("conv_head", "bn2", "last"),
        ),
    ),
}


def to_ours(state: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The backbone's weights under our names, with its classifier, if any, as dense.weight and dense.bias.

    None if no layout is recognised.
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
    """Number the parts: the stem is 0, then each block, named 4 or 2-1 (stage-block), then the last layer."""
    places = {name.split(".")[0] for name in state}
    if "stem" not in places:
        return state
    inner = sorted(places - {"stem", "last"}, key=lambda place: [int(part) for part in place.split("-")])
    numbers = {place: number for number, place in enumerate(["stem", *inner, "last"])}
    parts = ((name.partition("."), value) for name, value in state.items())
    return {f"{numbers[place]}.{rest}": value for (place, _, rest), value in parts}


MAGIC = b"TFL3"
"""Bytes 4 to 8 of every .tflite file."""

Array = NDArray[np.float32]


def read_tflite(path: Path) -> dict[str, Tensor]:
    """The weights of a slim MobileNetV1 under our names, with dense.weight and dense.bias, background class left out.

    Raises:
        WeightsError: not slim's float MobileNetV1.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(str(path))
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise WeightsError(f"{path}: expected a .tflite file, cannot read it; download it again") from error
    fixed = {
        detail["name"]: interpreter.get_tensor(detail["index"]).copy()
        for detail in interpreter.get_tensor_details()
        if re.search(r"(weights|bias)$", detail["name"]) and detail["dtype"] is np.float32
    }
    return from_slim(fixed, str(path))


def from_slim(fixed: Mapping[str, Array], where: str) -> dict[str, Tensor]:
    """Rename slim's tensors and transpose them: (outputs, h, w, inputs) → (outputs, inputs, h, w).

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
