from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.exposure import equalize_hist

from lucency.data.clahe import TILES, clahe


def noise(height: int, width: int, low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (height, width), dtype=np.uint8)


def test_parts_that_are_alike_are_equalised_as_one() -> None:
    """Without a limit, and with the same pixels in each part, it is the histogram equalisation of the film."""
    gray = np.tile(noise(16, 12, 60, 140), (TILES, TILES))
    assert np.abs(clahe(gray, 256.0) - 255 * equalize_hist(gray, nbins=256)).max() <= 1.01  # its bins are narrower


def test_a_limit_of_one_leaves_straight_curves() -> None:
    gray = np.tile(np.arange(256, dtype=np.uint8).reshape(16, 16), (TILES, TILES))
    assert np.abs(clahe(gray, 1.0).astype(int) - gray).max() <= 1


def test_faint_detail_grows_with_the_limit() -> None:
    faint = noise(64, 64, 100, 110)
    spreads = [clahe(faint, limit).std() for limit in (1.0, 2.0, 4.0)]
    assert faint.std() <= spreads[0] + 1 < spreads[1] < spreads[2]


def test_each_part_has_a_curve_of_its_own() -> None:
    """A film with a dark and a bright half, each flat: both become wide."""
    film = np.hstack([noise(64, 32, 20, 40), noise(64, 32, 200, 220)])
    even = clahe(film, 4.0)
    for half in (slice(0, 24), slice(40, 64)):
        assert even[:, half].std() > 2 * film[:, half].std()


@given(height=st.integers(8, 70), width=st.integers(8, 70), limit=st.floats(1, 40))
@settings(max_examples=30, deadline=None)
def test_any_size_keeps_its_size(height: int, width: int, limit: float) -> None:
    gray = noise(height, width)
    before = gray.copy()
    assert clahe(gray, limit).shape == gray.shape
    assert np.array_equal(gray, before)


@pytest.mark.parametrize("level", [0, 90, 255])
def test_an_even_film_stays_even(level: int) -> None:
    assert len(np.unique(clahe(np.full((40, 40), level, dtype=np.uint8), 2.0))) == 1
