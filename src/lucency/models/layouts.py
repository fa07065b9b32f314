"""How others name the same weights: state dicts of torchvision, timm and efficientnet_pytorch, renamed to ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

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
