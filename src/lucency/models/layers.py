"""The two blocks of every backbone here: a convolution with its norm, and the inverted residual."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Padding = Literal["symmetric", "same"]
"""Padding of a stride of 2 on an even side: equal on both sides or, as in TensorFlow, more below and right."""


def divisible(channels: float, divisor: int = 8, least: int | None = None) -> int:
    """Round a channel count to a multiple of `divisor`, never down by more than a tenth.

    The rounding of the published MobileNetV2 and EfficientNet code (`make_divisible`, `round_filters`).

    >>> divisible(32 * 0.35), divisible(96 * 1.4)
    (16, 136)
    """
    rounded = max(least or divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


class Unit(nn.Module):
    """Convolution without bias → batch norm → ReLU6, or nothing for a linear bottleneck.

    (n, inputs, h, w) → (n, outputs, ceil(h / stride), ceil(w / stride)), whichever the padding.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        depthwise: bool = False,
        active: bool = True,
        eps: float = 1e-5,
        padding: Padding = "symmetric",
    ) -> None:
        super().__init__()
        self.same = padding == "same" and stride > 1  # with stride 1 the two paddings agree
        groups = inputs if depthwise else 1
        margin = 0 if self.same else kernel // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, margin, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=eps)
        self.act = nn.ReLU6() if active else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """One convolution, normed and clipped to 0..6."""
        if self.same:
            x = F.pad(x, self._margins(x.shape[-2], x.shape[-1]))
        out: Tensor = self.act(self.norm(self.conv(x)))
        return out

    def dilate(self, reach: int) -> None:
        """Replace the stride by a dilation of `reach` pixels (see output_stride)."""
        kernel = self.conv.kernel_size[0]
        reach = reach if kernel > 1 else 1
        self.same = False  # with stride 1 the two paddings agree
        self.conv.stride, self.conv.dilation = (1, 1), (reach, reach)
        self.conv.padding = (reach * (kernel // 2), reach * (kernel // 2))

    def _margins(self, height: int, width: int) -> list[int]:
        """Zeros to add (left, right, top, bottom), as TensorFlow's SAME does."""
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        margins = []
        for side in (width, height):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            margins += [total // 2, total - total // 2]
        return margins


class Inverted(nn.Module):
    """Inverted residual: 1×1 expansion, depthwise filter, linear 1×1 projection; adds the input if the shapes agree.

    Sandler et al. 2018, table 1. Without expansion (factor 1) the first step is left out.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        factor: int = 6,
        *,
        eps: float = 1e-5,
        padding: Padding = "symmetric",
    ) -> None:
        super().__init__()
        inner = inputs * factor
        self.expand = Unit(inputs, inner, eps=eps) if factor > 1 else nn.Identity()
        self.depthwise = Unit(inner, inner, kernel, stride, depthwise=True, eps=eps, padding=padding)
        self.project = Unit(inner, outputs, active=False, eps=eps)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) → (n, outputs, ceil(h / stride), ceil(w / stride))."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.skip else y


def initialise(network: nn.Module) -> None:
    """Random first weights: convolutions as in He et al. 2015, by fan-out; norms at identity."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            # A depthwise filter feeds one map only: its fan-out is counted per group.
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
            nn.init.normal_(module.weight, 0.0, (2.0 / fan_out) ** 0.5)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
