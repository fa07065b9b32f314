"""Attribution methods sum to the logit difference, and are exact on a linear network."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from captum.attr import GuidedGradCam
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lucency.errors import ExplainError
from lucency.explain.attribution import (
    cam,
    grad_cam,
    grad_cam_pp,
    guided_backprop,
    guided_grad_cam,
    integrated_gradients,
    layer_cam,
    lime,
    shap,
    with_relu_modules,
)
from lucency.explain.network import LAST, Evidence, last_finer_layer, layer, layers, to_input
from lucency.models import BACKBONES, build
from lucency.models.classifier import HEADS, Classifier, Dense128, Linear
from lucency.recipe import ModelSettings

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


SIDE = 48


class Through(nn.Module):
    """Features that are the film itself, repeated: activations known by hand."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def by_autograd(classifier: Classifier, gray: np.ndarray, finding: int) -> np.ndarray:
    """Grad-CAM before its ReLU, times the number of cells: sum_k Z mean(dy/dA_k) A_k, from the definition."""
    film = torch.from_numpy(gray.astype(np.float32))[None, None]
    activations = classifier.activations(film).detach().requires_grad_()
    logit = classifier.head(activations.mean((2, 3)))[0, finding]
    (gradient,) = torch.autograd.grad(logit, activations)
    return (gradient.sum((2, 3), keepdim=True) * activations).sum(1)[0].detach().numpy()


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 10**6), st.sampled_from(sorted(HEADS)), st.integers(2, 4), st.data())
def test_the_networks_map_is_grad_cam_on_random_networks(
    seed: int, head: str, findings: int, data: st.DataObject
) -> None:
    finding = data.draw(st.integers(0, findings - 1))
    classifier = random_network(head, findings, seed)
    gray = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    _agrees(classifier, gray, finding)


@pytest.mark.long
@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("head", HEADS)
def test_the_networks_map_is_grad_cam_on_every_backbone(backbone: str, head: str, gray: np.ndarray) -> None:
    width = 0.25 if backbone.startswith("mobilenet") else 1.0
    _agrees(random_network(head, 2, backbone=backbone, width=width), gray, 1)


@pytest.mark.parametrize("head", HEADS)
def test_the_networks_map_is_grad_cam_with_a_spread_head(head: str, gray: np.ndarray) -> None:
    settings_ = ModelSettings(width=0.25, depth=8, stride=8, spread=3, head=head)  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _agrees(build(settings_, 2).eval(), gray, 1)


@pytest.mark.parametrize("name", ["timm:resnet10t", "timm:mobilenetv3_small_050"])
def test_the_networks_map_is_grad_cam_on_timm(name: str, gray: np.ndarray) -> None:
    pytest.importorskip("timm", reason="needs timm, which is optional")
    _agrees(random_network("dense128", 2, backbone=name, width=1.0), gray, 0)


@pytest.mark.parametrize(("zooms", "rtol"), [((1.0,), 0), ((0.8,), 1e-5), ((1.0, 0.7), 1e-5)])  # matrices round
def test_maps_of_a_network_that_reads_mirrored_too_turn_with_the_film(
    zooms: tuple[float, ...], rtol: float, gray: np.ndarray
) -> None:
    classifier = build(ModelSettings(width=0.25, depth=8, tta_flip="both", tta_zoom=zooms), 2).eval()
    for explain in (cam, grad_cam):
        found = explain(classifier, gray, 1)
        np.testing.assert_allclose(explain(classifier, gray[:, ::-1].copy(), 1), found[:, ::-1], rtol=rtol, atol=1e-5)
        np.testing.assert_allclose(explain(classifier, gray[::-1].copy(), 1), found[::-1], rtol=rtol, atol=1e-5)


def _agrees(classifier: Classifier, gray: np.ndarray, finding: int) -> None:
    expected = by_autograd(classifier, gray, finding)
    tolerance = 1e-5 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(cam(classifier, gray, finding), expected, atol=tolerance)
    np.testing.assert_allclose(grad_cam(classifier, gray, finding), expected.clip(0), atol=tolerance)
    against = grad_cam(classifier, gray, finding, opposite=True)
    np.testing.assert_allclose(against, (-expected).clip(0), atol=tolerance)


@pytest.mark.parametrize("head", HEADS)
def test_the_map_adds_up_to_the_logit(head: str, gray: np.ndarray) -> None:
    classifier = random_network(head, 3)
    film = torch.from_numpy(gray.astype(np.float32))[None, None]
    with torch.no_grad():
        pooled = classifier.activations(film).mean((2, 3))
        expected = (classifier.head(pooled) - classifier.head.constant(pooled))[0]
    for finding in range(3):
        assert cam(classifier, gray, finding).mean() == pytest.approx(float(expected[finding]), rel=1e-4, abs=1e-4)


def hand_made(head: Linear | Dense128) -> Classifier:
    """A = the film in three equal channels."""
    return Classifier(Through(), head, (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)).eval()


FILM = np.array([[0, 1], [2, 4]], np.uint8)


def test_cam_and_layer_cam_by_hand() -> None:
    """A_k = film for k = 1, 2, 3; w = (2, -1, 0.5): cam = (2 - 1 + 0.5) film; LayerCAM lets -1 go: 2.5 film."""
    head = Linear(3, 1, 0.0)
    with torch.no_grad():
        head.last.weight.copy_(torch.tensor([[2.0, -1.0, 0.5]]))
        head.last.bias.fill_(7.0)
    classifier = hand_made(head)
    np.testing.assert_allclose(cam(classifier, FILM), 1.5 * FILM, rtol=1e-6)
    np.testing.assert_allclose(cam(classifier, FILM, opposite=True), -1.5 * FILM, rtol=1e-6)
    np.testing.assert_allclose(grad_cam(classifier, FILM), 1.5 * FILM, rtol=1e-6)
    assert not grad_cam(classifier, FILM, opposite=True).any()
    np.testing.assert_allclose(layer_cam(classifier, FILM, layer_name="features"), 2.5 * FILM, rtol=1e-6)


