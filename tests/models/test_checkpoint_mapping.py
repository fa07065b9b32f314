"""Weights from torchvision, timm and efficientnet_pytorch."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lucency.errors import WeightsError
from lucency.models import BACKBONES, load_pretrained
from lucency.models.checkpoint_mapping import from_slim, to_ours

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


STAGES = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)


def _slim(rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Slim's tensors by their names and axes, with random values, at the full width."""

    def draw(*shape: int) -> NDArray[np.float32]:
        return rng.normal(0, 0.05, shape).astype(np.float32)

    root, inner = "MobilenetV1", "MobilenetV1/MobilenetV1"
    fixed = {f"{root}/Conv2d_0/weights": draw(32, 3, 3, 3), f"{inner}/Conv2d_0/convolution_bias": draw(32)}
    for block, (inputs, outputs) in enumerate(itertools.pairwise(STAGES), 1):
        fixed |= {
            f"{root}/Conv2d_{block}_depthwise/depthwise_weights": draw(1, 3, 3, inputs),
            f"{inner}/Conv2d_{block}_depthwise/depthwise_bias": draw(inputs),
            f"{root}/Conv2d_{block}_pointwise/weights": draw(outputs, 1, 1, inputs),
            f"{inner}/Conv2d_{block}_pointwise/convolution_bias": draw(outputs),
        }
    top = f"{root}/Logits/Conv2d_1c_1x1"
    return fixed | {f"{top}/weights": draw(1001, 1, 1, 1024), f"{top}/convolution_bias": draw(1001)}


def test_folded_layers_equal_convolutions_with_bias() -> None:
    fixed = _slim(np.random.default_rng(0))
    network = BACKBONES["mobilenet_v1"].build(1.0).eval()
    state = from_slim(fixed, "here")
    network.load_state_dict({name: value for name, value in state.items() if "dense" not in name}, strict=False)
    film = torch.randn(1, 3, 16, 16)
    kernel = torch.from_numpy(fixed["MobilenetV1/Conv2d_0/weights"]).permute(0, 3, 1, 2)
    bias = torch.from_numpy(fixed["MobilenetV1/MobilenetV1/Conv2d_0/convolution_bias"])
    expected = F.conv2d(F.pad(film, (0, 1, 0, 1)), kernel, bias, stride=2).clamp(0, 6)
    torch.testing.assert_close(network[0](film), expected)
    kernel = torch.from_numpy(fixed["MobilenetV1/Conv2d_1_depthwise/depthwise_weights"]).permute(3, 0, 1, 2)
    bias = torch.from_numpy(fixed["MobilenetV1/MobilenetV1/Conv2d_1_depthwise/depthwise_bias"])
    depthwise = F.conv2d(expected, kernel, bias, padding=1, groups=32).clamp(0, 6)
    torch.testing.assert_close(network[1].depthwise(expected), depthwise)


def test_the_background_class_is_left_out() -> None:
    fixed = _slim(np.random.default_rng(1))
    state = from_slim(fixed, "here")
    assert state["dense.weight"].shape == (1000, 1024)
    assert state["dense.bias"][0].item() == fixed["MobilenetV1/Logits/Conv2d_1c_1x1/convolution_bias"][1]


def test_another_network_raises() -> None:
    fixed = {name: value for name, value in _slim(np.random.default_rng(2)).items() if "Conv2d_9_" not in name}
    with pytest.raises(WeightsError, match="here: expected slim's float MobileNetV1, found no Conv2d_9_depthwise"):
        from_slim(fixed, "here")


def test_a_broken_tflite_raises(tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(40))
    with pytest.raises(WeightsError, match=r"x.tflite: expected") as caught:
        load_pretrained(BACKBONES["mobilenet_v1"].build(1.0), "mobilenet_v1", str(path))
    assert "\n" not in str(caught.value)
