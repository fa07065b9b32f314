from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from lucency.recipe import FinetuneSettings
from lucency.train.weight_averaging import MeanFrom, averaging, interpolate_weights


def course(first: int, weights: list[float]) -> list[float]:
    """The average after each step."""
    layer = nn.Linear(1, 1, bias=False)
    average, found = AveragedModel(layer, avg_fn=MeanFrom(first)), []
    for weight in weights:
        nn.init.constant_(layer.weight, weight)
        average.update_parameters(layer)
        found.append(average.module.weight.item())
    return found


def test_swa_starts_at_its_first_step() -> None:
    assert course(2, [9.0, 5.0, 1.0, 2.0, 6.0]) == pytest.approx([9, 5, 1, 1.5, 3])


def test_swa_from_the_first_step() -> None:
    assert course(0, [3.0, 5.0, 10.0]) == pytest.approx([3, 4, 6])


def test_averaging_follows_the_recipe() -> None:
    assert averaging(FinetuneSettings(epochs=4), 10) is None
    even = averaging(FinetuneSettings(epochs=4, swa=1, ema=0.9), 10)
    assert even is not None
    assert even._kwargs["avg_fn"].first == 30


def test_interpolate_weights_by_hand() -> None:
    network = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    start = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        for value in network.state_dict().values():
            value.add_(4)
    interpolate_weights(network, start, 0.75)
    for name, value in network.state_dict().items():
        moved = 4 if name.endswith("num_batches_tracked") else 3
        assert torch.allclose(value, start[name] + moved)
