"""Exact bounds where resampling has nothing to vary."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from lucency.evaluate.exact import bounds_without_variation, clopper_pearson
from lucency.evaluate.metrics import Finding


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (5, 5), (3, 17), (390, 390), (1, 1)])
def test_equal_to_scipy(hits: int, trials: int) -> None:
    expected = binomtest(hits, trials).proportion_ci(0.95, method="exact")
    assert clopper_pearson(hits, trials) == pytest.approx((expected.low, expected.high))


def test_rule_of_three() -> None:
    """No miss in n patients: at 95 % one-sided the rate is below about 3 / n."""
    assert 1 - clopper_pearson(300, 300, level=0.9)[0] == pytest.approx(3 / 300, rel=0.01)


def perfect() -> tuple[Finding, np.ndarray]:
    """Ten ill patients with two films each, four well ones with one; every answer right."""
    truth = np.array([True] * 20 + [False] * 4)
    groups = np.concatenate([np.repeat(np.arange(10), 2), np.arange(10, 14)])
    return Finding("P", truth, truth, truth.astype(float), truth.astype(float)), groups


@pytest.mark.parametrize(
    ("name", "trials"),
    [("accuracy", 14), ("sensitivity", 10), ("specificity", 4), ("precision", 10), ("npv", 4), ("auroc", 4)],
)
def test_patients_are_the_trials(name: str, trials: int) -> None:
    assert bounds_without_variation(name, 1.0, *perfect()) == pytest.approx((0.025 ** (1 / trials), 1.0))


def test_f1_follows_its_share_of_right_answers() -> None:
    share = 0.025 ** (1 / 10)
    assert bounds_without_variation("f1", 1.0, *perfect()) == pytest.approx((2 * share / (1 + share), 1.0))


def test_no_bound_for_the_rest() -> None:
    assert bounds_without_variation("brier", 0.0, *perfect()) is None
    assert bounds_without_variation("accuracy", 0.5, *perfect()) is None
