"""Prediction sets and selective prediction: by hand, by law, and their coverage by simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucency.errors import UsageError
from lucency.evaluate import evaluate_predictions
from lucency.evaluate.predictions import read_predictions
from lucency.evaluate.selective_prediction import (
    confidence,
    correct_calls,
    fit_conformal,
    label_probabilities,
    only_label,
    prediction_sets,
    risk_coverage,
    risk_interval,
    too_rare,
)

from .samples import binary, drawn, several


def one_label(chances: list[float], groups: list[int], coverage: float) -> float:
    column = np.array(chances)[:, None]
    return fit_conformal(column, np.zeros(len(chances), dtype=np.int64), np.array(groups), coverage)[0]


def test_the_least_of_nineteen_patients_covers_ninety_five_percent() -> None:
    """Split conformal: the ceil((n + 1) · coverage)-th best of n; 20 · 0.95 is the 19th, the worst; 0.90 the 18th."""
    chances = [0.05 * k for k in range(1, 20)]
    assert one_label(chances, list(range(19)), 0.95) == pytest.approx(0.05)
    assert one_label(chances, list(range(19)), 0.90) == pytest.approx(0.10)


def test_too_few_patients_rule_nothing_out() -> None:
    assert one_label([0.9] * 18, list(range(18)), 0.95) == 0.0
    assert one_label([0.9] * 60, list(range(18)) + [0] * 42, 0.95) == 0.0  # sixty films, but of eighteen patients


def test_patients_count_alike_however_many_films_they_have() -> None:
    """Of four patients three must be covered (5 · 0.6 = 3); forty films of the worst one change nothing."""
    few, many = [0.9, 0.8, 0.7, 0.1], [0.9, 0.8, 0.7] + [0.1] * 40
    assert one_label(few, [0, 1, 2, 3], 0.6) == 0.7
    assert one_label(many, [0, 1, 2] + [3] * 40, 0.6) == 0.7


def test_a_rare_label_among_several_takes_the_number_of_all_together() -> None:
    """Three patients of label 2: without this every film would have it in its set, and none would be answered."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [60, 60, 3])
    chances = rng.dirichlet([1, 1, 1], len(labels)) * 0.5 + 0.5 * np.eye(3)[labels]
    patients = np.arange(len(labels))
    assert too_rare(labels, patients, 3, 0.95) == [2]
    least = fit_conformal(chances, labels, patients, 0.95)
    together = one_label(list(chances[patients, labels]), list(patients), 0.95)
    assert least[2] == together > 0.4
    assert least[:2] == tuple(one_label(list(chances[labels == k, k]), list(range(60)), 0.95) for k in (0, 1))
    assert fit_conformal(chances[:, :2], np.repeat([0, 1], [120, 3]), patients, 0.95)[1] == 0.0


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 0.99), min_size=25, max_size=60), st.sampled_from([0.8, 0.9, 0.95]))
def test_a_rising_calibration_changes_no_set(chances: list[float], coverage: float) -> None:
    p = np.array(chances)
    labels = (np.arange(len(p)) % 2).astype(np.int64)
    groups = np.arange(len(p))
    sets = []
    for q in (p, p**3):
        both = label_probabilities(q[:, None], "binary")
        sets.append(prediction_sets(q[:, None], "binary", fit_conformal(both, labels, groups, coverage))[:, 1])
    np.testing.assert_array_equal(*sets)


def test_sets_and_answers_by_hand() -> None:
    p = np.array([[0.1], [0.5], [0.95]])
    sets = prediction_sets(p, "binary", (0.4, 0.3))
    assert sets.tolist() == [[True, False], [True, True], [False, True]]
    assert only_label(sets, np.array([0, 1, 1])).tolist() == [True, False, True]
    assert only_label(sets, np.array([1, 1, 0])).tolist() == [
        False,
        False,
        False,
    ]  # the threshold calls the other label
    empty = prediction_sets(p, "binary", (0.95, 0.9))
    assert empty.tolist() == [[False, False], [False, False], [False, True]]
    three = prediction_sets(np.array([[0.5, 0.3, 0.2]]), "multiclass", (0.4, 0.4, 0.1))
    assert three.tolist() == [[True, False, True]]


