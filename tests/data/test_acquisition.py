"""Every statistic against films of which it is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.films import chest, lettered
from lucency.audit import measurements as facts
from lucency.data.acquisition import (
    ALL,
    MIDDLE,
    PARTS,
    SIDE,
    TONE,
    acquisition,
    bands_of,
    border,
    contrast,
    letters,
    noise,
    reacquire,
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


OWN, DONOR = chest(0, sharp=1.0), chest(1, sharp=2.0, level=30)


def given_by(part: str, square: NDArray[np.uint8], donor: NDArray[np.uint8], aspects: tuple[float, float] = (1, 1)):
    own, other = acquisition(square, aspects[0]), acquisition(donor, aspects[1])
    return reacquire(square, own, other, (part,), np.random.default_rng(0))


@pytest.mark.parametrize(("square", "donor"), [(OWN, DONOR), (DONOR, OWN)], ids=["sharpened", "blurred"])
def test_sharpness_becomes_the_donors(square: NDArray[np.uint8], donor: NDArray[np.uint8]) -> None:
    found = given_by("sharpness", square, donor)
    assert sharpness(found.astype(np.float32)) == pytest.approx(sharpness(donor.astype(np.float32)), rel=0.05)


@pytest.mark.parametrize("deviation", [0.0, 6.0], ids=["added", "taken away"])
def test_noise_becomes_the_donors(deviation: float) -> None:
    grain = np.random.default_rng(3).normal(0, 1, OWN.shape)
    square = (chest(0, sharp=0) + deviation * grain).clip(0, 255).astype(np.uint8)
    donor = (chest(1, sharp=0) + 3 * grain[::-1]).clip(0, 255).astype(np.uint8)
    found = given_by("noise", square, donor)
    assert noise(found.astype(np.float32)) == pytest.approx(noise(donor.astype(np.float32)), rel=0.1)


def test_tone_moves_its_share_of_the_way_and_keeps_the_order_of_grays() -> None:
    found = given_by("tone", OWN, DONOR)
    before, after, wanted = (tone(film.astype(np.float32)) for film in (OWN, found, DONOR))
    assert np.abs(after - (before + TONE * (wanted - before))).max() < 1.5
    order = [found[level == OWN].mean() for level in np.unique(OWN)]
    assert (np.diff(order) >= 0).all()


@pytest.mark.parametrize(("own", "donor"), [(1.2, 1.5), (1.5, 1.2)])
def test_aspect_squeezes_a_circle_by_the_ratio(own: float, donor: float) -> None:
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    square = np.where(np.hypot(x * own, y) < 60, 200, 50).astype(np.uint8)  # a circle, stretched to the square
    found = given_by("aspect", square, DONOR, (own, donor)) > 125
    across, down = found.any(axis=0).sum(), found.any(axis=1).sum()
    assert across / down == pytest.approx(1 / donor, rel=0.03)


@pytest.mark.parametrize(("square", "donor"), [(OWN, DONOR), (DONOR, OWN)], ids=["stronger", "fainter"])
def test_contrast_becomes_the_donors_scale_by_scale(square: NDArray[np.uint8], donor: NDArray[np.uint8]) -> None:
    found, wanted, before = (
        contrast(film.astype(np.float32)) for film in (given_by("contrast", square, donor), donor, square)
    )
    assert np.abs(before / wanted - 1).max() > 0.3
    assert found == pytest.approx(wanted, rel=0.1)


def test_the_same_aspect_changes_nothing() -> None:
    assert np.array_equal(given_by("aspect", OWN, DONOR, (1.3, 1.3)), OWN)


def test_border_becomes_the_donors() -> None:
    square, donor = OWN.copy(), DONOR.copy()
    square[:9], donor[:, :6], donor[-4:] = 0, 0, 0
    assert border(given_by("border", square, donor)) == (0, 4, 6, 0)


def test_letters_become_the_donors() -> None:
    square, donor = lettered(OWN, (16, 20)), lettered(DONOR, (180, 20))
    found = given_by("letters", square, donor)
    assert np.array_equal(found[letters(donor)], donor[letters(donor)])
    assert found[20:46, 16:40].max() < 120  # the R was 250


def test_erased_leaves_neither_letter_nor_border() -> None:
    square = lettered(OWN, (40, 40))
    square[:9] = 0
    found = given_by("erased", square, DONOR)
    assert border(found) == (0, 0, 0, 0)
    assert not letters(found).any()


def test_resolution_takes_the_finest_pattern_away() -> None:
    board = (np.indices((SIDE, SIDE)).sum(axis=0) % 2 * 100 + 80).astype(np.uint8)
    assert board.std() > 40
    assert given_by("resolution", board, DONOR)[4:-4, 4:-4].std() < 20


def test_jpeg_is_near() -> None:
    found = given_by("jpeg", OWN, DONOR)
    assert not np.array_equal(found, OWN)
    assert np.abs(found.astype(int) - OWN).mean() < 6


def test_all_together_take_every_statistic_to_the_donor() -> None:
    found = reacquire(OWN, acquisition(OWN, 1.2), acquisition(DONOR, 1.5), ALL, np.random.default_rng(0))
    wanted, before = (sharpness(film.astype(np.float32)) for film in (DONOR, OWN))
    assert abs(sharpness(found.astype(np.float32)) - wanted) < 0.1 * abs(before - wanted)


def test_same_draws_same_bytes_in_any_order() -> None:
    own, donor = acquisition(OWN, 1.2), acquisition(DONOR, 1.5)
    one, other, third = (
        reacquire(OWN, own, donor, parts, np.random.default_rng(seed))
        for parts, seed in ((ALL, 5), (tuple(reversed(ALL)), 5), (ALL, 6))
    )
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)


def test_what_one_part_draws_does_not_depend_on_the_others() -> None:
    own = acquisition(OWN, 1.0)
    noiseless = replace(own, noise=0.0)  # nothing is drawn away by a part that does nothing
    alone = reacquire(OWN, own, own, ("jpeg",), np.random.default_rng(5))
    with_aspect = reacquire(OWN, own, noiseless, ("aspect", "jpeg"), np.random.default_rng(5))
    assert np.array_equal(alone, with_aspect)


@pytest.mark.parametrize("part", [part for part in PARTS if part != "jpeg"])
def test_gray_in_three_channels_is_changed_as_gray(part: str) -> None:
    """Each channel by hand would be cut off at other grays, so only what is stored as JPEG differs."""
    square, donor = lettered(OWN, (40, 40)), lettered(DONOR, (180, 20))
    square[:9], donor[:, :6] = 0, 0
    gray = given_by(part, square, donor, (1.2, 1.5))
    found = given_by(part, np.repeat(square[:, :, None], 3, axis=2), donor, (1.2, 1.5))
    assert np.array_equal(found, np.repeat(gray[:, :, None], 3, axis=2))


def test_tone_keeps_the_hue() -> None:
    square = np.stack([OWN // 2 + 70, OWN // 2 + 40, OWN // 2 + 50], axis=2)
    found = given_by("tone", square, DONOR).astype(int)
    assert not np.array_equal(found, square)
    assert np.array_equal(found[:, :, 0] - found[:, :, 1], np.full(OWN.shape, 30))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 255), st.integers(0, 2**32 - 1), st.sampled_from([*PARTS, "all"]))
def test_any_film_gives_a_film(level: int, seed: int, part: str) -> None:
    rng = np.random.default_rng(seed)
    square = np.full((SIDE, SIDE), level, dtype=np.uint8)
    if seed % 2:
        square = rng.integers(0, level + 1, (SIDE, SIDE), dtype=np.uint8)
    own, donor = (acquisition(film, float(rng.uniform(0.5, 3))) for film in (square, np.roll(square, 7)[::-1]))
    found = reacquire(square, own, donor, ALL if part == "all" else (part,), rng)
    assert found.shape == square.shape
    assert found.dtype == np.uint8
