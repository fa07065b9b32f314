"""Every statistic against films of which it is known."""

from __future__ import annotations

import numpy as np
import pytest

from data.films import chest, lettered
from lucency.audit import measurements as facts
from lucency.data.acquisition import (
    MIDDLE,
    SIDE,
    acquisition,
    bands_of,
    border,
    contrast,
    letters,
    noise,
    sharpness,
    tone,
)


def test_sharpness_is_the_audits() -> None:
    square = chest(0)
    assert sharpness(square.astype(np.float32)) == pytest.approx(facts.sharpness(square), rel=1e-6)


@pytest.mark.parametrize("deviation", [0.5, 2.0, 8.0])
def test_noise_is_recovered_over_a_ramp_and_an_edge(deviation: float) -> None:
    ramp = np.add.outer(np.arange(SIDE), 2 * np.arange(SIDE)) * 0.2
    ramp[:, SIDE // 2 :] += 60
    grain = np.random.default_rng(0).normal(0, deviation, ramp.shape)
    assert noise(ramp.astype(np.float32)) == pytest.approx(0, abs=1e-3)
    assert noise((ramp + grain).astype(np.float32)) == pytest.approx(deviation, rel=0.05)


def test_border_counts_black_lines() -> None:
    square = chest(0)
    square[:5], square[-3:], square[:, :7] = 0, 4, 8
    assert border(square) == (5, 3, 7, 0)
    assert border(np.zeros_like(square)) == (SIDE // 5,) * 4


def test_tone_rises_and_leaves_the_edge_out() -> None:
    square = chest(0)
    framed = square.copy()
    framed[:20] = 0
    levels = tone(square.astype(np.float32))
    assert (np.diff(levels) >= 0).all()
    assert levels[len(levels) // 2] == pytest.approx(np.median(square), abs=4)
    assert np.array_equal(levels, tone(framed.astype(np.float32)))


def test_a_letter_is_found_where_it_stands_and_nothing_else() -> None:
    square = lettered(chest(0), (16, 20))
    found = letters(square)
    assert not letters(chest(0)).any()
    assert found[20:46, 16:40].sum() > 20
    found[20:46, 16:40] = False
    assert not found.any()


def test_no_letter_is_looked_for_in_the_middle() -> None:
    square = lettered(chest(0), (SIDE // 2, SIDE // 2))
    assert not letters(square)[MIDDLE, MIDDLE].any()


def test_ribs_are_not_letters() -> None:
    square = chest(0, sharp=0)
    for row in range(20, SIDE - 20, 24):  # thin bright stripes that cross the film
        square[row : row + 4] = 230
    assert not letters(square).any()


def test_acquisition_holds_the_letters_gray() -> None:
    square = lettered(chest(0), (16, 20))
    found = acquisition(square, 1.3)
    assert found.aspect == 1.3
    assert np.array_equal(found.marks[found.marks > 0], square[letters(square)])


@pytest.mark.parametrize(("wave", "scale"), [(6, 0), (12, 1), (28, 2)])
def test_contrast_is_of_its_scale_and_zone(wave: int, scale: int) -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    ramp = 40 + 160 * x / SIDE  # dark at the left, bright at the right, with no edge between
    found = contrast((ramp + 20 * np.sin(2 * np.pi * y / wave) * (x > 0.6 * SIDE)).astype(np.float32))
    assert found[:, 1].argmax() == scale
    assert found[scale, 1] > 3 * found[scale, 0]


def test_bands_add_up_to_the_film() -> None:
    gray = chest(3).astype(np.float32)
    finest, bands, base = bands_of(gray)
    assert np.abs(finest + sum(bands) + base - gray).max() < 1e-3
