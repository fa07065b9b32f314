"""Metrics of several classes under re-acquisition, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.films import as_films, chest
from lucency.bundle.card import Costs
from lucency.shift.classes import class_metrics
from lucency.shift.conditions import Scores

LABELS = (0, 0, 1, 1, 2, 2)
FILMS = as_films([chest(0)] * len(LABELS), [0] * len(LABELS))
FILMS = replace(
    FILMS,
    labels=("a", "b", "c"),
    task="multiclass",
    samples=tuple(replace(one, label=label) for one, label in zip(FILMS.samples, LABELS, strict=True)),
)


def calling(*called: int) -> Scores:
    """0.8 for the class that is called, 0.1 for each other."""
    probabilities = np.full((len(called), 3), 0.1)
    probabilities[np.arange(len(called)), called] = 0.8
    return Scores(np.log(probabilities), probabilities)


def test_by_hand() -> None:
    plain, tone = class_metrics({"plain": calling(*LABELS), "tone": calling(0, 0, 1, 0, 1, 0)}, FILMS, resamples=50)
    assert (plain.balanced_accuracy.value, plain.mean_auroc.value, plain.change.value) == (1, 1, 0)
    assert tone.balanced_accuracy.value == pytest.approx((1 + 0.5 + 0) / 3)
    assert tone.change.value == pytest.approx(-0.5)
    assert tone.called_otherwise.value == pytest.approx(3 / 6)
    assert tone.sensitivity == {"a": 1.0, "b": 0.5, "c": 0.0}
    # Of eight pairs each: a wins 4 and ties 4, b wins 3 and ties 4, c, which is never called, ties all.
    assert tone.mean_auroc.value == pytest.approx((6 + 5 + 4) / 24)


def test_the_measures_that_runs_are_compared_by() -> None:
    plain, moved = class_metrics({"plain": calling(*LABELS), "all": calling(0, 0, 1, 0, 1, 0)}, FILMS, resamples=50)
    assert set(plain.measures()) == {"balanced accuracy plain", "mean AUROC plain", "ECE plain"}
    assert moved.measures()["called otherwise all"] == pytest.approx(0.5)


def test_costs_decide_the_call() -> None:
    costs = Costs(called=((0, 1, 1), (1, 0, 1), (50, 50, 0)))
    (plain,) = class_metrics({"plain": calling(*LABELS)}, FILMS, costs, resamples=50)
    assert plain.sensitivity == {"a": 0.0, "b": 0.0, "c": 1.0}
