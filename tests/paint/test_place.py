"""The map lies where the network looked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lucency.errors import ExplainError
from lucency.paint.place import placed, window
from lucency.preprocess import Fit, Preprocess, fitted

MAPS = arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(-20, 20, width=32))


@pytest.mark.parametrize(
    ("fit", "expected"),
    [("stretch", (0, 0, 6, 4)), ("crop", (1, 0, 5, 4)), ("pad", (0, -1, 6, 5))],
)
def test_window_of_a_film_4_high_6_wide(fit: Fit, expected: tuple[int, int, int, int]) -> None:
    assert window(Preprocess(32, fit), 4, 6) == expected


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(["stretch", "crop", "pad"]))
def test_window_is_what_the_preprocessing_cuts(height: int, width: int, fit: Fit) -> None:
    film = 1 + np.arange(height * width, dtype=np.uint8).reshape(height, width)
    left, top, right, bottom = window(Preprocess(32, fit), height, width)
    on_black = np.pad(film, 9)[9 + top : 9 + bottom, 9 + left : 9 + right]
    assert (fitted(film, fit) == on_black).all()


def test_stretch_covers_the_film_cell_by_cell() -> None:
    seen = np.asarray(placed(np.array([[-10.0, 10]], np.float32), Preprocess(), 2, 4, 10, smooth=False))
    assert seen.tolist() == [[1, 1, 255, 255]] * 2


def test_crop_leaves_the_flanks_unseen() -> None:
    seen = np.asarray(placed(np.full((2, 2), 10, np.float32), Preprocess(fit="crop"), 2, 4, 10))
    assert seen.tolist() == [[0, 255, 255, 0]] * 2


def test_pad_drops_what_lay_off_the_film() -> None:
    rows = np.array([[10.0] * 4, [-10.0] * 4, [0.0] * 4, [10.0] * 4], np.float32)
    seen = np.asarray(placed(rows, Preprocess(fit="pad"), 2, 4, 10, smooth=False))
    assert seen.tolist() == [[1] * 4, [128] * 4]


@settings(deadline=None)
@given(MAPS, st.integers(1, 40), st.integers(1, 40), st.sampled_from(["stretch", "crop", "pad"]), st.data())
def test_more_evidence_is_nowhere_drawn_colder(
    evidence: np.ndarray, height: int, width: int, fit: Fit, data: st.DataObject
) -> None:
    more = data.draw(arrays(np.float32, evidence.shape, elements=st.floats(0, 20, width=32)))
    preprocess = Preprocess(fit=fit)
    low = np.asarray(placed(evidence, preprocess, height, width)).astype(int)
    high = np.asarray(placed(evidence + more, preprocess, height, width)).astype(int)
    assert (high >= low).all()
    assert low.shape == (height, width)


@settings(deadline=None)
@given(MAPS)
def test_smoothing_never_overshoots(evidence: np.ndarray) -> None:
    level = np.asarray(placed(evidence, Preprocess(), 31, 17, 20.0)).astype(int)
    cells = np.asarray(placed(evidence, Preprocess(), *evidence.shape, 20.0, smooth=False)).astype(int)
    assert level.min() >= cells.min()
    assert level.max() <= cells.max()


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 2, 2)])
def test_a_map_has_two_sides(shape: tuple[int, ...]) -> None:
    with pytest.raises(ExplainError, match="at least one cell"):
        placed(np.zeros(shape, np.float32), Preprocess(), 4, 4)


def test_nan_is_refused_even_where_cropping_would_hide_it() -> None:
    evidence = np.zeros((4, 4), np.float32)
    evidence[0, 0] = np.nan
    with pytest.raises(ExplainError, match="not numbers"):
        placed(evidence, Preprocess(fit="pad"), 2, 8)
