"""Heads: the map adds up to the logit, checked by hand, by law and against autograd."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lucency.errors import UsageError
from lucency.models import build
from lucency.models.classifier import HEADS, LEAST_STEP, Classifier, Dense128, Linear, Ordinal
from lucency.models.layers import TTAView, tta_views
from lucency.recipe import ModelSettings


def _head(kind: str, channels: int, findings: int, seed: int) -> Linear | Dense128 | Ordinal:
    torch.manual_seed(seed)
    head = HEADS[kind](channels, max(findings, 2) if kind == "ordinal" else findings, dropout=0.5).double().eval()
    for part in head.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
    return head


def test_linear_map_by_hand() -> None:
    """Two channels, 1×2 places: M = 2·A1 - 1·A2, and its mean + 0.5 is the logit."""
    head = Linear(2, 1).eval()
    with torch.no_grad():
        head.last.weight.copy_(torch.tensor([[2.0, -1.0]]))
        head.last.bias.fill_(0.5)
        activations = torch.tensor([[[[1.0, 3.0]], [[4.0, 0.0]]]])
        torch.testing.assert_close(head.map(activations), torch.tensor([[[[-2.0, 6.0]]]]))
        torch.testing.assert_close(head(activations.mean((2, 3))), torch.tensor([[2.5]]))


def test_dense128_map_by_hand() -> None:
    """Unit 0 sees +A, unit 1 sees -A: only the first opens on a bright film, so M = 3·A, the constant 3·0.25."""
    head = Dense128(1, 1).eval()
    with torch.no_grad():
        for part in (head.hidden, head.last):
            part.weight.zero_()
            part.bias.zero_()
        head.hidden.weight[0], head.hidden.weight[1] = 1.0, -1.0
        head.hidden.bias[0] = 0.25
        head.last.weight[0, 0], head.last.weight[0, 1] = 3.0, 5.0
        activations = torch.tensor([[[[1.0, 3.0]]]])
        torch.testing.assert_close(head.map(activations), torch.tensor([[[[3.0, 9.0]]]]))
        torch.testing.assert_close(head.constant(torch.tensor([[2.0]])), torch.tensor([[0.75]]))
        torch.testing.assert_close(head(torch.tensor([[2.0]])), torch.tensor([[6.75]]))


@pytest.mark.parametrize("kind", HEADS)
@given(seed=st.integers(0, 10**6), findings=st.integers(1, 4), films=st.integers(1, 3), height=st.integers(1, 5))
@settings(deadline=None, max_examples=25)
def test_mean_of_the_map_plus_the_constant_is_the_logit(
    kind: str, seed: int, findings: int, films: int, height: int
) -> None:
    head = _head(kind, 6, findings, seed)
    activations = torch.randn(films, 6, height, 3, dtype=torch.float64)
    pooled = activations.mean((2, 3))
    torch.testing.assert_close(head.map(activations).mean((2, 3)) + head.constant(pooled), head(pooled))


@pytest.mark.parametrize("kind", HEADS)
@given(seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=25)
def test_the_map_is_grad_cam_by_autograd(kind: str, seed: int) -> None:
    """Selvaraju et al. 2017, eq. 1: alpha_k is the mean gradient; times h·w, since our map is not divided by it."""
    head = _head(kind, 6, 2, seed)
    activations = torch.randn(1, 6, 3, 4, dtype=torch.float64, requires_grad=True)
    maps = head.map(activations)
    for finding in range(2):
        (gradient,) = torch.autograd.grad(head(activations.mean((2, 3)))[0, finding], activations, retain_graph=True)
        grad_cam = (gradient.mean((2, 3), keepdim=True) * activations).sum(1)[0]
        torch.testing.assert_close(maps[0, finding], grad_cam * 12)


@pytest.mark.parametrize(("kind", "numbers"), [("linear", 1281), ("dense128", 164_097)])
def test_heads_on_mobilenet_v2_have_as_many_parameters_as_in_keras(kind: str, numbers: int) -> None:
    """1280 + 1; 1280·128 + 128 + 128 + 1."""
    assert sum(part.numel() for part in HEADS[kind](1280, 1).parameters()) == numbers


@pytest.mark.parametrize("kind", HEADS)
def test_dropout_acts_in_training_only(kind: str) -> None:
    head = _head(kind, 64, 1, seed=3)
    pooled = torch.rand(1, 64, dtype=torch.float64)
    assert torch.equal(head(pooled), head(pooled))
    head.train()
    assert len({head(pooled)[0, 0].item() for _ in range(8)}) > 1


@pytest.mark.parametrize("kind", ["linear", "dense128"])
def test_set_bias_sets_the_initial_logit(kind: str) -> None:
    head = HEADS[kind](4, 2)
    head.set_bias([1.5, -0.5])
    logits: Tensor = head.eval()(torch.zeros(1, 4)) - head.last.weight @ torch.zeros(head.last.in_features)
    if kind == "linear":
        torch.testing.assert_close(logits, torch.tensor([[1.5, -0.5]]))
    torch.testing.assert_close(head.last.bias.detach(), torch.tensor([1.5, -0.5]))


def test_ordinal_by_hand() -> None:
    """Severity 1 and the cut points 0 and 2: P(> 0) = sigmoid(1), P(> 1) = sigmoid(-1)."""
    head = Ordinal(1, 3).double().eval()
    with torch.no_grad():
        head.last.weight.fill_(2.0)
        head.last.bias.zero_()
        head.steps.fill_(2 - LEAST_STEP)
        head.steps.copy_(torch.log(torch.expm1(head.steps)))
        logits = head(torch.tensor([[0.5]], dtype=torch.float64))
    above = torch.sigmoid(torch.tensor([1.0, -1.0], dtype=torch.float64))
    expected = torch.stack([1 - above[0], above[0] - above[1], above[1]])
    torch.testing.assert_close(head.cuts().detach(), torch.tensor([0.0, 2.0], dtype=torch.float64))
    torch.testing.assert_close(logits[0].exp(), expected)
    torch.testing.assert_close(logits[0].softmax(0), expected)


@given(seed=st.integers(0, 10**6), grades=st.integers(2, 9), scale=st.floats(0.1, 300))
@settings(deadline=None, max_examples=25)
def test_ordinal_grades_rise_with_severity_and_stay_finite(seed: int, grades: int, scale: float) -> None:
    head = _head("ordinal", 1, grades, seed)
    with torch.no_grad():
        head.last.weight.fill_(scale)
        logits = head(torch.linspace(-5, 5, 41, dtype=torch.float64)[:, None])
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(logits.exp().sum(1), torch.ones(41, dtype=torch.float64))
    mean = logits.softmax(1) @ torch.arange(grades, dtype=torch.float64)
    assert (mean.diff() >= -1e-9).all()


def test_ordinal_begins_with_the_shares_given() -> None:
    head = Ordinal(4, 4).double().eval()
    shares = torch.tensor([0.5, 0.2, 0.2, 0.1], dtype=torch.float64)
    head.set_bias(shares.log().tolist())
    torch.testing.assert_close(head(torch.zeros(1, 4, dtype=torch.float64)).exp()[0], shares, atol=2e-3, rtol=0)


def test_one_grade_is_refused() -> None:
    with pytest.raises(UsageError, match="two grades or more"):
        Ordinal(4, 1)


def _classifier() -> Classifier:
    return Classifier(nn.Identity(), Linear(3, 1), mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0)).eval()


def test_gray_becomes_three_normalised_channels() -> None:
    """Gray 0, 51 and 255 are 0, 0.2 and 1: (x - mean) / std of each channel."""
    film = torch.tensor([0.0, 51.0, 255.0]).reshape(1, 1, 1, 3)
    expected = torch.tensor([[-1.0, -0.6, 1.0], [-1.0, -0.2, 3.0], [0.0, 0.1, 0.5]])
    torch.testing.assert_close(_classifier().normalise(film)[0, :, 0], expected)


def test_normalisation_is_in_the_state_dict() -> None:
    other = Classifier(nn.Identity(), Linear(3, 1), mean=(0, 0, 0), std=(1, 1, 1)).eval()
    classifier = _classifier()
    film = torch.rand(2, 1, 4, 4) * 255
    assert not torch.allclose(other(film), classifier(film))
    other.load_state_dict(classifier.state_dict())
    torch.testing.assert_close(other(film), classifier(film))


def test_forward_forward_map_and_forward_all_agree() -> None:
    classifier = _classifier()
    film = torch.rand(2, 1, 4, 4) * 255
    logits, maps = classifier.forward_map(film)
    torch.testing.assert_close(logits, classifier(film))
    torch.testing.assert_close(maps, classifier.head.map(classifier.activations(film)))


@pytest.mark.parametrize("flip", ["horizontal", "both"])
def test_mirrored_views_are_read_apart_and_averaged(flip: str) -> None:
    shape = {"backbone": "mobilenet_v1", "width": 0.25, "depth": 6}
    together = build(ModelSettings.model_validate({**shape, "tta_flip": flip}), findings=3).eval()
    alone = build(ModelSettings.model_validate(shape), findings=3).eval()
    alone.load_state_dict(together.state_dict())
    films, views = torch.rand(2, 1, 64, 64) * 255, tta_views(flip)
    with torch.no_grad():
        logits, maps = together.forward_map(films)
        answers = [alone.forward_map(films.flip(view.axes)) for view in views]
        turned_back = [found.flip(view.axes) for (_, found), view in zip(answers, views, strict=True)]
        torch.testing.assert_close(logits, torch.stack([logit for logit, _ in answers]).mean(0))
        torch.testing.assert_close(maps, torch.stack(turned_back).mean(0))
        torch.testing.assert_close(together(films.flip(3)), logits)
        assert (alone(films.flip(3)) - alone(films)).abs().max() > 1e-4


def test_the_middle_is_read_apart_and_averaged() -> None:
    shape = {"backbone": "mobilenet_v1", "width": 0.25, "depth": 6}
    together = build(ModelSettings.model_validate({**shape, "tta_flip": "horizontal", "tta_zoom": (1.0, 0.5)})).eval()
    alone = build(ModelSettings.model_validate(shape)).eval()
    alone.load_state_dict(together.state_dict())
    films = torch.rand(2, 1, 64, 64) * 255
    middle = TTAView(0.5).of(films)
    with torch.no_grad():
        logits, maps = together.forward_map(films)
        answers = torch.stack([alone(view) for view in (films, films.flip(3), middle, middle.flip(3))])
    torch.testing.assert_close(logits, answers.mean(0))
    torch.testing.assert_close(maps.mean((2, 3)) + together.head.constant(together.pooled(films)), logits)


def test_a_view_of_the_middle_is_put_back_in_the_middle() -> None:
    view = TTAView(0.5, (3,))
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    torch.testing.assert_close(view.of(ramp)[0, 0, 0], torch.arange(5.25, 1.5, -0.5))
    placed = view.on_film(torch.ones(1, 1, 8, 8))
    assert placed[0, 0, 2:6, 2:6].eq(4).all()
    assert placed.sum() == 64
