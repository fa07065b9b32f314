"""MobileNetV1, MobileNetV2 and EfficientNet-Lite, cut before their pool; and any network of timm, as `timm:NAME`.

Howard et al. 2017, arXiv:1704.04861; Sandler et al. 2018, arXiv:1801.04381; Liu 2020, on Tan & Le 2019,
arXiv:1905.11946. timm is optional, imported only when used.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import torch
from torch import Tensor, nn

from lucency.errors import UsageError, WeightsError
from lucency.models.layers import Inverted, Padding, Unit, divisible, initialise

TIMM_PREFIX = "timm:"
STAGE_NAMES = ("blocks", "stages", "layer", "features")
"""Names of the parts that hold blocks in timm's families; these are opened, every other part is one block."""

Triple = tuple[float, float, float]


class TimmFeatures(nn.Module):
    """A timm network without its pool and classifier: normalised (n, 3, s, s) → A (n, k, h, w)."""

    def __init__(self, net: Any, channels: int) -> None:
        super().__init__()
        self.net = net
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Without pool and classes, a timm network returns the activations before its pool."""
        found: Tensor = self.net(x)
        return found

    def blocks(self) -> list[nn.Module]:
        """Its blocks in order, stages opened."""
        found: list[nn.Module] = []
        for name, child in self.net.named_children():
            stages = [*child.children()] if name.startswith(STAGE_NAMES) else []
            for stage in stages or [child]:
                inner = [*stage.children()] if stages and isinstance(stage, nn.Sequential) else []
                found += inner or [stage]
        return [block for block in found if any(True for _ in block.parameters())]


def timm_features(name: str, width: float = 1.0) -> TimmFeatures:
    """The network `timm:NAME` with random weights.

    Raises:
        UsageError: timm is missing or does not know NAME, a width is asked for, or it ends in no maps (n, k, h, w).
    """
    if width != 1.0:
        raise UsageError(f"{name}: expected width = 1.0, got {width}; timm has a name for each width it knows")
    return _timm_network(name, pretrained=False)


def timm_pretrained(name: str) -> dict[str, Tensor]:
    """The state dict of `timm:NAME` with the weights that timm publishes; timm downloads and checks them.

    Raises:
        WeightsError: timm has none, or cannot fetch them.
    """
    try:
        return dict(_timm_network(name, pretrained=True).state_dict())
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{name}: timm cannot provide its weights ({reason}); give a file with --weights") from error


def timm_facts(name: str) -> tuple[Triple, Triple, int, str]:
    """Mean, standard deviation, native side and reference of `timm:NAME`, from timm."""
    config = _timm(name).get_pretrained_cfg(name.removeprefix(TIMM_PREFIX))
    if config is None:
        raise UsageError(f"{name}: timm does not know it; timm.list_models() prints what it knows")
    paper = getattr(config, "paper_ids", None) or "see timm"
    return config.mean, config.std, int(config.input_size[-1]), str(paper)


def _timm_network(name: str, *, pretrained: bool) -> TimmFeatures:
    known = name.removeprefix(TIMM_PREFIX)
    try:
        net = _timm(name).create_model(known, pretrained=pretrained, num_classes=0, global_pool="")
    except RuntimeError as error:
        if "Unknown model" not in str(error):
            raise
        raise UsageError(f"{name}: timm does not know it; timm.list_models() prints what it knows") from error
    return TimmFeatures(net, _timm_channels(net, name))


def _timm_channels(net: Any, name: str) -> int:
    """Channels of the maps the network ends in, from a blank film; timm's own num_features leaves out some heads."""
    was_training = net.training
    try:
        with torch.no_grad():
            found = net.eval()(torch.zeros(1, 3, 96, 96))
    except (AssertionError, RuntimeError) as error:
        raise UsageError(f"{name}: takes no film of another side ({error}); choose a convolutional network") from error
    finally:
        net.train(was_training)
    if found.ndim != 4:
        raise UsageError(
            f"{name}: expected maps (n, k, h, w) before the pool, got {found.ndim} dimensions; choose another"
        )
    return int(found.shape[1])


def _timm(name: str) -> Any:
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise UsageError(
            f"{name}: expected timm to be installed; pip install timm, or choose another backbone"
        ) from error


TF_EPS = 1e-3
TF_PADDING: Padding = "same"
"""MobileNetV1's and EfficientNet-Lite's published weights were trained in TensorFlow."""

