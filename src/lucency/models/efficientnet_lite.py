"""EfficientNet-Lite 0 to 4 (Liu 2020, on Tan & Le 2019, arXiv:1905.11946), cut before their pool.

EfficientNet without what a phone cannot do fast: no squeeze-and-excitation, ReLU6 for swish, and the first and last
layers the same in all five.
"""

from __future__ import annotations

import math

from torch import nn

from lucency.models.layers import Inverted, Padding, Unit, divisible, initialise

STAGES = (
    # factor, channels, blocks, stride of the first, kernel: table 1 of the EfficientNet paper
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
SCALES = (
    # channels times, blocks times, native side: efficientnet_lite_builder.py
    (1.0, 1.0, 224),
    (1.0, 1.1, 240),
    (1.1, 1.2, 260),
    (1.2, 1.4, 280),
    (1.4, 1.8, 300),
)
STEM, LAST = 32, 1280
EPS = 1e-3
PADDING: Padding = "same"  # the published weights were trained in TensorFlow


def efficientnet_lite(size: int, width: float = 1.0) -> nn.Sequential:
    """Normalised (n, 3, s, s) → A (n, 1280, s/32, s/32), the side rounded up at each of the five halvings.

    Args:
        size: 0 to 4.
        width: channels of every layer but the first and the last times this, besides the size's own factor.
    """
    wide, deep, _ = SCALES[size]
    channels = STEM
    blocks: list[nn.Module] = [Unit(3, STEM, 3, 2, eps=EPS, padding=PADDING)]
    for index, (factor, base, count, first, kernel) in enumerate(STAGES):
        outputs = divisible(base * wide * width)
        fixed = index in (0, len(STAGES) - 1)  # the first and the last stage do not deepen
        for stride in [first] + [1] * ((count if fixed else math.ceil(count * deep)) - 1):
            blocks.append(Inverted(channels, outputs, kernel, stride, factor, eps=EPS, padding=PADDING))
            channels = outputs
    blocks.append(Unit(channels, LAST, eps=EPS))
    features = nn.Sequential(*blocks)
    initialise(features)
    return features
