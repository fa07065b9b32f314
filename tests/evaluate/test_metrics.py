"""Metrics: by hand, by law, and equal to scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk

from lucency.evaluate.metrics import METRICS, Finding, auroc, average_precision, confusion, measure, roc_curve
from lucency.evaluate.reliability import ece

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
    return dict(zip(METRICS, measure(finding, ones)[0].tolist(), strict=True))


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
@given(both_classes())
def test_curve_equals_scikit_learn(case: Case) -> None:
    ours, theirs = roc_curve(*case), sk.roc_curve(*case, drop_intermediate=False)
    for mine, reference in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, reference)


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
    alarms, found, _ = roc_curve(truth, score)
    assert np.trapezoid(found, alarms) == pytest.approx(area)


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
    np.testing.assert_array_equal(confusion(truth, called, 4), sk.confusion_matrix(truth, called))
