"""Costs of errors: by hand, against every other rule, and as the file states them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lucency.bundle import Costs
from lucency.errors import UsageError
from lucency.evaluate import evaluate_predictions
from lucency.evaluate.costs import costs_paid, expected_costs, least_cost, read_costs, refers
from lucency.evaluate.recalibration import RecalibrationConfig, cross_fit, recalibration_gain

from .samples import several

MISSES = Costs(called=((0, 1), (10, 0)), refer=(0.5, 0.5))
"""To call an ill film well costs ten false alarms."""
THREE = Costs(called=((0, 1, 1), (1, 0, 1), (9, 9, 0)), refer=(0.5, 0.5, 2.0))


def test_by_hand() -> None:
    films = np.array([[0.95, 0.05], [0.8, 0.2], [0.99, 0.01]])
    np.testing.assert_allclose(expected_costs(MISSES, films), [[0.5, 0.95], [2.0, 0.8], [0.1, 0.99]])
    assert least_cost(MISSES, films).tolist() == [0, 1, 0]
    assert refers(MISSES, films).tolist() == [False, True, False]  # 0.5 is not less than 0.5
    assert not refers(Costs(called=MISSES.called), films).any()
    answered = np.array([True, False, True])
    labels, called = np.array([1, 0, 0]), np.array([0, 1, 1])
    assert costs_paid(MISSES, labels, called, answered).tolist() == [10, 0.5, 1]


def test_no_call_costs_less_on_calibrated_films() -> None:
    films = replace(several("multiclass", 4000, 3, apart=1.0), costs=THREE)  # unit normals 1 apart are calibrated
    ours = costs_paid(THREE, films.labels, films.called(), None).mean()
    usual = costs_paid(THREE, films.labels, replace(films, costs=None).called(), None).mean()
    assert ours < usual - 0.3
    assert all(ours < costs_paid(THREE, films.labels, np.full(4000, k), None).mean() for k in range(3))


def test_the_mean_cost_has_an_interval_before_and_after() -> None:
    films = several("multiclass", 600, 3, apart=1.0)
    crossed = cross_fit(films, RecalibrationConfig(method="temperature", coverage=None, costs=THREE), folds=3)
    found = recalibration_gain((films, films.called()), (crossed.predictions, crossed.called), 200)
    cost = {one.name: one for one in found}["mean_cost"]
    assert cost.before.low < cost.before.value < cost.before.high  # type: ignore[operator]
    assert cost.difference.high < 0  # type: ignore[operator]
    answered = crossed.predictions.answered
    assert answered is not None
    assert 0 < answered.mean() < 1
    told = evaluate_predictions(crossed.predictions, resamples=100).measure("mean_cost", "all")
    assert told.value == pytest.approx(cost.after.value)
    assert told.low < told.value < told.high  # type: ignore[operator]


def test_a_file_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    path.write_text("true, refer, MEL, nv\nnv, 1, 2, 0\nmel, 3, 0, 20\n")
    assert read_costs(path, ("nv", "mel")) == (((0, 2), (20, 0)), (1, 3))
    path.write_text("true,nv,mel\nnv,0,1\nmel,20,0\n")
    assert read_costs(path, ("nv", "mel")) == (((0, 1), (20, 0)), ())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "a row and a column for each of nv, mel"),
        ("true,nv,mel\nnv,0,1\n", "a row and a column"),
        ("true,nv,mel\nnv,0\nmel,1,0\n", "a row and a column"),
        ("true,nv,mel,bcc\nnv,0,1,1\nmel,1,0,1\n", "a row and a column"),
        ("true,nv,mel\nnv,0,-1\nmel,1,0\n", "from 0 to 1e[+]09, received '-1'"),
        ("true,nv,mel\nnv,0,nan\nmel,1,0\n", "received 'nan'"),
    ],
)
def test_what_is_no_table_of_costs_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "costs.csv").write_text(text)
    with pytest.raises(UsageError, match=complaint):
        read_costs(tmp_path / "costs.csv", ("nv", "mel"))
