"""Thresholds: by hand, against a search over all of them, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import roc_curve

from lucency.errors import SourceError, UsageError
from lucency.evaluate import evaluate_predictions
from lucency.evaluate.operating_point import by_cost, by_sensitivity, by_youden, candidates, choose_operating_point
from lucency.evaluate.predictions import Predictions

from .samples import binary, drawn, several

LOGITS = [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
LABELS = [0, 0, 1, 0, 1, 1]


def test_youden_by_hand() -> None:
    # Between -1 and 0 all ill are called and one of three well: 1 + 2/3. Between 1 and 2: 2/3 + 1. A miss is worse.
    point = by_youden(binary(LABELS, LOGITS), "six films")
    assert point.threshold == pytest.approx(expit(-0.5))
    assert (point.sensitivity, point.specificity) == (1, pytest.approx(2 / 3))
    assert (point.chosen_by, point.chosen_on) == ("Youden", "six films")


@pytest.mark.parametrize(("floor", "between"), [(0.3, 1.5), (0.5, 1.5), (2 / 3, 1.5), (0.67, -0.5), (1.0, -0.5)])
def test_sensitivity_floor_by_hand(floor: float, between: float) -> None:
    """For 0.3 one ill film would do, but two cost no alarm: the threshold that calls more is taken."""
    point = by_sensitivity(binary(LABELS, LOGITS), floor)
    assert point.threshold == pytest.approx(expit(between))
    assert point.sensitivity >= floor


@pytest.mark.parametrize(("missed", "alarm", "between"), [(1, 5, 1.5), (5, 1, -0.5)])
def test_cost_by_hand(missed: float, alarm: float, between: float) -> None:
    assert by_cost(binary(LABELS, LOGITS), missed, alarm).threshold == pytest.approx(expit(between))


def test_cost_of_calibrated_films_is_the_odds() -> None:
    """With calibrated probabilities the best threshold is alarm / (alarm + missed)."""
    rng = np.random.default_rng(0)
    z = rng.normal(0, 2, size=100_000)
    predictions = binary((rng.random(len(z)) < expit(z)).astype(int).tolist(), z.tolist())
    assert by_cost(predictions, 4, 1).threshold == pytest.approx(0.2, abs=0.02)


def test_cost_where_illness_is_rarer() -> None:
    """A hundred times rarer illness asks for a higher threshold."""
    predictions = drawn(400)
    assert by_cost(predictions, 1, 1, prevalence=0.005).threshold > by_cost(predictions, 1, 1).threshold


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-4, 4)), max_size=30))
def test_no_threshold_is_better(rows: list[tuple[int, int]]) -> None:
    labels, logits = [0, 1, *(row[0] for row in rows)], [0.0, 0.0, *(row[1] / 2 for row in rows)]
    predictions = binary(labels, logits)
    alarms, found, _ = roc_curve(labels, logits, drop_intermediate=False)
    youden = by_youden(predictions)
    assert youden.sensitivity + youden.specificity - 1 == pytest.approx(np.max(found - alarms))
    floor = by_sensitivity(predictions, 0.7)
    assert floor.specificity == pytest.approx(1 - np.min(alarms[found >= 0.7]))
    cost = by_cost(predictions, 3, 1)
    share = np.mean(labels)
    least = np.min(share * (1 - found) * 3 + (1 - share) * alarms)
    assert share * (1 - cost.sensitivity) * 3 + (1 - share) * (1 - cost.specificity) == pytest.approx(least)


@settings(deadline=None)
@given(st.lists(st.floats(-60, 60), min_size=2, max_size=30))
def test_every_candidate_does_what_it_says(logits: list[float]) -> None:
    """Also where probabilities round to 0 or 1, or differ by one last bit."""
    labels = [i % 2 for i in range(len(logits))]
    predictions = binary(labels, logits)
    found = candidates(predictions)
    assert (found.thresholds <= 1).all()
    for threshold, sensitivity, specificity in zip(found.thresholds, found.sensitivity, found.specificity, strict=True):
        called = predictions.called(threshold)
        assert np.mean(called[predictions.labels == 1]) == pytest.approx(sensitivity)
        assert 1 - np.mean(called[predictions.labels == 0]) == pytest.approx(specificity)


def test_the_judge_sees_the_same() -> None:
    predictions = drawn(300)
    point = by_sensitivity(predictions, 0.95)
    report = evaluate_predictions(predictions, point.threshold, resamples=20)
    assert report.measure("sensitivity").value == pytest.approx(point.sensitivity)
    assert report.measure("specificity").value == pytest.approx(point.specificity)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("youden", "Youden"),
        ("sensitivity=0.9", "sensitivity at least 0.9"),
        ("cost=5:1", "cost of a miss to a false alarm 5:1"),
    ],
)
def test_rules_in_words(rule: str, said: str) -> None:
    assert choose_operating_point(rule, drawn(50)).chosen_by == said


@pytest.mark.parametrize("rule", ["", "youden=1", "sensitivity", "sensitivity=high", "cost=5", "cost=a:b", "magic"])
def test_other_words_are_refused(rule: str) -> None:
    with pytest.raises(UsageError, match="expected youden, sensitivity"):
        choose_operating_point(rule, drawn(50))


@pytest.mark.parametrize("rule", ["sensitivity=0", "sensitivity=1.1", "cost=0:1", "cost=1:-1"])
def test_numbers_out_of_range_are_refused(rule: str) -> None:
    with pytest.raises(UsageError, match="received"):
        choose_operating_point(rule, drawn(50))


def test_share_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match="expected a prevalence"):
        by_cost(drawn(50), 1, 1, prevalence=1.0)


@pytest.mark.parametrize(
    ("predictions", "error"), [(binary([1, 1], [0.0, 1.0]), SourceError), (several("multiclass", 9, 3), UsageError)]
)
def test_what_has_no_operating_point_is_refused(predictions: Predictions, error: type[Exception]) -> None:
    with pytest.raises(error):
        by_youden(predictions)
