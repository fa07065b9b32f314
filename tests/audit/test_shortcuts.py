"""Shortcuts: planted ones, noise, and small sets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lucency.audit.measurements import FILE_ROW, NO_FILE, ROW, Measurements
from lucency.audit.shortcuts import TOGETHER, Shortcut, auroc_within_folds, find_shortcuts

from .films import films_of

N = 300


def facts(seed: int, shift: float = 0.0, what: str = "sharpness") -> tuple[Measurements, np.ndarray]:
    """Films whose properties are noise; `what` is moved by `shift` where the label is 1. Two films a patient."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(0, 2, N // 2), 2)
    rows = np.zeros(N, dtype=ROW)
    for name in ("width", "height"):
        rows[name] = rng.integers(500, 1500, N)
    for name in ("mean", "spread", "sharpness", "balance"):
        rows[name] = rng.normal(size=N)
    rows["border"] = rng.random((N, 4))
    rows[what] = rows[what] + (shift * labels).astype(rows[what].dtype)
    blank = np.zeros((2, 2), dtype=np.uint8)
    films = films_of([blank] * N, labels.tolist(), [f"p{i // 2}" for i in range(N)])
    return Measurements(films, rows, np.array([NO_FILE] * N, dtype=FILE_ROW), ()), labels


def by_name(found: tuple[Shortcut, ...], name: str) -> Shortcut:
    return next(one for one in found if one.name == name)


def test_a_planted_shortcut_is_found_and_graded() -> None:
    found = find_shortcuts(facts(0, 700, "width")[0])
    assert next(one.name for one in found if one.verdict == "danger") in ("width", TOGETHER)
    width = by_name(found, "width")
    assert (width.verdict, width.label) == ("danger", "pneumonia")
    assert width.low < width.auroc <= width.high
    assert width.grade in ("strong", "gives the label away")
    assert by_name(found, "contrast").verdict == "none"


def test_properties_that_disease_may_change_are_watched() -> None:
    assert by_name(find_shortcuts(facts(1, 0.9)[0]), "sharpness").verdict == "watch"
    assert by_name(find_shortcuts(facts(1, 3.0)[0]), "sharpness").verdict == "danger"


@pytest.mark.long
def test_noise_raises_no_alarm() -> None:
    """The false-danger rate is 1 %; two or more of eight sets have a chance of 0.3 %."""
    alarms = [any(one.verdict == "danger" for one in find_shortcuts(facts(seed)[0])) for seed in range(8)]
    assert sum(alarms) < 2


def test_too_few_films_have_no_shortcuts() -> None:
    whole, _ = facts(2)
    few = replace(whole, films=whole.films.subset(list(range(12))), rows=whole.rows[:12], files=whole.files[:12])
    assert find_shortcuts(few) == ()


def test_auroc_of_one_fold_is_scikit_learns() -> None:
    rng = np.random.default_rng(3)
    target = rng.integers(0, 2, 80)
    scores = np.round(rng.normal(size=80) + target, 1)
    fold = [(np.arange(0), np.arange(80))]
    area, error = auroc_within_folds(scores, target, np.arange(80), fold)
    assert area == pytest.approx(roc_auc_score(target, scores))
    assert 0.02 < error < 0.1


def test_copies_of_films_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(4)
    target = rng.integers(0, 2, 60)
    scores = rng.normal(size=60) + target
    once = auroc_within_folds(scores, target, np.arange(60), [(np.arange(0), np.arange(60))])
    thrice = auroc_within_folds(
        np.tile(scores, 3), np.tile(target, 3), np.tile(np.arange(60), 3), [(np.arange(0), np.arange(180))]
    )
    assert thrice == pytest.approx(once)
