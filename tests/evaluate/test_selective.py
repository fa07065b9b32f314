"""Answering only some films: by hand, and at the limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lucency.evaluate import judge
from lucency.evaluate.predictions import read_predictions
from lucency.evaluate.selective import band, right, risk_coverage, sureness

from .samples import binary, drawn, several

FILMS = binary([0, 0, 0, 1, 1, 1], [-3.0, -1.0, 0.5, -0.5, 1.0, 4.0])
"""The third and the fourth are called wrongly at 0.5; they are the two nearest to it."""


def test_risk_by_share_answered_by_hand() -> None:
    share, wrong = risk_coverage(sureness(FILMS, 0.5), right(FILMS, FILMS.verdicts()))
    assert share.tolist() == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert wrong.tolist() == pytest.approx([0, 0, 0, 0, 1 / 5, 2 / 6])


def test_sureness_is_the_distance_from_the_threshold_in_log_odds() -> None:
    assert sureness(FILMS, 0.5).tolist() == pytest.approx([3, 1, 0.5, 0.5, 1, 4])
    assert sureness(FILMS, 1 / (1 + np.exp(-1.0))).tolist() == pytest.approx([4, 2, 0.5, 1.5, 0, 3])
    many = several("multiclass", 5, 3)
    assert sureness(many, 0.5).tolist() == many.probabilities.max(axis=1).tolist()


def test_the_report_has_the_forced_decision_and_that_with_abstention() -> None:
    report = judge(replace(FILMS, answered=np.array([True, True, False, False, True, True])), resamples=200)
    assert report.measure("accuracy").value == pytest.approx(4 / 6)
    assert report.measure("answered").value == pytest.approx(4 / 6)
    right_of_four = report.measure("answered_accuracy")
    # Four of four patients: Clopper & Pearson's lower bound is 0.025 ** (1 / 4).
    assert (right_of_four.value, right_of_four.high) == (1.0, 1.0)
    assert right_of_four.low == pytest.approx(0.025**0.25)
    assert report.measure("answered_sensitivity").value == 1.0


def test_no_film_answered_is_no_figure() -> None:
    report = judge(replace(FILMS, answered=np.zeros(6, dtype=bool)), resamples=100)
    assert report.measure("answered").value == 0.0
    assert report.measure("answered_accuracy").value is None
    assert report.measure("answered_accuracy").reason == "no such film is answered"


def test_a_reader_that_always_answers_has_no_such_figures() -> None:
    with pytest.raises(KeyError):
        judge(FILMS, resamples=100).measure("answered")


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
        sure, correct = sureness(one, 0.5), right(one, one.verdicts())
        low, high = band(sure, correct, one.groups(), at, resamples=200)
        curve = np.interp(at, *risk_coverage(sure, correct))
        assert ((low <= curve) & (curve <= high)).all()
        widths.append(high - low)
    assert (widths[1] < widths[0] / 2).all()
