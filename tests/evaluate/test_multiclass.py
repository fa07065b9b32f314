"""Several classes: figures against scikit-learn and sums by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, recall_score

from lucency.errors import SourceError
from lucency.evaluate import evaluate_predictions, open_predictions, write_report
from lucency.evaluate.calibration import Calibration, apply, fit_calibration, log_loss, one_vs_rest
from lucency.evaluate.multiclass import balanced_accuracy, is_ordered, quadratic_kappa
from lucency.evaluate.predictions import Predictions
from lucency.evaluate.recalibration import RecalibrationConfig, best_method, cross_fit, fit_recalibration
from lucency.evaluate.report import ALL, MACRO, WEIGHTED, to_json
from lucency.evaluate.selective_prediction import augrc

RANDOM = np.random.default_rng(4)
ONE = np.ones((1, 300))


def graded(films: int = 300, classes: int = 4, sharpness: float = 1.0, seed: int = 0) -> Predictions:
    """Films of two a patient, whose logits say their grade more or less; `sharpness` makes them too sure."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=films)
    logits = rng.normal(size=(films, classes)) + 2.0 * np.eye(classes)[labels]
    chances = np.exp(sharpness * logits - np.logaddexp.reduce(sharpness * logits, axis=1, keepdims=True))
    return Predictions(
        names=tuple(f"{i}.png" for i in range(films)),
        patients=tuple(f"p{i // 2}" for i in range(films)),
        labels=labels,
        logits=sharpness * logits,
        probabilities=chances,
        label_names=tuple(str(k) for k in range(classes)),
        task="multiclass",
    )


def test_balanced_accuracy_and_kappa_are_scikit_learns():
    truth, called = RANDOM.integers(5, size=300), RANDOM.integers(5, size=300)
    called[::2] = truth[::2]
    assert balanced_accuracy(truth, called, ONE)[0] == pytest.approx(balanced_accuracy_score(truth, called))
    assert quadratic_kappa(truth, called, ONE)[0] == pytest.approx(
        cohen_kappa_score(truth, called, weights="quadratic")
    )
    times = RANDOM.integers(0, 3, size=300)
    again = np.repeat(truth, times), np.repeat(called, times)
    assert balanced_accuracy(truth, called, times[None].astype(float))[0] == pytest.approx(
        balanced_accuracy_score(*again)
    )
    assert quadratic_kappa(truth, called, times[None].astype(float))[0] == pytest.approx(
        cohen_kappa_score(*again, weights="quadratic")
    )


def test_augrc_by_hand():
    # The most confident of four films is right, the next wrong, then right, wrong: wrong shares 0, 1/4, 1/4, 1/2 at
    # coverage 1/4 … 1; trapezoids of width 1/4: (0 + 1/8 + 1/4 + 3/8) / 4 = 3/16.
    found = augrc(np.array([4.0, 3, 2, 1]), np.array([1.0, 0, 1, 0]), np.ones((1, 4)))
    assert found[0] == pytest.approx(3 / 16)
    assert augrc(np.arange(9.0), np.ones(9), np.ones((1, 9)))[0] == 0
    # Twice the weight is twice the film.
    heavy = augrc(np.array([2.0, 1]), np.array([0.0, 1]), np.array([[2.0, 1]]))
    assert heavy[0] == pytest.approx(augrc(np.array([2.0, 2, 1]), np.array([0.0, 0, 1]), np.ones((1, 3)))[0])


def test_what_is_ordered():
    assert is_ordered(("0", "1", "2", "3", "4"))
    assert is_ordered(("grade 0", "Grade 1", "grade 2"))
    for names in (("0", "1"), ("class 0", "class 1", "class 2"), ("2", "1", "0"), ("mel", "nv", "bcc")):
        assert not is_ordered(names)