def test_grad_cam_pp_by_hand() -> None:
    """One weight 4 on A = film, Z = 4: G = 1 everywhere, sum A = 7, alpha = 1 / (2 + 7), w = 4 · 1/9."""
    head = Linear(3, 1, 0.0)
    with torch.no_grad():
        head.last.weight.copy_(torch.tensor([[4.0, 0.0, 0.0]]))
    np.testing.assert_allclose(grad_cam_pp(hand_made(head), FILM), 4 / 9 * FILM, rtol=1e-6)


def test_grad_cam_equals_captums(gray: np.ndarray) -> None:
    """Captum's LayerGradCam as it stands, at the last layer, times Z."""
    attr = pytest.importorskip("captum.attr")
    classifier = random_network("dense128", 2)
    film = torch.from_numpy(gray.astype(np.float32))[None, None]
    found = attr.LayerGradCam(classifier, classifier.features).attribute(film, 1)[0, 0].detach().numpy()
    np.testing.assert_allclose(cam(classifier, gray, 1), found * found.size, rtol=1e-4, atol=1e-5)


def test_layers_in_order_with_their_shapes() -> None:
    found = layers(random_network(), 64)
    assert found["features"] == (1280, 2, 2)
    assert found["features.0"][1:] == (32, 32)
    names = [name for name in found if name.count(".") == 1]
    assert names == [f"features.{number}" for number in range(19)]


def test_layer_cam_chooses_a_finer_layer(gray: np.ndarray) -> None:
    """MobileNetV2 halves the maps for the last time at block 14."""
    classifier = random_network()
    assert last_finer_layer(classifier, 64) == "features.13"
    assert layer_cam(classifier, gray).shape == (4, 4)


def test_a_network_without_a_finer_block_falls_back_on_the_last_layer() -> None:
    assert last_finer_layer(random_network(), 1) == "features"
    assert layer_cam(random_network(), np.full((1, 1), 9, np.uint8)).shape == (1, 1)


def test_a_layer_followed_by_an_in_place_operation() -> None:
    """The map is that of the layer's output, not of what a later in-place ReLU makes of it."""
    changing: Callable[..., nn.Module] = nn.ReLU
    features = nn.Sequential(nn.Conv2d(3, 4, 1), changing(inplace=True))
    apart = nn.Sequential(features[0], changing(inplace=False))
    head = Linear(4, 1, 0.0)
    gray = np.random.default_rng(0).integers(0, 256, (6, 6), dtype=np.uint8)
    for method in (grad_cam, grad_cam_pp, layer_cam):
        maps = [
            method(Classifier(layers_, head, (0.5,) * 3, (0.5,) * 3), gray, layer_name="features.0")
            for layers_ in (features, apart)
        ]
        np.testing.assert_array_equal(maps[0], maps[1])


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
def test_guided_backprop_by_hand(activation: nn.Module) -> None:
    """With gray / 255 > 0 both units are open: the plain gradient is -3 · 2 + 5 · 1 = -1, guided lets -3 go: 5.

    Each of the four pixels has a quarter of it; the map is per black to white, which is 255 levels of 1/255.
    """
    classifier = chain(activation)
    gray = np.full((2, 2), 100, np.uint8)
    np.testing.assert_allclose(guided_backprop(classifier, gray), np.full((2, 2), 5 / 4), rtol=1e-5)
    np.testing.assert_allclose(guided_backprop(classifier, gray, opposite=True), np.full((2, 2), 6 / 4), rtol=1e-5)


def test_relu6_is_guided() -> None:
    """Captum left alone returns the plain gradient here."""
    classifier = random_network()
    gray = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    film = torch.from_numpy(gray.astype(np.float32))[None, None].requires_grad_()
    (plain,) = torch.autograd.grad(classifier(film).sum(), film)
    assert not np.allclose(guided_backprop(classifier, gray), 255 * plain[0, 0].numpy(), rtol=1e-2)


def test_the_copy_has_the_networks_outputs() -> None:
    for head in ("linear", "dense128"):
        classifier = random_network(head)
        film = 255 * torch.rand(2, 1, 48, 48)
        with torch.no_grad():
            torch.testing.assert_close(with_relu_modules(classifier)(film), classifier(film))


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


def test_guided_grad_cam_is_zero_where_grad_cam_is(gray: np.ndarray) -> None:
    classifier = random_network()
    with torch.no_grad():
        classifier.head.last.weight.copy_(-classifier.head.last.weight.abs())  # A >= 0: all evidence is against
    assert not guided_grad_cam(classifier, gray).any()
    assert guided_grad_cam(classifier, gray, opposite=True).any()


def test_guided_grad_cam_equals_captums_without_a_crop(gray: np.ndarray) -> None:
    """It is put together here, of captum's two parts, since captum would lay a frame's map over the whole film."""
    classifier = random_network()
    network = with_relu_modules(classifier).eval()
    method = GuidedGradCam(Evidence(network), layer(network, LAST))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum sets hooks on ReLU, and says so
        theirs = method.attribute(to_input(classifier, gray).requires_grad_(), interpolate_mode="bilinear")
    ours = guided_grad_cam(classifier, gray)
    assert np.abs(ours).max() > 0
    np.testing.assert_allclose(ours, 255 * theirs[0, 0].detach().numpy(), rtol=1e-3, atol=1e-6)
