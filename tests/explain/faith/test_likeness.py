"""How alike two maps are, against scikit-image and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from lucency.explain.faith.likeness import GRID, rank_correlation, structure


def noise(seed: int, side: int = GRID) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1))
def test_structure_is_that_of_scikit_image(seed: int, share: float) -> None:
    one = np.abs(noise(seed))
    other = np.abs(share * one + (1 - share) * noise(seed + 1)).astype(np.float32)
    one, other = one / one.max(), other / other.max()
    expected = structural_similarity(one, other, win_size=7, data_range=1.0, use_sample_covariance=False)
    assert structure(one, other) == pytest.approx(expected, abs=1e-4)


def test_a_map_is_like_itself_whatever_its_scale() -> None:
    assert structure(np.abs(noise(0)), 5 * np.abs(noise(0))) == pytest.approx(1)
    assert rank_correlation(noise(0), np.exp(noise(0))) == pytest.approx(1)
    assert rank_correlation(noise(0), -noise(0)) == pytest.approx(-1)


def test_maps_of_different_sizes_are_brought_together() -> None:
    coarse = np.abs(noise(0, 4))
    from lucency.explain.faith.place import drawn

    assert rank_correlation(coarse, drawn(coarse, 32)) == pytest.approx(1)
    assert structure(coarse, drawn(coarse, GRID)) == pytest.approx(1, abs=1e-5)


def test_a_map_that_is_the_same_everywhere_is_like_nothing() -> None:
    assert rank_correlation(np.zeros((4, 4), np.float32), noise(0, 4)) == 0
    assert rank_correlation(np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)) == 0
    assert np.isfinite(structure(np.zeros((4, 4), np.float32), noise(0, 4)))


def test_noise_is_not_like_noise() -> None:
    assert abs(rank_correlation(noise(1), noise(2))) < 0.1
    assert abs(structure(np.abs(noise(1)), np.abs(noise(2)))) < 0.3