def test_a_report_of_several_classes():
    predictions = graded()
    report = evaluate_predictions(predictions, resamples=200)
    called = predictions.probabilities.argmax(axis=1)
    for name, expected in {
        "balanced_accuracy": balanced_accuracy_score(predictions.labels, called),
        "quadratic_kappa": cohen_kappa_score(predictions.labels, called, weights="quadratic"),
    }.items():
        measure = report.measure(name, ALL)
        assert measure.value == pytest.approx(expected)
        assert measure.low < measure.value < measure.high
    for kind, average in ((MACRO, "macro"), (WEIGHTED, "weighted")):
        expected = recall_score(predictions.labels, called, average=average)
        assert report.measure("sensitivity", kind).value == pytest.approx(expected)
    assert report.measure("ece", ALL).low is not None
    assert all(report.measure("auroc", name).low is not None for name in predictions.label_names)
    shares = to_json(report, {})["confusion"]["shares"]["all"]
    assert np.allclose(np.sum(shares, axis=1), 1)


def test_a_class_without_films_is_not_scored_as_zero():
    predictions = graded(60)
    some = predictions.pick(predictions.labels != 2)
    report = evaluate_predictions(some, resamples=100)
    assert report.measure("sensitivity", "2").value is None
    assert to_json(report, {})["confusion"]["shares"]["all"][2] == [None] * 4


def test_vector_scaling_finds_what_distorts_each_class():
    predictions = graded(4000, classes=3)
    distorted = predictions.logits * np.array([2.0, 1.0, 0.5]) + np.array([0.0, 1.0, -1.0])
    bent = replace(predictions, logits=distorted)
    truth = one_vs_rest(bent.labels, "multiclass", 3)
    losses = {
        method: log_loss(apply(fit_calibration(method, bent), bent.logits), truth, "multiclass")
        for method in ("none", "temperature", "platt")
    }
    best = log_loss(2.0 * predictions.logits, truth, "multiclass")  # logits of N(2 e_k, 1): the true odds
    assert losses["platt"] < best + 0.002 < losses["temperature"] < losses["none"]


def test_few_films_of_a_class_keep_its_slope_near_the_others():
    predictions = graded(400, classes=3, seed=2)
    rare = predictions.pick((predictions.labels != 2) | (np.cumsum(predictions.labels == 2) <= 3))
    slope = fit_calibration("platt", rare).parameters["slope"]
    assert max(slope) < 3 * min(slope)


def test_the_method_is_chosen_on_other_patients():
    assert best_method(graded(600, sharpness=4.0)) == "temperature"
    plain = graded(600)
    bent = replace(plain, logits=plain.logits * np.array([3.0, 1.0, 1.0, 0.3]) + np.array([2.0, 0, 0, -1]))
    assert best_method(bent) == "platt"
    fitted = fit_recalibration(plain, RecalibrationConfig(method="auto", coverage=0.9))
    assert fitted.calibration is not None
    assert fitted.point.threshold == 0.5
    assert len(fitted.least) == 4


def test_prediction_sets_cover_each_class_by_patient():
    crossed = cross_fit(graded(1200), RecalibrationConfig(method="temperature", coverage=0.9))
    fitted = fit_recalibration(graded(1200, seed=5), RecalibrationConfig(method="temperature", coverage=0.9))
    new = fitted.calibration
    assert isinstance(new, Calibration)
    fresh = graded(4000, seed=9)
    z = apply(new, fresh.logits)
    chances = np.exp(z - np.logaddexp.reduce(z, axis=1, keepdims=True))
    held = chances >= np.array(fitted.least)
    for label in range(4):
        own = fresh.labels == label
        assert held[own, label].mean() > 0.86
    assert crossed.predictions.answered is not None


@pytest.mark.long
def test_forty_classes_of_which_one_has_three_films(tmp_path):
    many = graded(1200, classes=40)
    some = many.pick((many.labels != 7) | (np.cumsum(many.labels == 7) <= 3))
    report = evaluate_predictions(some, resamples=100)
    assert report.films_per_label[7] == 3
    low, high = report.measure("sensitivity", "7").low, report.measure("sensitivity", "7").high
    assert high - low > 0.3  # three films say little, and the interval says so
    write_report(report, some, tmp_path)
    assert open_predictions(tmp_path)[0].label_names == some.label_names
    with pytest.raises(SourceError, match="'9'"):
        fit_calibration("temperature", some.pick(some.labels != 9))
