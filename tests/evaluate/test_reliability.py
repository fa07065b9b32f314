"""Calibration error and reliability curve: equal to torchmetrics and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from torchmetrics.functional.classification import binary_calibration_error

from lucency.evaluate.reliability import ece, equal_count, reliability, weighted_ece


def case(films: int = 500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probability = rng.beta(0.5, 0.5, size=films)
    return rng.random(films) < probability**1.5, probability


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 300), st.integers(1, 30), st.integers(0, 1000))
def test_ece_equals_torchmetrics(films: int, bins: int, seed: int) -> None:
    truth, probability = case(films, seed)
    reference = binary_calibration_error(torch.tensor(probability), torch.tensor(truth).int(), n_bins=bins, norm="l1")
    assert ece(truth, probability, bins) == pytest.approx(float(reference), abs=1e-9)


@pytest.mark.parametrize(("adaptive", "strategy"), [(False, "uniform"), (True, "quantile")])
def test_curve_equals_scikit_learn(adaptive: bool, strategy: str) -> None:
    truth, probability = case()
    curve = reliability(truth, probability, 10, adaptive)
    observed, predicted = calibration_curve(truth, probability, n_bins=10, strategy=strategy)
    np.testing.assert_allclose(curve.observed, observed)
    np.testing.assert_allclose(curve.predicted, predicted)
    assert curve.films.sum() == 500


def test_by_hand() -> None:
    # Two bins: .1 .3 (mean .2, none ill), .6 1 (mean .8, half ill).
    truth, probability = np.array([False, False, True, False]), np.array([0.1, 0.3, 0.6, 1.0])
    assert ece(truth, probability, 2) == pytest.approx((0.2 + 0.3) / 2)
    # Equal counts of two: the same halves.
    assert ece(truth, probability, 2, adaptive=True) == pytest.approx((0.2 + 0.3) / 2)


def test_adaptive_bins_hold_as_many_films_each() -> None:
    _, probability = case(600)
    assert set(np.bincount(equal_count(probability, 15))) == {40}


def test_a_weight_is_that_many_films() -> None:
    truth, probability = case(60)
    weights = np.random.default_rng(1).integers(0, 4, size=60)
    repeated = ece(np.repeat(truth, weights), np.repeat(probability, weights))
    assert weighted_ece(truth, probability, weights[None].astype(float))[0] == pytest.approx(repeated)


def test_limits() -> None:
    truth = np.array([True, False, True])
    assert ece(truth, truth.astype(float)) == 0
    assert ece(truth, 1 - truth.astype(float)) == 1
    assert ece(truth, np.full(3, 2 / 3)) == pytest.approx(0)
