"""Duplicates in any encoding and orientation."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from lucency.audit.appearance import (
    NEAR,
    ORIENTATIONS,
    UPRIGHT,
    DuplicatePair,
    duplicate_groups,
    find_duplicates,
    principal_axes,
    reorient,
    standardise,
)
from lucency.audit.measurements import measure_films
from lucency.data.phantom import draw

from .films import films_of, jpeg

CHESTS = [draw((11, patient), patient % 2 == 1, 128).film for patient in range(24)]


def pairs(pixels: list[NDArray[np.uint8]]) -> list[DuplicatePair]:
    return list(find_duplicates(measure_films(films_of(pixels, [0] * len(pixels)))))


def test_different_chests_are_different() -> None:
    assert pairs(CHESTS) == []


def test_identical_near_and_processed() -> None:
    compressed = np.asarray(Image.open(io.BytesIO(jpeg(CHESTS[1], 95))))
    darker = (CHESTS[2] * 0.6 + 10).astype(np.uint8)
    smaller = np.asarray(Image.fromarray(CHESTS[3]).resize((100, 100), Image.Resampling.BICUBIC))
    found = pairs([*CHESTS, CHESTS[0], compressed, darker, smaller])
    assert [(pair.first, pair.second) for pair in found] == [(0, 24), (1, 25), (2, 26), (3, 27)]
    assert [pair.kind for pair in found[:3]] == ["identical", "near", "processed"]
    assert found[3].kind in ("near", "processed")
    assert found[0].difference == 0
    assert 0 < found[1].difference < NEAR
    assert all(pair.orientation == UPRIGHT for pair in found)


@pytest.mark.parametrize("turn", [turn for turn in ORIENTATIONS if turn != UPRIGHT])
def test_every_orientation_is_found(turn: str) -> None:
    square = np.asarray(Image.fromarray(CHESTS[5]).resize((128, 128)))
    copy = reorient(square[None], turn)[0]
    (found,) = [pair for pair in pairs([square, *CHESTS[6:12], copy]) if pair.second == 7]
    assert found.kind == "turned"
    # The reorientation of the copy restores the film.
    np.testing.assert_array_equal(reorient(copy[None], found.orientation)[0], square)


def test_blank_films_are_duplicates_only_if_identical() -> None:
    blank = [np.full((64, 64), level, dtype=np.uint8) for level in (10, 200)]
    assert pairs([*CHESTS[:4], *blank]) == []
    assert [pair.kind for pair in pairs([*CHESTS[:4], blank[0], blank[0]])] == ["identical"]


def test_three_copies_make_one_group() -> None:
    linked = tuple(DuplicatePair(a, b, "near", 1.0) for a, b in ((0, 3), (3, 5), (1, 2)))
    assert sorted(duplicate_groups(linked, 7)) == [(0, 3, 5), (1, 2)]
    assert duplicate_groups((), 7) == ()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_projection_never_increases_distances(seed: int) -> None:
    rng = np.random.default_rng(seed)
    unit = standardise(rng.integers(0, 256, (30, 8, 8), dtype=np.uint8))
    on_axes = unit @ principal_axes(unit).T
    full = np.linalg.norm(unit[:, None] - unit[None], axis=2)
    assert (np.linalg.norm(on_axes[:, None] - on_axes[None], axis=2) <= full + 1e-5).all()


def test_a_product_of_standardised_thumbnails_is_their_correlation() -> None:
    thumbs = np.random.default_rng(0).integers(0, 256, (2, 32, 32), dtype=np.uint8)
    a, b = standardise(thumbs)
    assert a @ b == pytest.approx(np.corrcoef(thumbs.reshape(2, -1))[0, 1], abs=1e-5)
    assert not standardise(np.full((1, 32, 32), 77, dtype=np.uint8)).any()


def test_the_sixteen_orientations_differ() -> None:
    film = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)[:, :3, :3]
    results = {reorient(film, turn).tobytes() for turn in ORIENTATIONS}
    assert len(results) == len(ORIENTATIONS) == 16
