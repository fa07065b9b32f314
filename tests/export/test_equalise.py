"""Evening out channels: the same function, ranges that are closer together."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import nn

from lucency.export.equalise import equalise, streams
from lucency.export.network import folded
from lucency.models import Classifier, build
from lucency.models.layers import Inverted, Unit
from lucency.recipe import ModelSettings

from .small_runs import alive, few_units, squares

SIDE = 64


def uneven() -> Classifier:
    """A MobileNetV2 with channels a hundred times apart, as folded norms leave them."""
    classifier = folded(alive(build(ModelSettings(width=0.35), 1), SIDE))
    with torch.no_grad():
        for part in classifier.modules():
            if isinstance(part, Inverted):
                part.project.conv.weight[::3] /= 100
                part.project.conv.bias[::3] /= 100
    return classifier


def answers(classifier: Classifier, films: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        return classifier.forward_map(torch.from_numpy(films[:, None].astype(np.float32)))


def test_the_function_stays_the_same() -> None:
    classifier, films = uneven(), squares(16, SIDE)
    before = answers(classifier, films)
    weights = classifier.features[3].expand.conv.weight.clone()
    equalise(classifier, films)
    after = answers(classifier, films)
    assert not torch.equal(weights, classifier.features[3].expand.conv.weight)
    assert torch.allclose(before[0], after[0], atol=1e-3)
    assert torch.allclose(before[1], after[1], atol=1e-3)


def test_ranges_come_closer_together() -> None:
    classifier, films = uneven(), squares(16, SIDE)
    tensor = torch.from_numpy(films[:, None].astype(np.float32))

    def unevenness() -> float:
        with torch.no_grad():
            values = classifier.features[:6](classifier.normalise(tensor))
        spread = values.amax((0, 2, 3)) - values.amin((0, 2, 3))
        return (spread.max() / spread.median()).item()

    before = unevenness()
    equalise(classifier, films)
    assert unevenness() < before


def test_streams_of_mobilenet_v2_by_hand() -> None:
    found = list(streams(build(ModelSettings(width=0.35), 1).features))
    # 17 blocks: 16 with expand → depthwise → project, the first without expand
    inner = [stream for stream in found if not stream.sums and len(stream.makers) == len(stream.takers) == 1]
    assert sum(1 for stream in found if stream.clipped and stream.makers and stream.takers) == 1 + 16 * 2 + 1
    # table 2 of the paper: stages of 1, 2, 3, 4, 3, 3, 1 blocks, summed within a stage
    sizes = [len(stream.makers) for stream in found if stream.makers and not stream.clipped]
    assert sizes == [1, 2, 3, 4, 3, 3, 1]
    assert [len(stream.takers) for stream in found if stream.makers and not stream.clipped] == sizes
    assert len(inner) >= 34
    assert found[0].makers == []
    assert found[-1].takers == []


def test_a_plain_chain() -> None:
    chain = few_units("linear", 1).features
    found = [stream for stream in streams(chain) if stream.makers and stream.takers]
    assert [(stream.makers[0], stream.takers[0]) for stream in found] == list(pairwise(chain))


def test_networks_from_elsewhere_are_left_alone() -> None:
    assert list(streams(nn.Sequential(nn.Conv2d(3, 4, 3), Unit(4, 4)))) == []
