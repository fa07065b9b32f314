"""From a recipe's [model] table to a classifier."""

from __future__ import annotations

import math

import pytest
import torch

from lucency.errors import UsageError, WeightsError
from lucency.models import BACKBONES, backbone, blocks, build, channels
from lucency.recipe import ModelSettings


def test_an_unknown_backbone_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown backbone 'mobilnet_v2'; did you mean 'mobilenet_v2'"):
        backbone("mobilnet_v2")
    with pytest.raises(UsageError, match=r"known are mobilenet_v1, .* and timm:NAME"):
        backbone("zzz")


def test_settings_reach_the_network() -> None:
    classifier = build(ModelSettings(backbone="mobilenet_v1", width=0.25, head="dense128", dropout=0.4), findings=3)
    assert channels(classifier.features) == 256
    assert classifier.head.drop.p == 0.4
    assert classifier(torch.zeros(2, 1, 32, 32)).shape == (2, 3)


def test_bias_starts_at_the_log_odds_of_the_prior() -> None:
    classifier = build(ModelSettings(backbone="mobilenet_v1", width=0.25), bias=[math.log(3)])
    assert torch.sigmoid(classifier.head.last.bias).item() == pytest.approx(0.75)


def test_the_lecture_classifier_has_as_many_parameters_as_in_keras() -> None:
    """Keras: MobileNetV2 without top 2,257,984, then 128 and 1 dense units: 2,422,081 with the norms' moments."""
    state = build(ModelSettings(head="dense128")).state_dict()
    ours = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    del ours["scale"], ours["shift"]
    assert sum(value.numel() for value in ours.values()) == 2_422_081


def test_weights_of_another_network_raise(shared: object) -> None:
    settings = ModelSettings(backbone="mobilenet_v2", width=0.5, weights=f"{shared}/weights/mobilenet_v2-b0353104.pth")
    with pytest.raises(WeightsError, match="made for another network"):
        build(settings)


def test_width_scales_every_backbone() -> None:
    for row in BACKBONES.values():
        with torch.device("meta"):
            half, whole = (sum(p.numel() for p in row.build(width).parameters()) for width in (0.5, 1.0))
        assert half < 0.8 * whole


def test_blocks_run_from_the_stem_to_the_last_layer() -> None:
    """MobileNetV1 is a stem and 13 separable blocks; MobileNetV2 a stem, 17 inverted residuals and a last layer."""
    assert len(blocks(build(ModelSettings(backbone="mobilenet_v1", width=0.25)))) == 14
    found = blocks(build(ModelSettings(backbone="mobilenet_v2", width=0.35)))
    assert len(found) == 19
    assert found[0].conv.in_channels == 3
    assert found[-1].conv.out_channels == 1280
