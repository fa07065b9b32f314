"""What every row of EXPLAINERS promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lucency.errors import ExplainError
from lucency.explain.table import EXPLAINERS
from lucency.models import build
from lucency.models.classifier import Classifier
from lucency.recipe import ModelSettings

METHODS = list(EXPLAINERS)
QUICK = {"lime": {"samples": 64, "cells": 4}, "shap": {"samples": 64, "cells": 4}}


def small(head: str = "linear", findings: int = 2) -> Classifier:
    """The smallest backbone with random weights, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        classifier = build(ModelSettings(backbone="mobilenet_v2", width=0.25, head=head), findings)  # type: ignore[arg-type]
        torch.nn.init.normal_(classifier.head.last.weight, 0.0, 0.3)
    return classifier.eval()


def film(side: int = 64) -> np.ndarray:
    """A prepared film of noise with a bright square."""
    gray = np.random.default_rng(3).integers(0, 90, (side, side), dtype=np.uint8)
    gray[side // 4 : side // 2 + 1, side // 3 : side] += 120
    return gray


def explain(method: str, classifier: Classifier, gray: np.ndarray, finding: int = 0, **options: object) -> np.ndarray:
    """The map of a method, with few samples where it draws."""
    return EXPLAINERS[method].explain(classifier, gray, finding, **QUICK.get(method, {}), **options)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("head", ["linear", "dense128"])
def test_a_map_is_2d_finite_and_not_constant(method: str, head: str) -> None:
    evidence = explain(method, small(head), film(), 1)
    assert evidence.dtype == np.float32
    assert evidence.ndim == 2
    assert min(evidence.shape) >= 2
    assert np.isfinite(evidence).all()
    assert np.ptp(evidence) > 0


@pytest.mark.parametrize("method", METHODS)
def test_findings_differ(method: str) -> None:
    classifier = small()
    assert not np.allclose(explain(method, classifier, film(), 0), explain(method, classifier, film(), 1))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("head", ["linear", "dense128"])
def test_a_constant_network_has_a_zero_map(method: str, head: str) -> None:
    classifier = small(head)
    with torch.no_grad():
        classifier.head.last.weight.zero_()
        classifier.head.last.bias.fill_(3.0)
    assert np.abs(explain(method, classifier, film())).max() < 1e-3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("head", ["linear", "dense128"])
def test_evidence_against_is_evidence_for_the_negated_network(method: str, head: str) -> None:
    """One sigmoid answers for both of its labels: flipping the logit and asking the opposite changes nothing."""
    classifier = small(head)
    before = explain(method, classifier, film(), opposite=True)
    with torch.no_grad():
        classifier.head.last.weight.neg_()
        classifier.head.last.bias.neg_()
    after = explain(method, classifier, film())
    np.testing.assert_allclose(before, after, atol=1e-4 * np.abs(after).max())


@pytest.mark.parametrize("method", METHODS)
def test_the_model_is_left_as_it_was_found(method: str) -> None:
    classifier = small().train()
    classifier.features[0].eval()
    frozen = classifier.features[1].conv if hasattr(classifier.features[1], "conv") else classifier.features[1]
    frozen.requires_grad_(False)
    for weight in classifier.head.parameters():
        weight.grad = torch.ones_like(weight)
    state = {name: value.clone() for name, value in classifier.state_dict().items()}
    modes = [module.training for module in classifier.modules()]
    wants = [weight.requires_grad for weight in classifier.parameters()]
    draws = torch.random.get_rng_state().clone()
    legacy = np.random.get_state()[1].copy()  # noqa: NPY002
    explain(method, classifier, film())
    assert all(torch.equal(value, state[name]) for name, value in classifier.state_dict().items())
    assert [module.training for module in classifier.modules()] == modes
    assert [weight.requires_grad for weight in classifier.parameters()] == wants
    assert all(torch.equal(w.grad, torch.ones_like(w)) for w in classifier.head.parameters() if w.grad is not None)
    assert all(w.grad is None for w in classifier.features.parameters())
    assert not any(m._forward_hooks or m._backward_hooks or m._forward_pre_hooks for m in classifier.modules())
    assert torch.equal(torch.random.get_rng_state(), draws)
    assert (np.random.get_state()[1] == legacy).all()  # noqa: NPY002


@pytest.mark.parametrize("method", METHODS)
def test_the_map_does_not_depend_on_training_mode(method: str) -> None:
    classifier = small()
    first = explain(method, classifier, film())
    torch.rand(7)
    np.testing.assert_array_equal(first, explain(method, classifier.train(), film()))


@pytest.mark.parametrize("method", METHODS)
def test_broken_weights_raise(method: str) -> None:
    classifier = small()
    with torch.no_grad():
        classifier.features[0].conv.weight.fill_(float("nan"))
    with pytest.raises(ExplainError, match="broken"):
        explain(method, classifier, film())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("side", [1, 5, 32])
def test_a_tiny_film_and_a_map_of_one_cell(method: str, side: int) -> None:
    evidence = explain(method, small(), film(side))
    assert np.isfinite(evidence).all()
    assert evidence.ndim == 2
    assert evidence.size


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("finding", [-1, 2])
def test_an_unknown_finding_raises(method: str, finding: int) -> None:
    with pytest.raises(ExplainError, match="no number"):
        explain(method, small(), film(), finding)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("wrong", [np.zeros((4, 6), np.uint8), np.zeros((4, 4)), np.zeros((1, 4, 4), np.uint8)])
def test_an_unprepared_film_raises(method: str, wrong: np.ndarray) -> None:
    with pytest.raises(ExplainError, match="use Preprocess"):
        explain(method, small(), wrong)


@pytest.mark.parametrize("method", [name for name, row in EXPLAINERS.items() if row.layered])
def test_every_layer_has_a_map(method: str) -> None:
    evidence = explain(method, small(), film(), layer_name="features.4")
    assert evidence.shape in {(8, 8), (64, 64)}
    with pytest.raises(ExplainError, match=r"did you mean 'features\.4'"):
        explain(method, small(), film(), layer_name="feature.4")


def test_the_table_is_documented() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/explaining.md").read_text(encoding="utf-8")
    assert [name for name in METHODS if f"### `{name}`" not in text] == []


def test_methods_that_show_the_film_instead_of_the_network_carry_a_mark() -> None:
    """Adebayo et al. 2018, figure 4; tests/explain/test_phantom.py measures it here."""
    assert {name for name, row in EXPLAINERS.items() if row.mark} == {"guided_backprop", "guided_grad_cam"}
