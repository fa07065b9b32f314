"""Recalibration: no patient takes part in the fit that answers it, and the gain is that of the planted fault."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from lucency.errors import SourceError, UsageError
from lucency.evaluate.calibration import apply, fit_calibration, probabilities
from lucency.evaluate.predictions import Predictions
from lucency.evaluate.recalibration import (
    RecalibrationConfig,
    cross_fit,
    fit_recalibration,
    recalibration_gain,
    stratified_patient_folds,
)

from .samples import binary, drawn, several


def too_sure(films: int = 400, seed: int = 0):  # type: ignore[no-untyped-def]
    """Calibrated films whose logits have been trebled and moved by 2."""
    one = drawn(films, apart=2.0, seed=seed)
    return binary(one.labels.tolist(), (3 * one.logits[:, 0] + 2).tolist(), patients=one.patients)


def test_folds_part_patients_and_hold_each_film_once() -> None:
    films = drawn(101)
    held = []
    for rest, out in stratified_patient_folds(films, 7):
        assert not {films.patients[i] for i in rest} & {films.patients[i] for i in out}
        assert {0, 1} <= set(films.labels[rest])
        held += out.tolist()
    assert sorted(held) == list(range(101))


def test_no_more_folds_than_the_rarer_label_has_patients() -> None:
    films = binary([0] * 20 + [1] * 3, list(range(23)))
    assert len(list(stratified_patient_folds(films, 10))) == 3
    with pytest.raises(SourceError, match="at least two patients of each label, found 1 of 'PNEUMONIA'"):
        list(stratified_patient_folds(binary([0] * 20 + [1], list(range(21))), 10))


def test_a_planted_fault_is_mended() -> None:
    films = too_sure()
    asked = RecalibrationConfig(method="platt", rule="youden", coverage=0.9)
    crossed = cross_fit(films, asked)
    found = {
        one.name: one for one in recalibration_gain((films, films.called()), (crossed.predictions, crossed.called), 200)
    }
    assert found["log_loss"].difference.high < 0  # type: ignore[operator]
    assert found["ece"].after.value < 0.05 < found["ece"].before.value  # type: ignore[operator]
    assert found["answered_accuracy"].after.value > found["accuracy"].after.value  # type: ignore[operator]
    fitted = fit_recalibration(films, asked, "these").calibration
    assert fitted is not None
    # logit = 3 z + 2 means z = (logit - 2) / 3.
    assert fitted.parameters["slope"][0] == pytest.approx(1 / 3, rel=0.25)
    assert fitted.parameters["offset"][0] == pytest.approx(-2 / 3, abs=0.35)


def test_what_needs_no_mending_gains_nothing() -> None:
    films = drawn(400, apart=2.0)
    crossed = cross_fit(films, RecalibrationConfig(method="platt", rule="keep", coverage=None))
    found = {
        one.name: one for one in recalibration_gain((films, films.called()), (crossed.predictions, crossed.called), 200)
    }
    assert found["log_loss"].difference.low < 0 < found["log_loss"].difference.high  # type: ignore[operator]
    assert found["answered"].after.value == 1.0


def test_keep_keeps() -> None:
    films = drawn(100)
    fitted = fit_recalibration(films, RecalibrationConfig(method=None, rule="keep", coverage=None))
    assert (fitted.calibration, fitted.least, fitted.point.threshold) == (None, (), 0.5)
    assert fitted.point.sensitivity == pytest.approx(films.called()[films.labels == 1].mean())
    np.testing.assert_array_equal(fitted.apply(films).probabilities, films.probabilities)


def test_difference_is_after_less_before_and_zero_for_the_same() -> None:
    films = drawn(120)
    same = recalibration_gain((films, films.called()), (films, films.called()), 100)
    assert [(one.difference.value, one.difference.low, one.difference.high) for one in same] == [(0.0, 0.0, 0.0)] * len(
        same
    )


def test_several_classes_abstain_and_several_findings_do_not() -> None:
    crossed = cross_fit(
        several("multiclass", 300, 3), RecalibrationConfig(method="temperature", rule="keep", coverage=0.9)
    )
    assert crossed.predictions.answered is not None
    with pytest.raises(UsageError, match="leave abstention out"):
        fit_recalibration(several("multilabel", 60, 3), RecalibrationConfig(method="platt", rule="keep"))


def test_each_class_has_its_calibration_error_before_and_after_with_interval() -> None:
    films = several("multiclass", 300, 3)
    crossed = cross_fit(films, RecalibrationConfig(method="dirichlet", coverage=None), folds=3)
    found = recalibration_gain((films, films.called()), (crossed.predictions, crossed.called), 100)
    errors = {one.name: one for one in found if one.name.startswith("ece")}
    assert list(errors) == ["ece", *(f"ece of finding {k}" for k in range(3))]
    mean = np.mean([errors[f"ece of finding {k}"].after.value for k in range(3)])
    assert errors["ece"].after.value == pytest.approx(mean)
    for one in errors.values():
        assert one.after.low <= one.after.value <= one.after.high < one.before.high  # type: ignore[operator]


def test_keep_calls_the_same_films_under_another_calibration() -> None:
    films = too_sure()
    fitted = fit_recalibration(films, RecalibrationConfig(method="platt", rule="keep", coverage=None))
    new = fitted.apply(films)
    np.testing.assert_array_equal(new.called(fitted.point.threshold), films.called(0.5))
    assert fitted.point.threshold != pytest.approx(0.5, abs=0.05)
    # At the logit 0 of a platt calibration stands its offset.
    assert fitted.calibration is not None
    assert fitted.point.threshold == pytest.approx(1 / (1 + np.exp(-fitted.calibration.parameters["offset"][0])))


def test_a_threshold_given() -> None:
    films = binary([0, 0, 1, 1], [-2.0, 1.0, 0.5, 3.0])
    point = fit_recalibration(films, RecalibrationConfig(method=None, rule="0.5", coverage=None)).point
    assert (point.threshold, point.chosen_by, point.sensitivity, point.specificity) == (0.5, "given", 1.0, 0.5)
    with pytest.raises(UsageError, match="expected a threshold from 0 to 1, received 7"):
        fit_recalibration(films, RecalibrationConfig(method=None, rule="7", coverage=None))


def test_all_right_is_no_proof_of_never_wrong() -> None:
    """Twenty of twenty patients: Clopper & Pearson's lower bound is 0.025 ** (1 / 20)."""
    films = binary([0] * 10 + [1] * 10, [-4.0] * 10 + [4.0] * 10)
    found = {one.name: one for one in recalibration_gain((films, films.called()), (films, films.called()), 100)}
    assert (found["accuracy"].after.value, found["accuracy"].after.high) == (1.0, 1.0)
    assert found["accuracy"].after.low == pytest.approx(0.025 ** (1 / 20))


