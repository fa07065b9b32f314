"""Several readers beside each other."""

from __future__ import annotations

import numpy as np
import pytest

from data.films import as_films, chest
from html_pages import assert_whole_and_silent
from lucency.shift.judge import Answers, Figures
from lucency.shift.page import page
from lucency.shift.study import OnWrong, Study, moves_together, on_wrong
from lucency.shift.table import table


def a_study(title: str, plain: float, moved: float) -> Study:
    rows = tuple(
        Figures(name, area, area, 0.9, 0.98, 0.95, 0.02, 0.0, 0.0) for name, area in (("plain", plain), ("all", moved))
    )
    return Study(title, "all films", rows, OnWrong(10, moved, plain), {"sharpness": 1 - moved})


def test_ranks_that_rise_together_and_apart() -> None:
    measures = [{"a": float(k), "b": float(k) ** 3, "c": -float(k), "still": 1.0} for k in range(4)]
    names, found = moves_together(measures)
    assert names == ["a", "b", "c"]
    assert found == pytest.approx(np.array([[1, 1, -1], [1, 1, -1], [-1, -1, 1]]))


def test_a_measure_that_one_run_lacks_is_not_compared() -> None:
    measures = [{"a": float(k), **({"b": float(k)} if k else {})} for k in range(5)]
    assert moves_together(measures)[0] == ["a"]


def test_three_runs_say_nothing() -> None:
    assert moves_together([{"a": 1.0}, {"a": 2.0}, {"a": 3.0}])[0] == []


def test_accuracy_on_the_wrong_ones_and_the_others() -> None:
    films = as_films([chest(k) for k in range(4)], [0, 1, 0, 1])
    answers = Answers(np.zeros(4), np.array([0.9, 0.9, 0.1, 0.9]))
    names = [record.name for record in films.records]
    assert on_wrong(answers, films, frozenset(names[:2]), 0.5) == OnWrong(2, 0.5, 1.0)
    assert on_wrong(answers, films, frozenset(), 0.5) is None


def test_the_page_shows_every_run_and_what_moves_together() -> None:
    studies = [a_study(f"run-{k}", 0.99 - k / 1000, 0.8 + k / 100) for k in range(4)]
    told = page(studies, "other", None, "lucency shift")
    assert_whole_and_silent(told)
    assert all(one.title in told for one in studies)
    assert "-1.00" in told  # plain falls as all rises
    assert "Needs at least" not in told
    assert "Needs at least 4 runs" in page(studies[:2], "other", None, "lucency shift")


def test_the_table_names_the_measures_of_several_runs() -> None:
    told = table([a_study("one", 0.99, 0.9), a_study("other", 0.98, 0.95)], "other", None)
    assert "AUROC normals moved" in told
    assert "accuracy 0.900 on the 10 films that the baseline gets wrong, 0.990 on the others" in told
