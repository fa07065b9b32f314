"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381), cut before its pool."""

from __future__ import annotations

from torch import nn

from lucency.models.layers import Inverted, Unit, divisible, initialise

STAGES = (
    # factor, channels, blocks, stride of the first: table 2 of the paper
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
LAST = 1280


def mobilenet_v2(width: float = 1.0) -> nn.Sequential:
    """Normalised (n, 3, s, s) → A (n, 1280, s/32, s/32).

    Args:
        width: channels of every layer times this, rounded to a multiple of 8. The last layer keeps its 1280
            channels where width < 1 (section 6.1 of the paper) and widens with the others above.
    """
    channels = divisible(32 * width)
    blocks: list[nn.Module] = [Unit(3, channels, 3, 2)]
    for factor, outputs, count, first in STAGES:
        for stride in [first] + [1] * (count - 1):
            blocks.append(Inverted(channels, divisible(outputs * width), 3, stride, factor))
            channels = divisible(outputs * width)
    blocks.append(Unit(channels, divisible(LAST * max(1.0, width))))
    features = nn.Sequential(*blocks)
    initialise(features)
    return features
