"""Judging: the figures of each task, their intervals, and what has none."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from lucency.errors import SourceError
from lucency.evaluate import judge
from lucency.evaluate.metrics import METRICS

from .samples import binary, drawn, several


def test_lecture_confusion_by_hand() -> None:
    """579 of 624: 384 of 390 ill found, 195 of 234 well cleared; sensitivity 98.5 %, specificity 83.3 %."""
    labels = [1] * 390 + [0] * 234
    logits = [1.0] * 384 + [-1.0] * 6 + [1.0] * 39 + [-1.0] * 195
    report = judge(binary(labels, logits), resamples=500)
    assert report.confusion["all"].tolist() == [[195, 39], [6, 384]]
    assert (report.films, report.patients, report.films_per_label) == (624, 624, (234, 390))
    expected = {"accuracy": 579 / 624, "sensitivity": 384 / 390, "specificity": 195 / 234, "precision": 384 / 423}
    assert {name: report.measure(name).value for name in expected} == pytest.approx(expected)
    # Independent films: close to Wilson's intervals, 90.5-94.6, 96.7-99.3, 78.0-87.6 %.
    wilson = {"accuracy": (0.905, 0.946), "sensitivity": (0.967, 0.993), "specificity": (0.780, 0.876)}
    for name, bounds in wilson.items():
        assert (report.measure(name).low, report.measure(name).high) == pytest.approx(bounds, abs=0.008)


def test_every_metric_has_a_value_inside_its_interval() -> None:
    report = judge(drawn(), resamples=300)
    assert [measure.name for measure in report.measures] == list(METRICS)
    for measure in report.measures:
        assert measure.finding == "PNEUMONIA"
        assert measure.value is not None
        assert measure.low is not None
        assert measure.high is not None
        assert measure.low <= measure.value <= measure.high
        assert not measure.reason


def test_the_threshold_moves_the_verdict_and_not_the_ranking() -> None:
    predictions = drawn()
    low, high = judge(predictions, 0.1, resamples=50), judge(predictions, 0.9, resamples=50)
    assert low.measure("sensitivity").value > high.measure("sensitivity").value  # type: ignore[operator]
    assert low.measure("specificity").value < high.measure("specificity").value  # type: ignore[operator]
    assert low.measure("auroc") == high.measure("auroc")


def test_ranking_does_not_drown_in_rounded_probabilities() -> None:
    """Logits of 40 and 50 both round to probability 1; they still rank."""
    predictions = binary([0, 1, 0, 1], [40.0, 50.0, 39.0, 45.0])
    assert predictions.probabilities.max() == predictions.probabilities.min() == 1.0
    assert judge(predictions, resamples=50).measure("auroc").value == 1.0


def test_one_class_only_gives_reasons_and_no_number() -> None:
    report = judge(binary([1, 1, 1], [1.0, 2.0, -1.0]), resamples=50)
    assert report.measure("sensitivity").value == pytest.approx(2 / 3)
    assert report.measure("specificity").value is None
    assert report.measure("specificity").reason == "every film has PNEUMONIA"
    assert report.measure("auroc").reason == "needs films with and without PNEUMONIA"
    assert str(report.measure("auroc")) == "not defined: needs films with and without PNEUMONIA"


def test_a_perfect_score_is_not_a_certain_one() -> None:
    """Twenty of twenty: exact bounds over patients instead of an interval of no width."""
    report = judge(binary([1] * 10 + [0] * 10, [5.0] * 10 + [-5.0] * 10), resamples=50)
    assert report.measure("sensitivity").low == pytest.approx(0.025**0.1)
    assert report.measure("auroc").low == pytest.approx(0.025**0.1)
    assert report.measure("auroc").high == 1.0
    assert "exact" in report.measure("auroc").reason
    assert report.measure("average_precision").low is None


def test_several_classes_equal_scikit_learn() -> None:
    predictions = several("multiclass", 300, 4)
    report = judge(predictions, resamples=50)
    truth, called = predictions.labels, predictions.probabilities.argmax(axis=1)
    assert report.threshold is None
    np.testing.assert_array_equal(report.confusion["all"], sk.confusion_matrix(truth, called))
    expected = {
        ("accuracy", "all"): sk.accuracy_score(truth, called),
        ("brier", "all"): sk.brier_score_loss(truth, predictions.probabilities),
        ("sensitivity", "macro"): sk.recall_score(truth, called, average="macro"),
        ("precision", "macro"): sk.precision_score(truth, called, average="macro"),
        ("f1", "macro"): sk.f1_score(truth, called, average="macro"),
        ("auroc", "macro"): sk.roc_auc_score(truth, predictions.probabilities, multi_class="ovr"),
        ("auroc", "finding 2"): sk.roc_auc_score(truth == 2, predictions.probabilities[:, 2]),
        ("average_precision", "finding 2"): sk.average_precision_score(truth == 2, predictions.probabilities[:, 2]),
    }
    assert {key: report.measure(*key).value for key in expected} == pytest.approx(expected)


def test_several_findings_equal_scikit_learn() -> None:
    predictions = several("multilabel", 300, 3)
    report = judge(predictions, 0.4, resamples=50)
    truth, called = predictions.labels, predictions.probabilities >= 0.4
    expected = {
        ("exact_match", "all"): sk.accuracy_score(truth, called),
        ("f1", "macro"): sk.f1_score(truth, called, average="macro"),
        ("auroc", "macro"): sk.roc_auc_score(truth, predictions.logits, average="macro"),
        ("auroc", "finding 0"): sk.roc_auc_score(truth[:, 0], predictions.logits[:, 0]),
        ("accuracy", "finding 1"): sk.accuracy_score(truth[:, 1], called[:, 1]),
    }
    assert {key: report.measure(*key).value for key in expected} == pytest.approx(expected)
    for k, name in enumerate(predictions.label_names):
        np.testing.assert_array_equal(report.confusion[name], sk.confusion_matrix(truth[:, k], called[:, k]))


def test_a_class_without_films_leaves_its_mean_undefined() -> None:
    predictions = several("multiclass", 40, 3)
    report = judge(predictions.pick(predictions.labels != 2), resamples=50)
    assert report.measure("auroc", "finding 2").value is None
    assert report.measure("auroc", "macro").value is None
    assert report.measure("auroc", "macro").reason == "not defined for every label"
    assert report.measure("accuracy", "all").value is not None


def test_no_film_is_refused() -> None:
    with pytest.raises(SourceError, match="expected films to judge, found none"):
        judge(drawn(10).pick([]))


def test_an_unknown_figure_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        judge(drawn(20), resamples=20).measure("charm")
