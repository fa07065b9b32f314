"""Maps against masks, by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import metrics as skimage_metrics
from sklearn.metrics import average_precision_score

from lucency.errors import ExplainError
from lucency.explain.measures import (
    GRID,
    STEPS,
    THRESHOLDS,
    area,
    average_precision,
    cross_fitted_iou,
    deletion_insertion,
    energy_inside,
    iou_by_threshold,
    pointing_game,
    rank_correlation,
    rank_pixels,
    structural_similarity,
    upsample,
)

EVIDENCE = np.array([[4, 1, -2], [1, 0, 0], [-9, 2, 2]], np.float32)
CORNER = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 0]], bool)


def test_pointing() -> None:
    assert pointing_game(EVIDENCE, CORNER) == 1
    assert pointing_game(EVIDENCE, ~CORNER) == 0
    two = np.array([[3, 3], [1, 0]], np.float32)
    assert pointing_game(two, np.array([[1, 0], [0, 0]], bool)) == 0.5


def test_pointing_near() -> None:
    """The strongest evidence lies 3 pixels right of the mask and 4 below it: 5 pixels away, and 5 is not nearer."""
    evidence, mask = np.zeros((9, 9), np.float32), np.zeros((9, 9), bool)
    evidence[6, 5], mask[:3, :3] = 1, True
    assert pointing_game(evidence, mask, tolerance=5) == 0
    assert pointing_game(evidence, mask, tolerance=5.01) == 1
    assert pointing_game(evidence, np.zeros((9, 9), bool), tolerance=5) == 0


def test_energy() -> None:
    """Evidence for: 4 + 1 + 1 + 2 + 2 = 10, of which 4 + 1 inside; what speaks against does not count."""
    assert energy_inside(EVIDENCE, CORNER) == pytest.approx(0.5)


def test_a_map_without_evidence_scores_zero() -> None:
    for silent in (np.zeros((3, 3), np.float32), np.full((3, 3), -1, np.float32)):
        assert pointing_game(silent, CORNER) == 0
        assert energy_inside(silent, CORNER) == 0
        assert not iou_by_threshold(silent, CORNER).any()


def test_overlap() -> None:
    """At 0.05 and 0.25 of the maximum 4, five places are in: 2 of 5 + 0 more of the mask. At 0.3 three: 1 of 4."""
    found = dict(zip(THRESHOLDS.round(2).tolist(), iou_by_threshold(EVIDENCE, CORNER), strict=True))
    assert found[0.05] == found[0.25] == pytest.approx(2 / 5)
    assert found[0.3] == found[0.5] == pytest.approx(1 / 4)
    assert found[0.55] == found[0.95] == pytest.approx(1 / 2)


def test_constant_evidence_scores_the_masks_share() -> None:
    even = np.ones((3, 3), np.float32)
    for measure in (pointing_game, energy_inside, average_precision):
        assert measure(even, CORNER) == pytest.approx(2 / 9)
    assert iou_by_threshold(even, CORNER) == pytest.approx(2 / 9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_average_precision_equals_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    evidence = rng.integers(-3, 4, (9, 9)).astype(np.float32)  # with ties
    mask = rng.random((9, 9)) < 0.3
    mask[0, 0] = True
    expected = average_precision_score(mask.ravel(), evidence.ravel())
    assert average_precision(evidence, mask) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_measures_lie_between_0_and_1(seed: int) -> None:
    rng = np.random.default_rng(seed)
    evidence = rng.normal(size=(8, 8)).astype(np.float32)
    mask = rng.random((8, 8)) < 0.4
    mask[0, 0] = True
    inside = np.where(mask, np.abs(evidence) + 1, -1).astype(np.float32)
    for measure in (pointing_game, energy_inside, average_precision, lambda e, m: iou_by_threshold(e, m)[0]):
        assert 0 <= measure(evidence, mask) <= 1
        assert measure(inside, mask) == pytest.approx(1)


def test_the_threshold_is_chosen_on_other_patients() -> None:
    """Films of patients in one half are best at share 3, of the other at share 10: each gets the other's."""
    groups = np.arange(10)
    half = np.isin(groups, np.random.default_rng(0).permutation(groups)[:5])
    table = np.zeros((10, 19))
    table[half, 3], table[half, 10] = 0.9, 0.2
    table[~half, 3], table[~half, 10] = 0.1, 0.8
    assert cross_fitted_iou(table, groups) == pytest.approx(np.where(half, 0.2, 0.1))


def test_one_patient_has_no_cross_fitted_iou() -> None:
    assert np.isnan(cross_fitted_iou(np.ones((3, 19)), np.zeros(3, np.int64))).all()


