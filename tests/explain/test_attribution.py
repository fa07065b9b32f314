"""Attribution methods sum to the logit difference, and are exact on a linear network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lucency.explain.attribution import integrated_gradients, lime, shap
from lucency.models.classifier import Classifier
from lucency.models.heads import HEADS, Linear

from .conftest import random_network


def difference(classifier: Classifier, gray: np.ndarray, finding: int) -> float:
    """The film's logit minus the blank film's."""
    film = torch.from_numpy(gray.astype(np.float32))[None, None]
    with torch.no_grad():
        both = classifier(torch.cat([film, torch.full_like(film, float(gray.mean()))]))[:, finding]
    return float(both[0] - both[1])


@pytest.mark.parametrize("head", ["linear", "dense128"])
def test_shap_sums_to_the_difference(head: str, gray: np.ndarray) -> None:
    classifier = random_network(head, 2)
    found = shap(classifier, gray, 1, samples=64, cells=4)
    assert found.mean() == pytest.approx(difference(classifier, gray, 1), abs=2e-3)


def shallow(head: str) -> Classifier:
    """Two convolutions with ReLU and random weights: the logit bends along the way, but does not flicker.

    A deep random network flickers so much that its gradient must be sampled thousands of times.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()]
        classifier = Classifier(nn.Sequential(*layers), HEADS[head](16, 2, 0.0), (0.5,) * 3, (0.25,) * 3).eval()
        classifier.head.last.weight.data *= 1000
    return classifier


@pytest.mark.parametrize("head", ["linear", "dense128"])
def test_integrated_gradients_sum_to_the_difference(head: str, gray: np.ndarray) -> None:
    """Sundararajan et al. 2017, section 5: within 5 % is close enough; kinks of the ReLUs leave the rest."""
    classifier = shallow(head)
    found = integrated_gradients(classifier, gray, 1, steps=64)
    assert abs(difference(classifier, gray, 1)) > 0.1
    assert found.mean() == pytest.approx(difference(classifier, gray, 1), rel=0.05)


class Weighted(nn.Module):
    """A = position weights × film: the logit is linear in the film, so every fair share is known."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.from_numpy(weights.astype(np.float32)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weights


@pytest.mark.parametrize("opposite", [False, True])
def test_attributions_of_a_linear_network_are_exact(opposite: bool) -> None:
    rng = np.random.default_rng(0)
    weights, gray = rng.normal(size=(8, 8)), rng.integers(0, 256, (8, 8), dtype=np.uint8)
    head = Linear(3, 1, 0.0)
    with torch.no_grad():
        head.last.weight.copy_(torch.tensor([[255.0, 0.0, 0.0]]))
    classifier = Classifier(Weighted(weights), head, (0.0,) * 3, (1.0,) * 3).eval()
    parts = weights * (gray - gray.mean()) / 64  # of each pixel; the logit is the mean of weights × film
    expected = parts.reshape(4, 2, 4, 2).sum((1, 3)) * 16 * (-1 if opposite else 1)
    close = {"atol": 0.02 * np.abs(expected).max()}
    exact = integrated_gradients(classifier, gray, opposite=opposite, cells=4)
    np.testing.assert_allclose(exact, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(shap(classifier, gray, opposite=opposite, samples=256, cells=4), expected, **close)
    ridge = lime(classifier, gray, opposite=opposite, samples=512, cells=4)
    assert np.corrcoef(ridge.ravel(), expected.ravel())[0, 1] > 0.995
    np.testing.assert_allclose(ridge, expected, atol=0.1 * np.abs(expected).max())


def test_seed_changes_the_sampled_cells(gray: np.ndarray) -> None:
    classifier = random_network()
    first, second = (lime(classifier, gray, samples=32, cells=4, seed=seed) for seed in (0, 1))
    assert not np.array_equal(first, second)
