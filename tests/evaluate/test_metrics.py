"""Metrics: by hand, by law, and equal to scikit-learn's and torchmetrics'."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk
from torchmetrics.functional.classification import binary_calibration_error

from lucency.evaluate.metrics import (
    METRICS,
    Finding,
    auroc,
    average_precision,
    compute_metrics,
    confusion_matrix,
    ece,
    equal_count_bins,
    weighted_ece,
)

Case = tuple[NDArray[np.bool_], NDArray[np.float64]]


def both_classes(tied: bool = True) -> st.SearchStrategy[Case]:
    """Truths with both classes, and scores: on a coarse grid, so that ties are common, or not."""

    def build(rows: list[tuple[bool, int]]) -> Case:
        truth = np.array([True, False, *(row[0] for row in rows)])
        score = np.array([3, 3, *(row[1] for row in rows)]) / 7
        return truth, score

    grid = st.integers(0, 6 if tied else 10**6)
    return st.lists(st.tuples(st.booleans(), grid), min_size=0, max_size=40).map(build)


def finding_of(truth: NDArray[np.bool_], score: NDArray[np.float64], threshold: float = 0.5) -> Finding:
    probability = np.clip(score, 0, 1)
    return Finding("P", truth, probability >= threshold, score, probability)


def figures(finding: Finding, weights: NDArray[np.float64] | None = None) -> dict[str, float]:
    ones = np.ones((1, len(finding.truth))) if weights is None else weights
    return dict(zip(METRICS, compute_metrics(finding, ones)[0].tolist(), strict=True))


def test_by_hand() -> None:
    # Called at 0.5: films 0 1 2 4. True: 0 1 3. Hence tp 2, fp 2, fn 1, tn 1.
    truth = np.array([True, True, False, True, False, False])
    score = np.array([0.9, 0.8, 0.7, 0.4, 0.6, 0.1])
    got = figures(finding_of(truth, score))
    assert got["accuracy"] == pytest.approx(3 / 6)
    assert got["sensitivity"] == pytest.approx(2 / 3)
    assert got["specificity"] == pytest.approx(1 / 3)
    assert got["precision"] == pytest.approx(2 / 4)
    assert got["npv"] == pytest.approx(1 / 2)
    assert got["f1"] == pytest.approx(4 / 7)
    # Of nine pairs the film at 0.4 loses to 0.7 and 0.6.
    assert got["auroc"] == pytest.approx(7 / 9)
    # Precision when each ill film is reached: 1/1, 2/2, 3/5.
    assert got["average_precision"] == pytest.approx((1 + 1 + 3 / 5) / 3)
    assert got["brier"] == pytest.approx((0.01 + 0.04 + 0.49 + 0.36 + 0.36 + 0.01) / 6)


def test_a_tie_counts_half() -> None:
    assert auroc(np.array([True, False]), np.array([0.5, 0.5])) == 0.5
    assert auroc(np.array([True, False, True, False]), np.array([1.0, 1.0, 2.0, 0.0])) == pytest.approx(3.5 / 4)


@settings(deadline=None)
@given(both_classes())
def test_equal_to_scikit_learn(case: Case) -> None:
    truth, score = case
    finding = finding_of(truth, score)
    got, called = figures(finding), finding.called
    tn, fp, fn, tp = sk.confusion_matrix(truth, called).ravel()
    expected = {
        "accuracy": sk.accuracy_score(truth, called),
        "sensitivity": sk.recall_score(truth, called),
        "specificity": sk.recall_score(~truth, ~called),
        "precision": sk.precision_score(truth, called) if tp + fp else np.nan,
        "npv": sk.precision_score(~truth, ~called) if tn + fn else np.nan,
        "f1": sk.f1_score(truth, called),
        "auroc": sk.roc_auc_score(truth, score),
        "average_precision": sk.average_precision_score(truth, score),
        "brier": sk.brier_score_loss(truth, finding.probability),
        "ece": ece(truth, finding.probability),
    }
    assert got == pytest.approx(expected, nan_ok=True, abs=1e-12)


@settings(deadline=None)
@given(both_classes(), st.integers(0, 2**32 - 1))
def test_a_weight_is_that_many_films(case: Case, seed: int) -> None:
    truth, score = case
    weights = np.random.default_rng(seed).integers(0, 4, size=len(truth))
    weights[:2] += 1  # both classes stay
    repeated = finding_of(np.repeat(truth, weights), np.repeat(score, weights))
    weighted = figures(finding_of(truth, score), weights[None, :].astype(np.float64))
    assert weighted == pytest.approx(figures(repeated), nan_ok=True)


@settings(deadline=None)
@given(both_classes())
def test_ranking_laws(case: Case) -> None:
    truth, score = case
    area = auroc(truth, score)
    assert auroc(truth, -score) == pytest.approx(1 - area)
    assert auroc(~truth, score) == pytest.approx(1 - area)
    assert auroc(truth, np.exp(3 * score)) == pytest.approx(area)
    assert truth.mean() - 0.5 <= average_precision(truth, score) <= 1


def test_limits() -> None:
    truth = np.array([True] * 5 + [False] * 3)
    score = np.arange(8.0)[::-1]
    assert auroc(truth, score) == average_precision(truth, score) == 1.0
    assert auroc(truth, np.zeros(8)) == 0.5
    assert average_precision(truth, np.zeros(8)) == pytest.approx(5 / 8)


@pytest.mark.parametrize(
    ("truth", "called", "undefined"),
    [
        ([True, True], [True, True], {"specificity", "npv", "auroc", "average_precision"}),
        ([False, False], [False, False], {"sensitivity", "precision", "f1", "auroc", "average_precision"}),
        ([True, False], [False, False], {"precision"}),
        ([True, False], [True, True], {"npv"}),
    ],
)
def test_what_is_not_defined_is_nan(truth: list[bool], called: list[bool], undefined: set[str]) -> None:
    score = np.array(called, dtype=np.float64)
    got = figures(Finding("P", np.array(truth), np.array(called), score, score))
    assert {name for name, value in got.items() if np.isnan(value)} == undefined


def test_confusion_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, called = rng.integers(4, size=200), rng.integers(4, size=200)
    np.testing.assert_array_equal(confusion_matrix(truth, called, 4), sk.confusion_matrix(truth, called))


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


def test_ece_by_hand() -> None:
    # Two bins: .1 .3 (mean .2, none ill), .6 1 (mean .8, half ill).
    truth, probability = np.array([False, False, True, False]), np.array([0.1, 0.3, 0.6, 1.0])
    assert ece(truth, probability, 2) == pytest.approx((0.2 + 0.3) / 2)
    # Equal counts of two: the same halves.
    assert ece(truth, probability, 2, adaptive=True) == pytest.approx((0.2 + 0.3) / 2)


def test_adaptive_bins_hold_as_many_films_each() -> None:
    _, probability = case(600)
    assert set(np.bincount(equal_count_bins(probability, 15))) == {40}


def test_a_weight_is_that_many_films_of_ece() -> None:
    truth, probability = case(60)
    weights = np.random.default_rng(1).integers(0, 4, size=60)
    repeated = ece(np.repeat(truth, weights), np.repeat(probability, weights))
    assert weighted_ece(truth, probability, weights[None].astype(float))[0] == pytest.approx(repeated)


def test_limits_of_ece() -> None:
    truth = np.array([True, False, True])
    assert ece(truth, truth.astype(float)) == 0
    assert ece(truth, 1 - truth.astype(float)) == 1
    assert ece(truth, np.full(3, 2 / 3)) == pytest.approx(0)
