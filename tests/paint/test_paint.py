"""The map lies where the network looked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from lucency.errors import ExplainError
from lucency.paint import AGAINST, FOR, NEITHER, TOP, ZERO, blend, colourise, colourmap, levels, place_map, window
from lucency.preprocess import Preprocess, ResizeMode, crop_or_pad

MAPS = arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(-20, 20, width=32))


@pytest.mark.parametrize(
    ("fit", "expected"),
    [("stretch", (0, 0, 6, 4)), ("crop", (1, 0, 5, 4)), ("pad", (0, -1, 6, 5))],
)
def test_window_of_a_film_4_high_6_wide(fit: ResizeMode, expected: tuple[int, int, int, int]) -> None:
    assert window(Preprocess(32, fit), 4, 6) == expected


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(["stretch", "crop", "pad"]))
def test_window_is_what_the_preprocessing_cuts(height: int, width: int, fit: ResizeMode) -> None:
    film = 1 + np.arange(height * width, dtype=np.uint8).reshape(height, width)
    left, top, right, bottom = window(Preprocess(32, fit), height, width)
    on_black = np.pad(film, 9)[9 + top : 9 + bottom, 9 + left : 9 + right]
    assert (crop_or_pad(film, fit) == on_black).all()


def test_stretch_covers_the_film_cell_by_cell() -> None:
    placed = np.asarray(place_map(np.array([[-10.0, 10]], np.float32), Preprocess(), 2, 4, 10, smooth=False))
    assert placed.tolist() == [[1, 1, 255, 255]] * 2


def test_crop_leaves_the_flanks_without_evidence() -> None:
    placed = np.asarray(place_map(np.full((2, 2), 10, np.float32), Preprocess(resize_mode="crop"), 2, 4, 10))
    assert placed.tolist() == [[0, 255, 255, 0]] * 2


def test_pad_drops_evidence_outside_the_film() -> None:
    rows = np.array([[10.0] * 4, [-10.0] * 4, [0.0] * 4, [10.0] * 4], np.float32)
    placed = np.asarray(place_map(rows, Preprocess(resize_mode="pad"), 2, 4, 10, smooth=False))
    assert placed.tolist() == [[1] * 4, [128] * 4]


@settings(deadline=None)
@given(MAPS, st.integers(1, 40), st.integers(1, 40), st.sampled_from(["stretch", "crop", "pad"]), st.data())
def test_more_evidence_is_drawn_hotter(
    evidence: np.ndarray, height: int, width: int, fit: ResizeMode, data: st.DataObject
) -> None:
    more = data.draw(arrays(np.float32, evidence.shape, elements=st.floats(0, 20, width=32)))
    preprocess = Preprocess(resize_mode=fit)
    low = np.asarray(place_map(evidence, preprocess, height, width)).astype(int)
    high = np.asarray(place_map(evidence + more, preprocess, height, width)).astype(int)
    assert (high >= low).all()
    assert low.shape == (height, width)


@settings(deadline=None)
@given(MAPS)
def test_smoothing_never_overshoots(evidence: np.ndarray) -> None:
    level = np.asarray(place_map(evidence, Preprocess(), 31, 17, 20.0)).astype(int)
    cells = np.asarray(place_map(evidence, Preprocess(), *evidence.shape, 20.0, smooth=False)).astype(int)
    assert level.min() >= cells.min()
    assert level.max() <= cells.max()


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 2, 2)])
def test_a_map_must_be_2d(shape: tuple[int, ...]) -> None:
    with pytest.raises(ExplainError, match="at least one cell"):
        place_map(np.zeros(shape, np.float32), Preprocess(), 4, 4)


def test_nan_outside_the_crop_raises() -> None:
    evidence = np.zeros((4, 4), np.float32)
    evidence[0, 0] = np.nan
    with pytest.raises(ExplainError, match="not finite"):
        place_map(evidence, Preprocess(resize_mode="pad"), 2, 8)


# Machado, Oliveira & Fernandes 2009, table of simulation matrices at severity 1.0 (linear RGB).
WITHOUT_A_CONE = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


ROUNDING = 0.1
"""What rounding a channel to a byte moves L*; a difference of 1 is just noticeable."""


def linear(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """SRGB bytes to linear light, IEC 61966-2-1."""
    share = colours / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lightness(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE 1976 L* from linear sRGB light."""
    luminance = np.clip(light @ [0.2126, 0.7152, 0.0722], 0, None)
    return np.where(luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * 24389 / 27)


def test_levels_by_hand() -> None:
    assert levels(np.array([-20.0, -10, -5, 0, 5, 10, 20]), 10).tolist() == [1, 1, 64, 128, 192, 255, 255]


def test_ends_of_the_ramp() -> None:
    colours = colourmap()
    assert [tuple(map(int, colours[level])) for level in (1, ZERO, TOP)] == [AGAINST, NEITHER, FOR]


def test_lightness_is_monotone() -> None:
    order = lightness(linear(colourmap()[1:]))
    assert (np.diff(order) > -ROUNDING).all()
    assert (order[4:] > order[:-4]).all()
    assert np.diff(order).max() < 4 * np.median(
        np.diff(order)
    )  # no jump that would draw an edge where the evidence has none


@pytest.mark.parametrize("missing", WITHOUT_A_CONE)
def test_lightness_is_monotone_for_the_colour_blind(missing: str) -> None:
    perceived = np.clip(linear(colourmap()[1:]) @ np.array(WITHOUT_A_CONE[missing]).T, 0, 1)
    order = lightness(perceived)
    assert (np.diff(order) > -ROUNDING).all()
    assert order[-1] - order[ZERO - 1] > 20
    assert order[ZERO - 1] - order[0] > 20


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(1e-3, 1e3), st.integers(0, 255))
def test_colours_are_monotone(one: float, other: float, limit: float, gray: int) -> None:
    """Over any film, red minus blue follows the evidence; alone, so does lightness."""
    cold, hot = sorted((one, other))
    level = Image.fromarray(levels(np.array([[cold, hot]]), limit))
    over = np.asarray(blend(Image.new("L", (2, 1), gray), level)).astype(int)[0]
    heat = over[:, 0] - over[:, 2]
    assert heat[1] >= heat[0] - 1  # each channel is rounded once
    if min(hot, limit) - max(cold, -limit) > limit / 8:
        assert heat[1] > heat[0]
    alone = lightness(linear(np.asarray(colourise(level))))[0]
    assert alone[1] >= alone[0] - ROUNDING


def test_zero_evidence_leaves_the_film_unchanged() -> None:
    film = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    for level in (0, ZERO):
        assert blend(film, Image.new("L", (16, 16), level)).tobytes() == film.convert("RGB").tobytes()


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_raise(broken: float) -> None:
    with pytest.raises(ExplainError, match="not finite"):
        levels(np.array([[0.0, broken]]))


@pytest.mark.parametrize("limit", [0.0, -1.0, np.nan, np.inf])
def test_a_limit_must_be_positive(limit: float) -> None:
    with pytest.raises(ExplainError, match="above zero"):
        levels(np.zeros((2, 2)), limit)