def uneven(films: int, seed: int = 0) -> Predictions:
    """Three classes, ten times, three times and once as frequent, that a network calls as if all were alike."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size=films, p=np.array([10, 3, 1]) / 14)
    logits = rng.normal(size=(films, 3)) * 1.2 + 2.0 * np.eye(3)[labels]
    return replace(several("multiclass", films, 3), labels=labels, logits=logits, probabilities=softmax(logits, axis=1))


def test_balanced_calibration_is_that_of_equally_frequent_classes() -> None:
    """Weighing by class equals showing each film of a class as often as makes the classes alike."""
    films = uneven(7000)
    counts = np.bincount(films.labels)
    drawn_again = np.concatenate([np.resize(np.flatnonzero(films.labels == k), counts.max()) for k in range(3)])
    for method in ("temperature", "platt"):
        weighed = fit_calibration(method, films, balanced=True)
        shown = fit_calibration(method, films.pick(drawn_again))
        ours, theirs = (probabilities(apply(one, films.logits), "multiclass") for one in (weighed, shown))
        assert np.abs(ours - theirs).max() < 0.01, method  # Platt's targets and PULL differ a little


@pytest.mark.parametrize("method", ["platt", "dirichlet", "auto"])
def test_balanced_calibration_keeps_balanced_accuracy(method: Any) -> None:
    fitted_on, judged = uneven(1500), uneven(6000, seed=1)
    accuracies = []
    for balanced in (False, True):
        config = RecalibrationConfig(method=method, rule="keep", coverage=None, balanced=balanced)
        called = fit_recalibration(fitted_on, config).apply(judged).called(0.5)
        accuracies.append(np.mean([(called == judged.labels)[judged.labels == k].mean() for k in range(3)]))
    before = np.mean([(judged.called(0.5) == judged.labels)[judged.labels == k].mean() for k in range(3)])
    plain, alike = accuracies
    assert plain < before - 0.05
    assert alike == pytest.approx(before, abs=0.01)


def test_its_gain_is_measured_with_each_class_weighing_the_same() -> None:
    films = uneven(900)
    config = RecalibrationConfig(method="platt", rule="keep", coverage=None, balanced=True)
    after = cross_fit(films, config, 5)
    sides = (films, films.called(0.5)), (after.predictions, after.called)
    plain, alike = ({one.name: one for one in recalibration_gain(*sides, 100, balanced=one)} for one in (False, True))
    truth = after.predictions.probabilities[np.arange(900), films.labels]
    by_class = [-np.log(truth[films.labels == k]).mean() for k in range(3)]
    assert alike["log_loss"].after.value == pytest.approx(np.mean(by_class))
    assert plain["log_loss"].after.value == pytest.approx(-np.log(truth).mean())
    assert alike["balanced_accuracy"] == plain["balanced_accuracy"]
    assert alike["ece"].after.value < plain["ece"].after.value - 0.03


def test_balanced_is_for_several_classes() -> None:
    with pytest.raises(UsageError, match="one of several"):
        fit_recalibration(drawn(60), RecalibrationConfig(balanced=True))