@pytest.mark.parametrize("coverage", [0.0, 1.0, 1.5])
def test_a_coverage_that_makes_no_sense(coverage: float) -> None:
    with pytest.raises(UsageError, match="expected a coverage between 0 and 1"):
        one_label([0.5], [0], coverage)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_coverage_by_simulation(coverage: float) -> None:
    """Patients with one to eight films that are alike (and worse, the more films), a poor network, forty patients.

    Theory: coverage <= P(in the set) <= coverage + 1 / 41 for one film of a new patient, with the spread of the mean
    of 3,000 draws (0.007 at 0.8) three times over.
    """
    rng = np.random.default_rng(0)
    inside, draws, patients = 0, 3000, 40
    for _ in range(draws):
        films = rng.integers(1, 9, size=patients + 1)
        patient = np.repeat(np.arange(patients + 1), films)
        ability = rng.normal(size=patients + 1) - 0.3 * films
        chance = 1 / (1 + np.exp(-(ability[patient] + 0.5 * rng.normal(size=len(patient)))))
        new = patient == patients
        least = one_label(chance[~new].tolist(), patient[~new].tolist(), coverage)
        inside += bool(rng.choice(chance[new]) >= least)
    spread = 3 * np.sqrt(coverage * (1 - coverage) / draws)
    assert coverage - spread <= inside / draws <= coverage + 1 / (patients + 1) + spread


FILMS = binary([0, 0, 0, 1, 1, 1], [-3.0, -1.0, 0.5, -0.5, 1.0, 4.0])
"""The third and the fourth are called wrongly at 0.5; they are the two nearest to it."""


def test_risk_by_share_answered_by_hand() -> None:
    share, wrong = risk_coverage(confidence(FILMS, 0.5), correct_calls(FILMS, FILMS.called()))
    assert share.tolist() == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert wrong.tolist() == pytest.approx([0, 0, 0, 0, 1 / 5, 2 / 6])


def test_sureness_is_the_distance_from_the_threshold_in_log_odds() -> None:
    assert confidence(FILMS, 0.5).tolist() == pytest.approx([3, 1, 0.5, 0.5, 1, 4])
    assert confidence(FILMS, 1 / (1 + np.exp(-1.0))).tolist() == pytest.approx([4, 2, 0.5, 1.5, 0, 3])
    many = several("multiclass", 5, 3)
    assert confidence(many, 0.5).tolist() == many.probabilities.max(axis=1).tolist()


def test_the_report_has_the_forced_decision_and_that_with_abstention() -> None:
    report = evaluate_predictions(
        replace(FILMS, answered=np.array([True, True, False, False, True, True])), resamples=200
    )
    assert report.measure("accuracy").value == pytest.approx(4 / 6)
    assert report.measure("answered").value == pytest.approx(4 / 6)
    right_of_four = report.measure("answered_accuracy")
    # Four of four patients: Clopper & Pearson's lower bound is 0.025 ** (1 / 4).
    assert (right_of_four.value, right_of_four.high) == (1.0, 1.0)
    assert right_of_four.low == pytest.approx(0.025**0.25)
    assert report.measure("answered_sensitivity").value == 1.0


def test_no_film_answered_is_no_figure() -> None:
    report = evaluate_predictions(replace(FILMS, answered=np.zeros(6, dtype=bool)), resamples=100)
    assert report.measure("answered").value == 0.0
    assert report.measure("answered_accuracy").value is None
    assert report.measure("answered_accuracy").reason == "no such film is answered"


def test_a_reader_that_always_answers_has_no_such_figures() -> None:
    with pytest.raises(KeyError):
        evaluate_predictions(FILMS, resamples=100).measure("answered")


def test_uncertain_comes_back_from_the_csv(tmp_path) -> None:  # type: ignore[no-untyped-def]
    some = replace(FILMS, answered=np.array([True, True, False, False, True, True]))
    (tmp_path / "p.csv").write_text(some.to_csv())
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert [line.split(",")[-2:] for line in lines[3:5]] == [["PNEUMONIA", "uncertain"], ["NORMAL", "uncertain"]]
    again = read_predictions(tmp_path / "p.csv", FILMS.label_names)
    assert again.answered is not None
    assert again.answered.tolist() == [True, True, False, False, True, True]
    assert again.columns == {}


def test_the_band_holds_the_curve_and_closes_with_more_patients() -> None:
    at = np.array([0.5, 0.9, 1.0])
    widths = []
    for films in (100, 1600):
        one = drawn(films, apart=1.5)
        sure, correct = confidence(one, 0.5), correct_calls(one, one.called())
        low, high = risk_interval(sure, correct, one.groups(), at, resamples=200)
        curve = np.interp(at, *risk_coverage(sure, correct))
        assert ((low <= curve) & (curve <= high)).all()
        widths.append(high - low)
    assert (widths[1] < widths[0] / 2).all()
