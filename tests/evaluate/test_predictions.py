"""Costs of errors: by hand, against every other rule, and as the file states them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucency.bundle import Costs
from lucency.errors import SourceError, UsageError
from lucency.evaluate import evaluate_predictions
from lucency.evaluate.predictions import (
    Predictions,
    Task,
    costs_paid,
    expected_costs,
    least_cost,
    read_costs,
    read_predictions,
    refers,
)
from lucency.evaluate.recalibration import RecalibrationConfig, cross_fit, recalibration_gain

from .samples import binary, several

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
    printed = evaluate_predictions(crossed.predictions, resamples=100).measure("mean_cost", "all")
    assert printed.value == pytest.approx(cost.after.value)
    assert printed.low < printed.value < printed.high  # type: ignore[operator]


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


def same(one: Predictions, other: Predictions) -> None:
    assert (one.names, one.patients, one.label_names, one.task) == (
        other.names,
        other.patients,
        other.label_names,
        other.task,
    )
    assert dict(one.columns) == dict(other.columns)
    for part in ("labels", "logits", "probabilities"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def test_csv_by_hand() -> None:
    text = binary([1, 0], [2.0, -0.5], patients=("ann", None), columns={"sex": ("F", "M"), "label": ("x", "y")}).to_csv(
        0.9
    )
    assert text.splitlines() == [
        "file,patient,label,logit,probability,called,verdict,sex,label (source)",
        "film0.png,ann,PNEUMONIA,2.0,0.8807970779778823,NORMAL,NORMAL,F,x",
        "film1.png,,NORMAL,-0.5,0.3775406687981454,NORMAL,NORMAL,M,y",
    ]


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(["multiclass", "multilabel"]), st.integers(1, 8), st.integers(2, 4), st.integers(0, 1000))
def test_there_and_back(
    tmp_path_factory: pytest.TempPathFactory, task: Task, films: int, labels: int, seed: int
) -> None:
    predictions = several(task, films, labels, seed)
    path = tmp_path_factory.mktemp("csv") / "predictions.csv"
    path.write_text(predictions.to_csv(), encoding="utf-8")
    same(read_predictions(path, predictions.label_names, task), predictions)


@settings(deadline=None, max_examples=30)
@given(
    st.text(min_size=1).filter(lambda name: "\r" not in name and "\0" not in name and name.isprintable()),
    st.floats(-50, 50),
)
def test_any_name_and_number_survives(tmp_path_factory: pytest.TempPathFactory, name: str, logit: float) -> None:
    predictions = binary([1], [logit], names=(name,), patients=(name,))
    path = tmp_path_factory.mktemp("csv") / "predictions.csv"
    path.write_text(predictions.to_csv(), encoding="utf-8")
    same(read_predictions(path, predictions.label_names), predictions)


def test_groups_are_patients_and_the_unknown_stand_alone() -> None:
    predictions = binary([1, 0, 1, 0, 1], [0.0] * 5, patients=("b", None, "b", None, "film1.png"))
    assert predictions.groups().tolist() == [0, 1, 0, 2, 3]
    assert not predictions.patients_known


def test_verdict_at_the_threshold_is_called() -> None:
    assert binary([1, 0], [0.0, -1.0]).called(0.5).tolist() == [1, 0]


def test_pick_by_mask_and_by_index() -> None:
    predictions = binary([1, 0, 1], [1.0, 2.0, 3.0], columns={"sex": ("F", "M", "F")})
    same(predictions.pick(np.array([True, False, True])), predictions.pick([0, 2]))
    assert predictions.pick([2]).columns["sex"] == ("F",)
    assert len(predictions.pick([])) == 0


def test_refuses_what_makes_no_sense() -> None:
    with pytest.raises(SourceError, match="expected logits of shape"):
        Predictions(("a",), (None,), np.array([1]), np.zeros((1, 2)), np.zeros((1, 1)), ("n", "p"))
    with pytest.raises(SourceError, match=r"a\.png: the reader's output is not a finite number"):
        binary([1], [float("nan")], names=("a.png",))
    with pytest.raises(SourceError, match="labels 0 to 1"):
        binary([2], [0.0])
    with pytest.raises(SourceError, match="column 'sex' of shape"):
        binary([1], [0.0], columns={"sex": ()})
    with pytest.raises(SourceError, match="probabilities from 0 to 1"):
        Predictions(("a",), (None,), np.array([1]), np.zeros((1, 1)), np.full((1, 1), 1.5), ("n", "p"))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "missing file, patient"),
        ("file,patient,label\na,,P\n", "missing logit, probability"),
        ("file,patient,label,logit,probability\na,,P,1.0\n", "expected a number in probability"),
        ("file,patient,label,logit,probability\na,,Q,1,0.5\n", "expected the labels N, P, received Q"),
        ("file,patient,label,logit,probability\na,,P,x,0.5\n", "expected a number"),
        ("file,patient,label,logit,probability\na,,P,0,0.5\nb,,P,0\n", "expected a number"),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(content)
    with pytest.raises(SourceError, match=complaint):
        read_predictions(path, ("N", "P"))


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        read_predictions(tmp_path / "none.csv", ("N", "P"))


@pytest.mark.parametrize("name", ["bom.csv", "semi.csv"])
def test_predictions_saved_by_a_spreadsheet(shared: Path, name: str) -> None:
    """Fault 17: a byte order mark, or semicolons."""
    path = shared / "data" / "faults" / "17-predictions-bom" / name
    assert len(read_predictions(path, ("normal", "pneumonia"))) > 0
