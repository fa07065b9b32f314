"""Guided backpropagation by hand, and against the trap that captum guides nn.ReLU only."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from captum.attr import GuidedGradCam
from torch import nn

from lucency.errors import ExplainError
from lucency.explain.guided import guided_backprop, guided_grad_cam, rectified
from lucency.explain.layers import LAST, layer
from lucency.explain.network import Evidence, as_input
from lucency.models.classifier import Classifier
from lucency.models.heads import Dense128, Linear

from .conftest import random_network


def chain(activation: nn.Module) -> Classifier:
    """Film → twice it → activation → -3 · → head: two paths whose gradients differ in sign."""
    first, second = nn.Conv2d(3, 2, 1, bias=False), nn.Conv2d(2, 1, 1, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[2.0, 0, 0], [1.0, 0, 0]]).reshape(2, 3, 1, 1))
        second.weight.copy_(torch.tensor([[-3.0, 5.0]]).reshape(1, 2, 1, 1))
    head = Linear(1, 1, 0.0)
    with torch.no_grad():
        head.last.weight.fill_(1.0)
        head.last.bias.zero_()
    return Classifier(nn.Sequential(first, activation, second), head, (0.0,) * 3, (1.0,) * 3).eval()


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU6(), nn.ReLU(inplace=True)])
def test_by_hand(activation: nn.Module) -> None:
    """With gray / 255 > 0 both units are open: the plain gradient is -3 · 2 + 5 · 1 = -1, guided lets -3 go: 5.

    Each of the four pixels has a quarter of it; the map is per black to white, which is 255 levels of 1/255.
    """
    classifier = chain(activation)
    gray = np.full((2, 2), 100, np.uint8)
    np.testing.assert_allclose(guided_backprop(classifier, gray), np.full((2, 2), 5 / 4), rtol=1e-5)
    np.testing.assert_allclose(guided_backprop(classifier, gray, opposite=True), np.full((2, 2), 6 / 4), rtol=1e-5)


def test_relu6_is_guided_and_not_passed_by() -> None:
    """Captum left alone returns the plain gradient here."""
    classifier = random_network()
    gray = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    film = torch.from_numpy(gray.astype(np.float32))[None, None].requires_grad_()
    (plain,) = torch.autograd.grad(classifier(film).sum(), film)
    assert not np.allclose(guided_backprop(classifier, gray), 255 * plain[0, 0].numpy(), rtol=1e-2)


def test_the_copy_answers_as_the_network_does() -> None:
    for head in ("linear", "dense128"):
        classifier = random_network(head)
        film = 255 * torch.rand(2, 1, 48, 48)
        with torch.no_grad():
            torch.testing.assert_close(rectified(classifier)(film), classifier(film))


def test_the_hidden_layer_of_the_head_is_guided_too() -> None:
    """Hidden units with w2 = +1 and -1 and equal inputs: the plain gradient cancels to 0, the guided one is 1."""
    head = Dense128(1, 1, 0.0)
    with torch.no_grad():
        head.hidden.weight.zero_()
        head.hidden.weight[:2] = 1.0
        head.hidden.bias.zero_()
        head.last.weight.zero_()
        head.last.weight[0, :2] = torch.tensor([1.0, -1.0])
    features = nn.Conv2d(3, 1, 1, bias=False)
    with torch.no_grad():
        features.weight.copy_(torch.tensor([1.0, 0, 0]).reshape(1, 3, 1, 1))
    classifier = Classifier(features, head, (0.0,) * 3, (1.0,) * 3).eval()
    np.testing.assert_allclose(guided_backprop(classifier, np.full((1, 1), 9, np.uint8)), [[1.0]], rtol=1e-5)


@pytest.mark.parametrize("method", [guided_backprop, guided_grad_cam])
def test_other_activations_are_refused(method: object) -> None:
    with pytest.raises(ExplainError, match="has SiLU; choose another"):
        method(chain(nn.SiLU()), np.full((2, 2), 9, np.uint8))  # type: ignore[operator]


def test_guided_grad_cam_is_cold_where_grad_cam_is(gray: np.ndarray) -> None:
    classifier = random_network()
    with torch.no_grad():
        classifier.head.last.weight.copy_(-classifier.head.last.weight.abs())  # A >= 0: all evidence is against
    assert not guided_grad_cam(classifier, gray).any()
    assert guided_grad_cam(classifier, gray, opposite=True).any()


def test_guided_grad_cam_is_captums_where_the_whole_film_is_read(gray: np.ndarray) -> None:
    """It is put together here, of captum's two parts, since captum would lay a frame's map over the whole film."""
    classifier = random_network()
    network = rectified(classifier).eval()
    method = GuidedGradCam(Evidence(network), layer(network, LAST))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum sets hooks on ReLU, and says so
        theirs = method.attribute(as_input(classifier, gray).requires_grad_(), interpolate_mode="bilinear")
    ours = guided_grad_cam(classifier, gray)
    assert np.abs(ours).max() > 0
    np.testing.assert_allclose(ours, 255 * theirs[0, 0].detach().numpy(), rtol=1e-3, atol=1e-6)
