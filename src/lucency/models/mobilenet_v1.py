"""MobileNetV1 (Howard et al. 2017, arXiv:1704.04861), cut before its pool."""

from __future__ import annotations

from torch import Tensor, nn

from lucency.models.layers import Padding, Unit, initialise

LAYERS = (
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
    (1024, 1),  # the paper prints stride 2; its own shapes, 7×7 in and out, and its counts need 1
)
EPS = 1e-3
PADDING: Padding = "same"  # the published weights were trained in TensorFlow


class Separable(nn.Module):
    """Filter each channel alone, then mix channels by 1×1: k² + outputs products a value, not k² · outputs."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = Unit(inputs, inputs, 3, stride, depthwise=True, eps=EPS, padding=PADDING)
        self.pointwise = Unit(inputs, outputs, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) → (n, outputs, ceil(h / stride), ceil(w / stride))."""
        out: Tensor = self.pointwise(self.depthwise(x))
        return out


def mobilenet_v1(width: float = 1.0) -> nn.Sequential:
    """Normalised (n, 3, s, s) → A (n, 1024·width, s/32, s/32).

    Args:
        width: the paper's alpha: channels of every layer times this, cut to whole (at least 8, as in slim).
            The paper's rho, the resolution multiplier, is the side of the film and needs nothing here.
    """
    channels = _scale(32, width)
    blocks: list[nn.Module] = [Unit(3, channels, 3, 2, eps=EPS, padding=PADDING)]
    for outputs, stride in LAYERS:
        blocks.append(Separable(channels, _scale(outputs, width), stride))
        channels = _scale(outputs, width)
    features = nn.Sequential(*blocks)
    initialise(features)
    return features


def _scale(channels: int, width: float) -> int:
    return max(int(channels * width), 8)