def test_upsample_is_linear_and_does_not_overshoot() -> None:
    found = upsample(np.array([[0, 1]], np.float32).repeat(2, axis=0), 4)
    np.testing.assert_allclose(found, np.tile([0, 0.25, 0.75, 1], (4, 1)), atol=1e-6)
    assert upsample(np.full((1, 1), 3, np.float32), 5).tolist() == np.full((5, 5), 3).tolist()


SIDE = 20
FILM = np.zeros((SIDE, SIDE), np.uint8)
FILM[:5, :10] = 200  # 50 of 400 pixels: an eighth; the film's mean is 25


def corner(films: np.ndarray) -> np.ndarray:
    """1 where the bright corner is all there, 0 where none of it is brighter than the film's mean."""
    return ((films[:, :5, :10].astype(float) - 25).clip(0).mean((1, 2)) / 175).clip(0, 1)


def test_deletion_of_a_correct_map() -> None:
    """An eighth of the film is covered after 2.5 steps: the curve is 1, 0.6, 0.2, 0, 0, …"""
    found = deletion_insertion(corner, FILM, FILM.astype(np.float32))
    np.testing.assert_allclose(found.deletion[:4], [1, 0.6, 0.2, 0], atol=1e-6)
    assert not found.deletion[3:].any()
    assert found.deletion_auc == pytest.approx((0.5 + 0.6 + 0.2) / STEPS)


def test_insertion_of_a_correct_map() -> None:
    good = deletion_insertion(corner, FILM, FILM.astype(np.float32))
    bad = deletion_insertion(corner, FILM, -FILM.astype(np.float32))
    assert good.insertion[3] == pytest.approx(1)
    assert good.insertion_auc > bad.insertion_auc
    assert good.deletion_auc < bad.deletion_auc


def test_curves_start_and_end_at_film_and_blank() -> None:
    for evidence in (FILM.astype(np.float32), np.zeros((3, 3), np.float32)):
        found = deletion_insertion(corner, FILM, evidence)
        assert found.deletion[0] == found.insertion[-1] == corner(FILM[None])[0]
        assert found.deletion[-1] == 0


def test_ties_are_broken_at_random() -> None:
    flat = np.zeros((30, 30), np.float32)
    assert sorted(rank_pixels(flat, 0)) == list(range(900))
    assert (rank_pixels(flat, 0) != rank_pixels(flat, 1)).any()
    assert (rank_pixels(np.arange(9.0).reshape(3, 3).astype(np.float32), 5) == np.arange(9)[::-1]).all()


def test_area() -> None:
    assert area(np.array([1.0, 1, 1])) == 1
    assert area(np.array([1.0, 0, 0])) == pytest.approx(0.25)


def test_a_film_of_one_pixel() -> None:
    found = deletion_insertion(
        lambda films: films.mean((1, 2)) / 255, np.full((1, 1), 51, np.uint8), np.ones((1, 1), np.float32)
    )
    assert found.deletion_auc == pytest.approx(0.2)


def test_a_reader_that_returns_nan_raises() -> None:
    with pytest.raises(ExplainError, match="not a number"):
        deletion_insertion(lambda films: np.full(len(films), np.nan), FILM, FILM.astype(np.float32))


def noise(seed: int, side: int = GRID) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1))
def test_structural_similarity_equals_scikit_images(seed: int, share: float) -> None:
    one = np.abs(noise(seed))
    other = np.abs(share * one + (1 - share) * noise(seed + 1)).astype(np.float32)
    one, other = one / one.max(), other / other.max()
    expected = skimage_metrics.structural_similarity(
        one, other, win_size=7, data_range=1.0, use_sample_covariance=False
    )
    assert structural_similarity(one, other) == pytest.approx(expected, abs=1e-4)


def test_similarity_ignores_scale() -> None:
    assert structural_similarity(np.abs(noise(0)), 5 * np.abs(noise(0))) == pytest.approx(1)
    assert rank_correlation(noise(0), np.exp(noise(0))) == pytest.approx(1)
    assert rank_correlation(noise(0), -noise(0)) == pytest.approx(-1)


def test_maps_of_different_sizes_are_compared() -> None:
    coarse = np.abs(noise(0, 4))
    assert rank_correlation(coarse, upsample(coarse, 32)) == pytest.approx(1)
    assert structural_similarity(coarse, upsample(coarse, GRID)) == pytest.approx(1, abs=1e-5)


def test_a_constant_map_has_no_correlation() -> None:
    assert rank_correlation(np.zeros((4, 4), np.float32), noise(0, 4)) == 0
    assert rank_correlation(np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)) == 0
    assert np.isfinite(structural_similarity(np.zeros((4, 4), np.float32), noise(0, 4)))


def test_independent_noise_is_dissimilar() -> None:
    assert abs(rank_correlation(noise(1), noise(2))) < 0.1
    assert abs(structural_similarity(np.abs(noise(1)), np.abs(noise(2)))) < 0.3
