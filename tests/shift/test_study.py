"""Several readers under acquisition shift."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.films import as_films, chest
from html_pages import assert_whole_and_silent
from lucency.audit.measurements import measure_films
from lucency.data.acquisition_pairs import squares_of
from lucency.evaluate.confidence_intervals import Estimate
from lucency.shift.conditions import ClassMetrics, ConditionMetrics, Scores
from lucency.shift.report import page, table
from lucency.shift.study import (
    BiasWrongAccuracy,
    ShiftResult,
    Span,
    accuracy_on_wrong,
    fit_bias_baseline,
    rank_correlations,
    summarise_seeds,
)


def a_study(title: str, plain: float, moved: float) -> ShiftResult:
    rows = tuple(
        ConditionMetrics(name, area, area, 0.9, 0.98, 0.95, 0.02, 0.0, 0.0)
        for name, area in (("plain", plain), ("all", moved))
    )
    return ShiftResult(title, "all films", rows, BiasWrongAccuracy(10, moved, plain), {"sharpness": 1 - moved})


def of_several(title: str, moved: float) -> ShiftResult:
    rows = tuple(
        ClassMetrics(name, Estimate(right, right - 0.1, 1.0), *[Estimate(0.4)] * 3, 0.03, {"mel": right, "nv": 0.5})
        for name, right in (("plain", 0.9), ("all", moved))
    )
    return ShiftResult(title, "all pictures", rows)


def test_page_and_table_of_several_classes() -> None:
    studies = [of_several("one", 0.71), of_several("other", 0.82)]
    said = table(studies, "other", None)
    assert "0.710 (0.610 to 1.000)" in said
    assert "balanced accuracy all" in said
    assert "threshold" not in said
    text = page(studies, "other", None, "lucency shift")
    assert_whole_and_silent(text)
    assert "0.820 (0.720 to 1.000)" in text
    assert ">mel</th>" in text
    assert "Normals" not in text


def test_rank_correlations_by_hand() -> None:
    measures = [{"a": float(k), "b": float(k) ** 3, "c": -float(k), "still": 1.0} for k in range(4)]
    names, found = rank_correlations(measures)
    assert names == ["a", "b", "c"]
    assert found == pytest.approx(np.array([[1, 1, -1], [1, 1, -1], [-1, -1, 1]]))


def test_a_measure_that_one_run_lacks_is_not_compared() -> None:
    measures = [{"a": float(k), **({"b": float(k)} if k else {})} for k in range(5)]
    assert rank_correlations(measures)[0] == ["a"]


def test_fewer_than_four_runs_have_no_correlations() -> None:
    assert rank_correlations([{"a": 1.0}, {"a": 2.0}, {"a": 3.0}])[0] == []


def test_accuracy_on_wrong_by_hand() -> None:
    films = as_films([chest(k) for k in range(4)], [0, 1, 0, 1])
    answers = Scores(np.zeros(4), np.array([0.9, 0.9, 0.1, 0.9]))
    names = [record.name for record in films.samples]
    assert accuracy_on_wrong(answers, films, frozenset(names[:2]), 0.5) == BiasWrongAccuracy(2, 0.5, 1.0)
    assert accuracy_on_wrong(answers, films, frozenset(), 0.5) is None


def test_the_page_has_every_run_and_the_correlations() -> None:
    studies = [a_study(f"run-{k}", 0.99 - k / 1000, 0.8 + k / 100) for k in range(4)]
    text = page(studies, "other", None, "lucency shift")
    assert_whole_and_silent(text)
    assert all(one.title in text for one in studies)
    assert "-1.00" in text  # plain falls as all rises
    assert "Needs at least" not in text
    assert "Needs at least 4 runs" in page(studies[:2], "other", None, "lucency shift")


def test_the_table_compares_several_runs() -> None:
    text = table([a_study("one", 0.99, 0.9), a_study("other", 0.98, 0.95)], "other", None)
    assert "AUROC normals moved" in text
    assert "accuracy 0.900 on the 10 films that the baseline gets wrong, 0.990 on the others" in text


N, MISLEADING = 120, 12


def test_the_baseline_is_wrong_where_acquisition_misleads() -> None:
    labels = [k % 2 for k in range(N)]
    as_class = [1 - label if k < MISLEADING else label for k, label in enumerate(labels)]
    films = as_films([chest(k, sharp=1.0 if of else 2.0) for k, of in enumerate(as_class)], labels)
    found = fit_bias_baseline(measure_films(films), squares_of(films))
    misleading = {record.name for record in films.samples[:MISLEADING]}
    assert found.films == N
    assert found.auroc > 0.7
    assert len(misleading & found.wrong) >= MISLEADING - 2
    assert len(found.wrong - misleading) <= N // 10


def test_the_baseline_is_at_chance_without_shortcuts() -> None:
    labels = (np.random.default_rng(0).permutation(80) % 2).tolist()
    films = as_films([chest(k) for k in range(80)], labels)
    found = fit_bias_baseline(measure_films(films), squares_of(films))
    assert 0.3 < found.auroc < 0.7
    assert len(found.wrong) > 20


STUDIES = [
    replace(a_study(f"{recipe}-{seed}", 0.99, moved), recipe=recipe, recipe_hash=recipe, seed=seed)
    for recipe, seed, moved in (("plain", 0, 0.8), ("plain", 1, 0.9), ("plain", 2, 0.7), ("other", 5, 0.6))
]


def test_seed_summary_by_hand() -> None:
    (plain,) = summarise_seeds(STUDIES)  # one run is no range
    assert (plain.recipe, plain.seeds) == ("plain", (0, 1, 2))
    span = plain.measures["AUROC all"]
    assert (span.mean, span.low, span.high) == (pytest.approx(0.8), 0.7, 0.9)
    assert plain.measures["AUROC plain"] == Span(pytest.approx(0.99), 0.99, 0.99)


def test_a_measure_that_one_run_lacks_has_no_range() -> None:
    (plain,) = summarise_seeds([STUDIES[0], replace(STUDIES[1], probe={})])
    assert "probe sharpness" not in plain.measures
    assert "AUROC all" in plain.measures


def test_runs_of_different_recipes_are_not_summarised_together() -> None:
    assert summarise_seeds([STUDIES[0], replace(STUDIES[1], recipe_hash="more epochs")]) == []


def test_runs_without_a_recipe_are_not_summarised() -> None:
    assert summarise_seeds([a_study("one", 0.99, 0.9), a_study("two", 0.99, 0.8)]) == []


def test_page_and_table_show_the_seed_summary() -> None:
    span = "0.800 (0.700 to 0.900)"
    text = table(STUDIES, "other", None)
    assert "plain: mean (lowest to highest) of 3 runs, seeds 0, 1, 2" in text
    assert span in text
    assert span in page(STUDIES, "other", None, "lucency shift")
    assert "Over seeds" not in page(STUDIES[2:], "other", None, "lucency shift")
