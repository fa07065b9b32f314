from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucency.data.augment import Jitter, apply, draw, kept_box
from lucency.film import Film
from lucency.preprocess import RESIZE_MODES, Preprocess, ResizeMode
from lucency.recipe import AugmentSettings

EVERYTHING = AugmentSettings(
    aspect=(0.64, 1.57),
    zoom=(0.7, 1.0),
    rotate=15,
    gamma=(0.7, 1.4),
    contrast=(0.7, 1.3),
    brightness=20,
    sharpness=(-1.5, 2.0),
    resample=(0.4, 1.0),
    noise=10,
    erase=0.5,
    clahe=0.5,
)


def film(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


@pytest.mark.parametrize("fit", RESIZE_MODES)
@given(height=st.integers(8, 60), width=st.integers(8, 60))
@settings(max_examples=40, deadline=None)
def test_the_jitter_that_changes_nothing_gives_the_bytes_of_preprocess(
    fit: ResizeMode, height: int, width: int
) -> None:
    gray = film(height, width)
    assert np.array_equal(apply(Jitter(), gray, 24, fit), Preprocess(24, fit)(Film(gray)))


def test_settings_that_change_nothing_draw_a_jitter_that_changes_nothing() -> None:
    drawn = draw(AugmentSettings(), np.random.default_rng(1))
    assert replace(drawn, across=0.5, down=0.5, noise_seed=0) == Jitter()
    gray = film(30, 40)
    assert np.array_equal(apply(drawn, gray, 20, "stretch"), apply(Jitter(), gray, 20, "stretch"))


@pytest.mark.parametrize("fit", RESIZE_MODES)
@given(seed=st.integers(0, 10_000), height=st.integers(20, 60), width=st.integers(20, 60))
@settings(max_examples=40, deadline=None)
def test_whatever_is_drawn_gives_a_square_and_the_same_one_again(
    fit: ResizeMode, seed: int, height: int, width: int
) -> None:
    jitter = draw(EVERYTHING, np.random.default_rng(seed))
    gray = film(height, width)
    before = gray.copy()
    seen = apply(jitter, gray, 24, fit)
    assert seen.shape == (24, 24)
    assert seen.dtype == np.uint8
    assert np.array_equal(seen, apply(jitter, gray, 24, fit))
    assert np.array_equal(gray, before)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_stretch_and_crop_never_look_beyond_the_film(seed: int) -> None:
    jitter = draw(EVERYTHING, np.random.default_rng(seed))
    for fit in ("stretch", "crop"):
        left, top, right, bottom = kept_box(jitter, 50, 40, fit)
        assert left >= -1e-9
        assert top >= -1e-9
        assert right <= 50 + 1e-9
        assert bottom <= 40 + 1e-9


def test_the_box_by_hand() -> None:
    # a film seen twice as wide: half its width is kept, all of its height, from the left when across is 0
    assert kept_box(Jitter(aspect=2.0, across=0.0), 100, 80, "stretch") == (0, 0, 50, 80)
    # half as wide: half its height is kept, from the bottom when down is 1
    assert kept_box(Jitter(aspect=0.5, down=1.0), 100, 80, "stretch") == (0, 40, 100, 80)
    assert kept_box(Jitter(), 100, 80, "crop") == (10, 0, 90, 80)
    assert kept_box(Jitter(), 100, 80, "pad") == (0, -10, 100, 90)


def test_the_box_within_a_frame_by_hand() -> None:
    frame = (0.25, 0.5, 0.75, 1.0)  # of 100 × 80 pixels: 25 to 75 and 40 to 80
    assert kept_box(Jitter(), 100, 80, "stretch", frame) == (25, 40, 75, 80)
    assert kept_box(Jitter(zoom=0.5), 100, 80, "stretch", frame) == (37.5, 50, 62.5, 70)
    # twice the frame is shown, as far as there is film
    assert kept_box(Jitter(zoom=2.0), 100, 80, "stretch", frame) == (0, 20, 100, 80)


def test_a_framed_film_is_the_frame_stretched() -> None:
    gray = film(40, 60)
    inner = apply(Jitter(), np.ascontiguousarray(gray[10:30, 15:45]), 16, "stretch")
    assert np.array_equal(apply(Jitter(), gray, 16, "stretch", (0.25, 0.25, 0.75, 0.75)), inner)


def test_a_wider_aspect_makes_things_wider() -> None:
    gray = np.zeros((60, 60), dtype=np.uint8)
    gray[20:40, 20:40] = 255
    wide = apply(Jitter(aspect=1.5), gray, 60, "stretch") > 127
    assert wide.any(axis=0).sum() == pytest.approx(30, abs=1)
    assert wide.any(axis=1).sum() == pytest.approx(20, abs=1)


def test_left_stays_left() -> None:
    gray = np.tile(np.linspace(220, 40, 40).astype(np.uint8), (40, 1))  # falls from left to right, wherever it is cut
    rng = np.random.default_rng(0)
    plain = EVERYTHING.model_copy(update={"erase": 0.0, "rotate": 0.0})  # a turn brings black corners
    for _ in range(50):
        seen = apply(draw(plain, rng), gray, 40, "stretch").astype(float)
        assert seen[:, :10].mean() > seen[:, 30:].mean()


def test_tone_by_hand() -> None:
    gray = np.array([[0, 51], [127, 255]], dtype=np.uint8)
    # gamma 2 on 51/255 = 0.2 gives 0.04 · 255 = 10.2
    assert apply(Jitter(gamma=2.0), gray, 2, "stretch")[0, 1] == 10
    # contrast 0.5 pulls towards 127.5: 0 becomes 63.75, 255 becomes 191.25
    half = apply(Jitter(contrast=0.5), gray, 2, "stretch")
    assert (half[0, 0], half[1, 1]) == (64, 191)
    assert apply(Jitter(brightness=10), gray, 2, "stretch")[1, 1] == 255


def test_noise_has_the_stated_spread_and_no_bias() -> None:
    gray = np.full((200, 200), 128, dtype=np.uint8)
    noisy = apply(Jitter(noise=8.0), gray, 200, "stretch").astype(float)
    assert noisy.std() == pytest.approx(8, rel=0.03)
    assert noisy.mean() == pytest.approx(128, abs=0.2)


def test_an_erased_patch_has_one_gray_and_the_rest_is_untouched() -> None:
    gray = film(40, 40)
    seen = apply(Jitter(erase=((0.0, 0.0, 0.25, 0.2, 7),)), gray, 40, "stretch")
    assert (seen[:8, :10] == 7).all()
    assert np.array_equal(seen[8:], gray[8:])
    assert np.array_equal(seen[:, 10:], gray[:, 10:])


def test_resampling_takes_sharpness_and_keeps_the_mean() -> None:
    gray = film(64, 64)
    soft = apply(Jitter(resample=0.25), gray, 64, "stretch").astype(float)
    assert np.abs(np.diff(soft)).mean() < 0.3 * np.abs(np.diff(gray.astype(float))).mean()
    assert soft.mean() == pytest.approx(gray.mean(), abs=2)


def test_sharpness_blurs_below_zero_and_raises_edges_above() -> None:
    step = np.repeat(np.uint8([[60] * 30 + [180] * 30]), 60, axis=0)
    rise = {
        amount: int(np.abs(np.diff(apply(Jitter(sharpness=amount), step, 60, "stretch")[30].astype(int))).max())
        for amount in (-1.5, 0.0, 1.0)
    }
    assert rise[-1.5] < rise[0.0] == 120 < rise[1.0]


def test_levels_are_looked_up() -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    turned = bytes(range(255, -1, -1))
    assert np.array_equal(apply(Jitter(levels=turned), gray, 16, "stretch"), 255 - gray)
