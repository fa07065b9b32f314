"""Predictions: what they refuse, and there and back through CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucency.errors import SourceError
from lucency.evaluate.predictions import Predictions, Task, read_predictions

from .samples import binary, several


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
