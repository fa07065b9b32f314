"""Counts against figures from outside: papers' tables, Keras' totals, and sums that can be checked on paper."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lucency.models.flops import Flops, count_flops, measure

# MobileNetV1 1.0-224, table 1 of the paper with its stride typo set right: (weights, madds) of each layer
V1_LAYERS = [
    (864, 10_838_016),
    *[(288, 3_612_672), (2_048, 25_690_112)],
    *[(576, 1_806_336), (8_192, 25_690_112)],
    *[(1_152, 3_612_672), (16_384, 51_380_224)],
    *[(1_152, 903_168), (32_768, 25_690_112)],
    *[(2_304, 1_806_336), (65_536, 51_380_224)],
    *[(2_304, 451_584), (131_072, 25_690_112)],
    *[(4_608, 903_168), (262_144, 51_380_224)] * 5,
    *[(4_608, 225_792), (524_288, 25_690_112)],
    *[(9_216, 451_584), (1_048_576, 51_380_224)],
    (1_024_000, 1_024_000),
]


def test_mobilenet_v1_layer_by_layer() -> None:
    counted = count_flops("mobilenet_v1")
    assert [(layer.weights, layer.madds) for layer in counted.layers] == V1_LAYERS
    assert counted.madds() == 568_740_352
    assert counted.weights() == 4_209_088
    assert counted.trainable == 4_231_976
    assert counted.parameters == 4_253_864


def test_mobilenet_v1_shares_by_type() -> None:
    """Table 2 of the paper, its first convolution's 1.19 read as the 1.91 it is."""
    counted = count_flops("mobilenet_v1")
    shares = {
        kind: (round(100 * counted.madds(kind) / counted.madds(), 2), round(100 * counted.weights(kind) / 4_209_088, 2))
        for kind in ("pointwise", "depthwise", "convolution", "dense")
    }
    assert shares == {
        "pointwise": (94.86, 74.59),
        "depthwise": (3.06, 1.06),
        "convolution": (1.91, 0.02),
        "dense": (0.18, 24.33),
    }


@pytest.mark.parametrize(
    ("backbone", "top", "parameters", "madds_m"),
    [
        ("mobilenet_v1", "none", 3_228_864, 567.72),
        ("mobilenet_v1", "dense128", 3_360_193, 567.85),
        ("mobilenet_v2", "imagenet", 3_538_984, 300.77),
        ("mobilenet_v2", "none", 2_257_984, 299.49),
        ("mobilenet_v2", "dense128", 2_422_081, 299.66),
    ],
)
def test_totals_with_and_without_a_top(backbone: str, top: str, parameters: int, madds_m: float) -> None:
    """Parameters: Keras. Without a top V1 saves 1,024,000 of 568,740,352 multiply-adds."""
    counted = count_flops(backbone, top=top)
    assert counted.parameters == parameters
    assert counted.madds() / 1e6 == pytest.approx(madds_m, abs=0.005)


@pytest.mark.parametrize(
    ("size", "trainable_m", "gmadds"),
    [(0, 4.652, 0.385), (1, 5.417, 0.600), (2, 6.092, 0.860), (3, 8.197, 1.383), (4, 13.007, 2.553)],
)
def test_efficientnet_lite_equals_an_independent_count(size: int, trainable_m: float, gmadds: float) -> None:
    """github.com/d-li14/efficientnet-lite.pytorch, README."""
    counted = count_flops(f"efficientnet_lite{size}")
    assert counted.trainable / 1e6 == pytest.approx(trainable_m, abs=0.0005)
    assert counted.madds() / 1e9 == pytest.approx(gmadds, abs=0.0005)


def test_full_convolutions_cost_as_in_the_paper() -> None:
    """MobileNetV1 paper, table 4: "Conv MobileNet" 4866 million multiply-adds, 29.3 million parameters."""
    counted = count_flops("mobilenet_v1")
    pairs = counted.factored()
    assert len(pairs) == 13
    full = counted.madds() + sum(pair.full_madds - pair.madds for pair in pairs)
    weights = counted.weights() + sum(pair.full_weights - pair.weights for pair in pairs)
    assert full / 1e6 == pytest.approx(4866, rel=0.0005)
    assert weights / 1e6 == pytest.approx(29.3, abs=0.05)


@pytest.mark.parametrize("backbone", ["mobilenet_v1", "mobilenet_v2", "efficientnet_lite0"])
def test_the_saving_of_a_pair_is_the_papers_formula(backbone: str) -> None:
    for pair in count_flops(backbone).factored():
        assert pair.madds / pair.full_madds == pytest.approx(1 / pair.outputs + 1 / pair.kernel**2)


def test_counting_removes_its_hooks() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    measure(network, torch.zeros(1, 3, 8, 8))
    assert not network[0]._forward_hooks


def test_bias_norm_and_rectangles_by_hand() -> None:
    """Conv 3→4, 3×3 on 8×6 without padding: 108 weights at 6·4 places, 4 biases, 4 scales and shifts, 8 moments."""
    counted = measure(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), torch.zeros(1, 3, 8, 6))
    assert counted.madds() == 108 * 24
    assert (counted.weights(), counted.trainable, counted.parameters) == (108, 108 + 4 + 8, 108 + 4 + 8 + 8)


# The networks that others compare with, written out here to verify the cited totals.


def _vgg16() -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = 3
    for outputs, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(25088, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000))


def _alexnet() -> nn.Sequential:
    """One tower, as in Krizhevsky 2014 and torchvision."""
    return nn.Sequential(
        *[nn.Conv2d(3, 64, 11, 4, 2), nn.MaxPool2d(3, 2)],
        *[nn.Conv2d(64, 192, 5, padding=2), nn.MaxPool2d(3, 2)],
        *[nn.Conv2d(192, 384, 3, padding=1), nn.Conv2d(384, 256, 3, padding=1), nn.Conv2d(256, 256, 3, padding=1)],
        *[nn.MaxPool2d(3, 2), nn.Flatten()],
        *[nn.Linear(9216, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000)],
    )


class _Bottleneck(nn.Module):
    """He et al. 2016 with the stride on the 3×3, as in torchvision; convolutions with bias, as in Keras."""

    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * inner
        self.shortcut = _normed(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else nn.Identity()
        self.path = nn.Sequential(
            _normed(inputs, inner, 1, 1), _normed(inner, inner, 3, stride), _normed(inner, outputs, 1, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shortcut(x) + self.path(x)


def _normed(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.BatchNorm2d(outputs))


def _resnet50() -> nn.Sequential:
    layers: list[nn.Module] = [_normed(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for inner, repeats, first in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for index in range(repeats):
            layers.append(_Bottleneck(inputs, inner, first if index == 0 else 1))
            inputs = 4 * inner
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def test_peers_figures_equal_the_sums_of_their_layers() -> None:
    from lucency.models.published import PEERS

    peers = {peer.name: peer for peer in PEERS}
    with torch.device("meta"):
        networks = {"VGG-16": _vgg16(), "AlexNet": _alexnet(), "ResNet-50": _resnet50()}
        for name, network in networks.items():
            counted: Flops = measure(network, torch.zeros(1, 3, 224, 224))
            assert counted.parameters == peers[name].parameters, name
            assert counted.madds() / 1e6 == pytest.approx(peers[name].madds_m, abs=0.6), name