V1_LAYERS = (
    # channels, stride: table 1 of the paper
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),  # the paper prints stride 2; its own shapes, 7×7 in and out, and its counts imply 1
)
V2_STAGES = (
    # expansion, channels, blocks, stride of the first: table 2 of the paper
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
LITE_STAGES = (
    # expansion, channels, blocks, stride of the first, kernel: table 1 of the EfficientNet paper
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
LITE_SCALES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8))
"""Channels and blocks of EfficientNet-Lite 0 to 4 are multiplied by these: efficientnet_lite_builder.py."""
LAST = 1280
"""Channels of the last layer of MobileNetV2 and EfficientNet-Lite."""


class Separable(nn.Module):
    """Depthwise, then pointwise convolution: k² + outputs products a value instead of k² · outputs."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = Unit(inputs, inputs, 3, stride, depthwise=True, eps=TF_EPS, padding=TF_PADDING)
        self.pointwise = Unit(inputs, outputs, eps=TF_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) → (n, outputs, ceil(h / stride), ceil(w / stride))."""
        out: Tensor = self.pointwise(self.depthwise(x))
        return out


def mobilenet_v1(width: float = 1.0) -> nn.Sequential:
    """Normalised (n, 3, s, s) → A (n, 1024·width, s/32, s/32).

    Args:
        width: the paper's alpha: channels of every layer times this, rounded down (at least 8, as in slim).
            The paper's rho, the resolution multiplier, is the image size and needs nothing here.
    """
    channels = max(int(32 * width), 8)
    blocks: list[nn.Module] = [Unit(3, channels, 3, 2, eps=TF_EPS, padding=TF_PADDING)]
    for base, stride in V1_LAYERS:
        outputs = max(int(base * width), 8)
        blocks.append(Separable(channels, outputs, stride))
        channels = outputs
    return _initialised(blocks)


def mobilenet_v2(width: float = 1.0, *, eps: float = 1e-5, padding: Padding = "symmetric") -> nn.Sequential:
    """Normalised (n, 3, s, s) → A (n, 1280, s/32, s/32).

    Args:
        width: channels of every layer times this, rounded to a multiple of 8. The last layer keeps its 1280
            channels where width < 1 (section 6.1 of the paper) and widens with the others above.
        eps, padding: as PyTorch's networks have them; TF_EPS and TF_PADDING make it Keras's and slim's.
    """
    channels = divisible(32 * width)
    blocks: list[nn.Module] = [Unit(3, channels, 3, 2, eps=eps, padding=padding)]
    for factor, base, count, first in V2_STAGES:
        outputs = divisible(base * width)
        for stride in [first] + [1] * (count - 1):
            blocks.append(Inverted(channels, outputs, 3, stride, factor, eps=eps, padding=padding))
            channels = outputs
    blocks.append(Unit(channels, divisible(LAST * max(1.0, width)), eps=eps))
    return _initialised(blocks)


def efficientnet_lite(size: int, width: float = 1.0) -> nn.Sequential:
    """Normalised (n, 3, s, s) → A (n, 1280, s/32, s/32), rounded up at each of the five halvings.

    EfficientNet without the operations that are slow on phones: no squeeze-and-excitation, ReLU6 instead of swish, and
    the first and last layers the same in all five.

    Args:
        size: 0 to 4.
        width: multiplies the channels of every layer but the first and the last, besides the size's own factor.
    """
    wide, deep = LITE_SCALES[size]
    channels = 32
    blocks: list[nn.Module] = [Unit(3, channels, 3, 2, eps=TF_EPS, padding=TF_PADDING)]
    for index, (factor, base, count, first, kernel) in enumerate(LITE_STAGES):
        outputs = divisible(base * wide * width)
        fixed = index in (0, len(LITE_STAGES) - 1)  # the first and the last stage do not deepen
        for stride in [first] + [1] * ((count if fixed else math.ceil(count * deep)) - 1):
            blocks.append(Inverted(channels, outputs, kernel, stride, factor, eps=TF_EPS, padding=TF_PADDING))
            channels = outputs
    blocks.append(Unit(channels, LAST, eps=TF_EPS))
    return _initialised(blocks)


def _initialised(blocks: list[nn.Module]) -> nn.Sequential:
    features = nn.Sequential(*blocks)
    initialise(features)
    return features
