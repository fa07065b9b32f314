"""Small networks to explain: the smallest backbone, random weights, signals that live through all layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from lucency.models import build
from lucency.models.classifier import Classifier
from lucency.recipe import ModelSettings

Make = Callable[..., Classifier]


def random_network(
    head: str = "linear", findings: int = 1, seed: int = 0, backbone: str = "mobilenet_v2", width: float = 0.25
) -> Classifier:
    """A classifier with random weights whose logits differ between films."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        settings = ModelSettings(backbone=backbone, width=width, head=head)  # type: ignore[arg-type]
        classifier = build(settings, findings)
        for layer in classifier.head.modules():
            if isinstance(layer, torch.nn.Linear):
                torch.nn.init.normal_(layer.weight, 0.0, 0.3)
                torch.nn.init.normal_(layer.bias, 0.0, 0.3)
    return classifier.eval()


@pytest.fixture(scope="session")
def network() -> Make:
    """Makes random networks."""
    return random_network


@pytest.fixture(scope="session")
def gray() -> np.ndarray:
    """A prepared film of 64 × 64 with a bright square on dark noise."""
    film = np.random.default_rng(3).integers(0, 90, (64, 64), dtype=np.uint8)
    film[16:40, 24:56] += 120
    return film
