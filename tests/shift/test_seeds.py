"""Runs of one recipe, told as mean and range."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lucency.shift.page import page
from lucency.shift.seeds import Span, over_runs
from lucency.shift.table import table

from .test_study import a_study

STUDIES = [
    replace(a_study(f"{recipe}-{seed}", 0.99, moved), recipe=recipe, choices=recipe, seed=seed)
    for recipe, seed, moved in (("plain", 0, 0.8), ("plain", 1, 0.9), ("plain", 2, 0.7), ("other", 5, 0.6))
]


def test_mean_and_range_by_hand() -> None:
    (plain,) = over_runs(STUDIES)  # one run is no range
    assert (plain.recipe, plain.seeds) == ("plain", (0, 1, 2))
    span = plain.measures["AUROC all"]
    assert (span.mean, span.low, span.high) == (pytest.approx(0.8), 0.7, 0.9)
    assert plain.measures["AUROC plain"] == Span(pytest.approx(0.99), 0.99, 0.99)


def test_a_measure_that_one_run_lacks_has_no_range() -> None:
    (plain,) = over_runs([STUDIES[0], replace(STUDIES[1], probe={})])
    assert "probe sharpness" not in plain.measures
    assert "AUROC all" in plain.measures


def test_recipes_of_one_name_that_choose_otherwise_are_not_taken_together() -> None:
    assert over_runs([STUDIES[0], replace(STUDIES[1], choices="more epochs")]) == []


def test_runs_of_no_known_recipe_are_not_taken_together() -> None:
    assert over_runs([a_study("one", 0.99, 0.9), a_study("two", 0.99, 0.8)]) == []


def test_the_page_and_the_table_tell_it() -> None:
    said = "0.800 (0.700 to 0.900)"
    told = table(STUDIES, "other", None)
    assert "plain: mean (lowest to highest) of 3 runs, seeds 0, 1, 2" in told
    assert said in told
    assert said in page(STUDIES, "other", None, "lucency shift")
    assert "Over seeds" not in page(STUDIES[2:], "other", None, "lucency shift")
