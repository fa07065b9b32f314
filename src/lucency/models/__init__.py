"""Networks: a backbone cut before its pool, and a head. One row of BACKBONES per backbone.

To add a backbone, write a module that returns the network cut before its pool and add a row below
(docs/adding-a-backbone.md).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from torch import nn

from lucency.errors import UsageError
from lucency.models.backbones import (
    TF_EPS,
    TF_PADDING,
    TIMM_PREFIX,
    TimmFeatures,
    efficientnet_lite,
    mobilenet_v1,
    mobilenet_v2,
    timm_facts,
    timm_features,
)
from lucency.models.classifier import HEADS, Classifier
from lucency.models.imported import Graph
from lucency.models.layers import set_output_stride, spread_evidence, stride_of, truncate, tta_views
from lucency.models.lung_crop import LungCrop
from lucency.models.pretrained import load_pretrained

if TYPE_CHECKING:
    from lucency.recipe import ModelSettings

__all__ = ["BACKBONES", "Backbone", "Classifier", "backbone", "blocks", "build", "channels", "load_pretrained"]

Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
HALF: Triple = (0.5, 0.5, 0.5)
LITE_MEAN: Triple = (127 / 255, 127 / 255, 127 / 255)
LITE_STD: Triple = (128 / 255, 128 / 255, 128 / 255)


@dataclass(frozen=True)
class Backbone:
    """A network cut before its pool, and the input it expects."""

    build: Callable[[float], nn.Module]
    """Width multiplier → features: normalised (n, 3, s, s) → A (n, k, h, w), with random weights."""
    mean: Triple
    """Subtracted from each channel, on a scale of 0..1."""
    std: Triple
    """Each channel is then divided by this."""
    side: int
    """Pixels along the square that the published weights were trained on."""
    paper: str


def _lite(size: int, side: int) -> Backbone:
    build = partial(efficientnet_lite, size)
    return Backbone(build, LITE_MEAN, LITE_STD, side, "Liu 2020; Tan & Le 2019, arXiv:1905.11946")


BACKBONES: dict[str, Backbone] = {
    "mobilenet_v1": Backbone(
        build=mobilenet_v1,
        mean=HALF,
        std=HALF,
        side=224,
        paper="Howard et al. 2017, arXiv:1704.04861",
    ),
    "mobilenet_v2": Backbone(
        build=mobilenet_v2,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        side=224,
        paper="Sandler et al. 2018, arXiv:1801.04381",
    ),
    "mobilenet_v2_tf": Backbone(  # as Keras and slim have it: more zeros below and right
        build=partial(mobilenet_v2, eps=TF_EPS, padding=TF_PADDING),
        mean=HALF,
        std=HALF,
        side=224,
        paper="Sandler et al. 2018, arXiv:1801.04381",
    ),
    "efficientnet_lite0": _lite(0, side=224),
    "efficientnet_lite1": _lite(1, side=240),
    "efficientnet_lite2": _lite(2, side=260),
    "efficientnet_lite3": _lite(3, side=280),
    "efficientnet_lite4": _lite(4, side=300),
}


def backbone(name: str) -> Backbone:
    """The row called `name`; for `timm:NAME` a row from timm's own configuration of that network.

    Raises:
        UsageError: no such row (with the nearest one), or timm is not installed or does not know NAME.
    """
    if name.startswith(TIMM_PREFIX):
        mean, std, side, paper = timm_facts(name)
        return Backbone(partial(timm_features, name), mean, std, side, paper)
    if name not in BACKBONES:
        near = difflib.get_close_matches(name, BACKBONES, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(BACKBONES)} and timm:NAME"
        raise UsageError(f"unknown backbone '{name}'; {hint}")
    return BACKBONES[name]


def build(settings: ModelSettings, findings: int = 1, bias: Sequence[float] | None = None) -> Classifier:
    """The classifier that a recipe's [model] table describes, in training mode.

    Args:
        settings: backbone, width, head, dropout and initial weights.
        findings: number of logits.
        bias: initial logits, one per finding; log(p / (1 - p)) of its prior is a good choice.

    Raises:
        UsageError: unknown backbone, timm:NAME without timm, or a depth, stride or spread that it cannot have.
        WeightsError: pretrained weights asked for, and missing, altered or made for another network.
    """
    row = backbone(settings.backbone)
    features = row.build(settings.width)
    if settings.weights != "none":
        load_pretrained(features, settings.backbone, settings.weights, settings.width)
    features = truncate(features, settings.depth, settings.expansion)
    set_output_stride(features, settings.stride)
    spread_evidence(features, settings.spread)
    head = HEADS[settings.head](channels(features), findings, settings.dropout)
    if bias is not None:
        head.set_bias(bias)
    crop = None
    if settings.lung_crop:
        crop = LungCrop(settings.lung_crop, settings.lung_crop // stride_of(features), settings.crop_scales)
    return Classifier(features, head, row.mean, row.std, crop, tta_views(settings.tta_flip, settings.tta_zoom))


def blocks(classifier: Classifier) -> list[nn.Module]:
    """The backbone's blocks from first to last; together they hold all of its parameters."""
    features = classifier.features
    return features.blocks() if isinstance(features, TimmFeatures) else list(features.children())


def channels(features: nn.Module) -> int:
    """How many maps the features end in: k of A (n, k, h, w)."""
    if isinstance(features, TimmFeatures | Graph):
        return features.channels
    return [part for part in features.modules() if isinstance(part, nn.Conv2d)][-1].out_channels
