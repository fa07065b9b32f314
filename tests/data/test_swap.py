"""Acquisition dealt to all classes alike: by hand, by limit and by law."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lucency.data.augment import Jitter, apply
from lucency.data.swap import levels_like, swapped
from lucency.recipe import AugmentSettings

DARK = np.repeat(np.arange(0, 64, dtype=np.uint8), 64).reshape(64, 64)
BRIGHT = (DARK + 128).astype(np.uint8)


def _bright(_: np.random.Generator) -> NDArray[np.uint8]:
    return BRIGHT


def test_shapes_of_two_classes_meet_in_the_middle() -> None:
    # true 1.0 and 4.0: things look as wide as in a film of true 2.0, so the first narrows by half, the second widens
    settings = AugmentSettings(aspect_of_class=(1.0, 4.0))
    rng = np.random.default_rng(0)
    found = [swapped(Jitter(), settings, DARK, label, _bright, rng).aspect for label in (0, 1)]
    assert found == pytest.approx([0.5, 2.0])


@pytest.mark.parametrize(("label", "true_aspect"), [(0, 1.21), (1, 1.50)])
def test_a_disc_looks_alike_whatever_the_class(label: int, true_aspect: float) -> None:
    # A round thing on a film of this shape, stretched to a square: its width over height afterwards, by its pixels.
    side = 256
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    disc = np.where((x * true_aspect) ** 2 + y**2 < 40**2, 255, 0).astype(np.uint8)
    settings = AugmentSettings(aspect_of_class=(1.21, 1.50))
    jitter = swapped(Jitter(), settings, disc, label, _bright, np.random.default_rng(0))
    seen = apply(jitter, disc, side, "stretch") > 127
    width, height = seen.any(axis=0).sum(), seen.any(axis=1).sum()
    assert width / height == pytest.approx(1 / sqrt(1.21 * 1.50), abs=0.03)


def test_a_tone_swap_takes_on_the_other_histogram() -> None:
    levels = levels_like(DARK, BRIGHT, 1.0)
    assert np.array_equal(np.frombuffer(levels, np.uint8)[DARK], BRIGHT)


@given(st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_levels_ascend(share: float, seed: int) -> None:
    first, second = np.random.default_rng(seed).integers(0, 256, (2, 8, 8), dtype=np.uint8)
    levels = np.frombuffer(levels_like(first, second, share), np.uint8).astype(int)
    assert len(levels) == 256
    assert (np.diff(levels) >= 0).all()


def test_no_share_of_the_way_changes_nothing() -> None:
    assert levels_like(DARK, BRIGHT, 0.0) == bytes(range(256))


def test_how_often_tone_is_swapped() -> None:
    settings = AugmentSettings(swap_tone=0.5)
    rng = np.random.default_rng(0)
    hit = [bool(swapped(Jitter(), settings, DARK, 0, _bright, rng).levels) for _ in range(1000)]
    assert 0.45 < np.mean(hit) < 0.55  # three standard deviations


def test_settings_that_swap_nothing_leave_the_jitter() -> None:
    jitter = Jitter(aspect=1.2, zoom=0.9)
    assert swapped(jitter, AugmentSettings(), DARK, 1, _bright, np.random.default_rng(0)) == jitter
