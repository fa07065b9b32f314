"""Deletion and insertion, by hand on readers that are plain functions."""

from __future__ import annotations

import numpy as np
import pytest

from lucency.errors import ExplainError
from lucency.explain.faith.curves import STEPS, area, curves, ranking

SIDE = 20
FILM = np.zeros((SIDE, SIDE), np.uint8)
FILM[:5, :10] = 200  # 50 of 400 pixels: an eighth; the film's mean is 25


def corner(films: np.ndarray) -> np.ndarray:
    """1 where the bright corner is all there, 0 where none of it is brighter than the film's mean."""
    return ((films[:, :5, :10].astype(float) - 25).clip(0).mean((1, 2)) / 175).clip(0, 1)


def test_the_true_place_is_deleted_first() -> None:
    """An eighth of the film is covered after 2.5 steps: the curve is 1, 0.6, 0.2, 0, 0, …"""
    found = curves(corner, FILM, FILM.astype(np.float32))
    np.testing.assert_allclose(found.deletion[:4], [1, 0.6, 0.2, 0], atol=1e-6)
    assert not found.deletion[3:].any()
    assert found.deleted == pytest.approx((0.5 + 0.6 + 0.2) / STEPS)


def test_insertion_brings_the_true_place_back_first() -> None:
    good = curves(corner, FILM, FILM.astype(np.float32))
    bad = curves(corner, FILM, -FILM.astype(np.float32))
    assert good.insertion[3] == pytest.approx(1)
    assert good.inserted > bad.inserted
    assert good.deleted < bad.deleted


def test_both_ends_are_the_film_and_nothing_of_it() -> None:
    for evidence in (FILM.astype(np.float32), np.zeros((3, 3), np.float32)):
        found = curves(corner, FILM, evidence)
        assert found.deletion[0] == found.insertion[-1] == corner(FILM[None])[0]
        assert found.deletion[-1] == 0


def test_equal_evidence_is_taken_at_random() -> None:
    flat = np.zeros((30, 30), np.float32)
    assert sorted(ranking(flat, 0)) == list(range(900))
    assert (ranking(flat, 0) != ranking(flat, 1)).any()
    assert (ranking(np.arange(9.0).reshape(3, 3).astype(np.float32), 5) == np.arange(9)[::-1]).all()


def test_area() -> None:
    assert area(np.array([1.0, 1, 1])) == 1
    assert area(np.array([1.0, 0, 0])) == pytest.approx(0.25)


def test_a_film_of_one_pixel() -> None:
    found = curves(lambda films: films.mean((1, 2)) / 255, np.full((1, 1), 51, np.uint8), np.ones((1, 1), np.float32))
    assert found.deleted == pytest.approx(0.2)


def test_a_broken_reader() -> None:
    with pytest.raises(ExplainError, match="not a number"):
        curves(lambda films: np.full(len(films), np.nan), FILM, FILM.astype(np.float32))
