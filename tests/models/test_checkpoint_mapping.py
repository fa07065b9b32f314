"""Weights from torchvision, timm and efficientnet_pytorch."""

from __future__ import annotations

import torch
from torch import Tensor

from lucency.models import BACKBONES
from lucency.models.checkpoint_mapping import to_ours

ONE = torch.ones(1)


def _renamed(*names: str) -> list[str]:
    return sorted(to_ours(dict.fromkeys(names, ONE)) or {})


def test_torchvision_names() -> None:
    """The first block does not widen, so its inner numbering differs from the others'."""
    assert _renamed(
        "features.0.0.weight",
        "features.1.conv.0.0.weight",
        "features.1.conv.1.weight",
        "features.2.conv.0.0.weight",
        "features.2.conv.1.1.running_mean",
        "features.2.conv.3.bias",
        "features.18.1.bias",
        "classifier.1.weight",
    ) == [
        "0.conv.weight",
        "1.depthwise.conv.weight",
        "1.project.conv.weight",
        "18.norm.bias",
        "2.depthwise.norm.running_mean",
        "2.expand.conv.weight",
        "2.project.norm.bias",
        "dense.weight",
    ]


def test_efficientnet_pytorch_names() -> None:
    """Two blocks: the stem is 0, they are 1 and 2, the last layer 3."""
    assert _renamed(
        "_conv_stem.weight",
        "_bn0.bias",
        "_blocks.0._depthwise_conv.weight",
        "_blocks.1._bn0.weight",
        "_blocks.1._bn2.running_var",
        "_conv_head.weight",
        "_fc.bias",
    ) == [
        "0.conv.weight",
        "0.norm.bias",
        "1.depthwise.conv.weight",
        "2.expand.norm.weight",
        "2.project.norm.running_var",
        "3.conv.weight",
        "dense.bias",
    ]


def test_timm_names() -> None:
    """Stage 0 is depthwise-separable: its conv_pw narrows; elsewhere conv_pw widens and conv_pwl narrows."""
    assert _renamed(
        "conv_stem.weight",
        "blocks.0.0.conv_pw.weight",
        "blocks.1.0.conv_pw.weight",
        "blocks.1.1.conv_pwl.weight",
        "blocks.2.0.bn2.bias",
        "conv_head.weight",
        "bn2.weight",
        "classifier.weight",
    ) == [
        "0.conv.weight",
        "1.project.conv.weight",
        "2.expand.conv.weight",
        "3.project.conv.weight",
        "4.depthwise.norm.bias",
        "5.conv.weight",
        "5.norm.weight",
        "dense.weight",
    ]


def test_blocks_are_sorted_numerically() -> None:
    names = ["_conv_stem.weight", "_conv_head.weight", *(f"_blocks.{i}._bn1.weight" for i in range(12))]
    state = {name: torch.full((1,), float(i)) for i, name in enumerate(names)}
    ours = to_ours(state) or {}
    assert [ours[f"{i + 1}.depthwise.norm.weight"].item() for i in range(12)] == [2.0 + i for i in range(12)]


def test_lucency_names() -> None:
    features = BACKBONES["mobilenet_v1"].build(0.25).state_dict()
    assert to_ours(features) == features
    around: dict[str, Tensor] = {f"features.{name}": value for name, value in features.items()}
    assert to_ours({**around, "scale": ONE, "head.last.weight": ONE}) == features


def test_unknown_names_return_none() -> None:
    assert to_ours({"layer1.0.conv1.weight": ONE}) is None
