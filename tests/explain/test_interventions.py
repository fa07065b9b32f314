"""Interventions: a reader of the lungs and a reader of everything else."""

from __future__ import annotations

import numpy as np
import pytest

from lucency.explain.interventions import ReadOutputs, evaluate_causes, exchange_outside, paint_over, weighted_median

SIDE = 48


def lungs(_gray: np.ndarray) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[12:36, 8:20] = mask[12:36, 28:40] = True
    return mask


def films(count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Lungs are brighter with the finding, and so are the surroundings: a shortcut."""
    positive = np.arange(count) % 2 == 1
    squares = np.random.default_rng(0).integers(0, 20, (count, SIDE, SIDE)).astype(np.uint8)
    squares[positive] += 60
    squares[:, lungs(squares[0])] += 40
    return squares, positive


def reader_of(where: np.ndarray, middle: float = 80):  # type: ignore[no-untyped-def]
    def read(squares: np.ndarray) -> ReadOutputs:
        logits = (squares[:, where].mean(axis=1) - middle) / 10
        return ReadOutputs(logits, (logits > 0).astype(np.int64), np.abs(logits) < 0.5)

    return read


def test_exchanged_surroundings_leave_a_reader_of_lungs_unchanged() -> None:
    squares, positive = films()
    inside = lungs(squares[0])
    found = {f.name: f.value for f in evaluate_causes(reader_of(inside), squares, positive, np.arange(20), lungs, 100)}
    assert found["auroc"] == found["exchanged_auroc"] == 1
    assert found["exchanged_flipped"] == 0
    assert found["exchanged_logit_moved"] == pytest.approx(0, abs=0.1)


def test_exchanged_surroundings_flip_a_reader_of_surroundings() -> None:
    squares, positive = films()
    outside = np.zeros((SIDE, SIDE), bool)
    outside[:6] = True
    read = reader_of(outside, middle=40)
    found = {f.name: f.value for f in evaluate_causes(read, squares, positive, np.arange(20), lungs, 100)}
    assert found["painted_auroc"] == 1  # it does not need the lungs
    assert (found["exchanged_flipped"] or 0) > 0.2


def test_paint_over_removes_the_lungs() -> None:
    squares, _ = films()
    painted = paint_over(squares[1], lungs(squares[1]))
    inside = lungs(squares[1])
    assert abs(float(painted[inside].mean()) - float(painted[:6].mean())) < 3
    assert (painted[:6] == squares[1][:6]).all()
    assert paint_over(np.full((4, 4), 9, np.uint8), np.ones((4, 4), bool)).tolist() == [[9] * 4] * 4


def test_exchange_outside_keeps_the_lungs() -> None:
    squares, _ = films()
    mask = lungs(squares[0])
    mixed = exchange_outside(squares[0], mask, squares[1], np.roll(mask, 3, axis=0))
    assert (mixed[mask] == squares[0][mask]).all()
    assert mixed[:6].mean() > squares[0][:6].mean() + 40


def test_no_film_with_lungs_gives_no_figures() -> None:
    squares, positive = films()
    none = np.zeros((SIDE, SIDE), bool)
    assert evaluate_causes(reader_of(~none), squares, positive, np.arange(20), lambda gray: none, 100) == []


def test_a_weighted_median_by_hand() -> None:
    values = np.array([3.0, 1.0, 2.0])
    assert weighted_median(values, np.array([[1.0, 1, 1], [5, 1, 1], [0, 3, 1]])).tolist() == [2, 3, 1]
