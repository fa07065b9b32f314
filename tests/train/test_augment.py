"""Augmentation of a batch: by hand, at limits, and against Pillow and scipy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from data.films import chest
from lucency.film import Film
from lucency.preprocess import Preprocess
from lucency.recipe import AugmentSettings
from lucency.train.augment import AugmentParams, augment, crop_boxes, gaussian_matrix

FILMS = np.stack([chest(seed) for seed in range(4)])
SIDE = FILMS.shape[1]
NEUTRAL = AugmentSettings()
EVERYTHING = AugmentSettings(
    aspect=(0.64, 1.57),
    zoom=(0.7, 1.0),
    rotate=15,
    gamma=(0.7, 1.4),
    contrast=(0.7, 1.3),
    brightness=20,
    sharpness=(-1.5, 2.0),
    noise=10,
)


def params(count: int = 4, **changes: float) -> AugmentParams:
    """Neutral parameters, except for these."""
    neutral = AugmentParams.draw(NEUTRAL, count, np.random.default_rng(0))
    centred = {"x": 0.5, "y": 0.5} | changes
    return replace(neutral, **{name: torch.full((count,), value) for name, value in centred.items()})


def augmented(films: np.ndarray, size: int = SIDE, boxes: Any = None, **changes: float) -> np.ndarray:
    return augment(torch.from_numpy(films), params(len(films), **changes), size, boxes).numpy()


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_neutral_parameters_change_nothing() -> None:
    assert np.array_equal(augmented(FILMS), FILMS)


@pytest.mark.parametrize("size", [96, 160, 200])
def test_neutral_parameters_equal_preprocessing(size: int) -> None:
    expected = np.stack([Preprocess(size)(Film(film)) for film in FILMS]).astype(np.float32)
    assert np.abs(augmented(FILMS, size) - expected).max() <= 1


def test_neutral_settings_draw_neutral_parameters() -> None:
    drawn = AugmentParams.draw(NEUTRAL, 4, np.random.default_rng(1))
    assert np.array_equal(augment(torch.from_numpy(FILMS), drawn, SIDE).numpy(), FILMS)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_augmentation_is_deterministic_and_gives_whole_gray_levels(seed: int) -> None:
    drawn = AugmentParams.draw(EVERYTHING, 4, np.random.default_rng(seed))
    films = torch.from_numpy(FILMS.copy())
    found = augment(films, drawn, 48, generator=generator())
    assert found.shape == (4, 48, 48)
    assert torch.equal(found, found.round().clamp(0, 255))
    assert torch.equal(found, augment(films, drawn, 48, generator=generator()))
    assert np.array_equal(films.numpy(), FILMS)


def test_films_of_a_batch_are_augmented_independently() -> None:
    drawn = AugmentParams.draw(replace_noise(EVERYTHING), 4, np.random.default_rng(2))
    together = augment(torch.from_numpy(FILMS), drawn, 64)
    for film in range(4):
        own = AugmentParams(*(getattr(drawn, name)[film : film + 1] for name in drawn.__dataclass_fields__))
        alone = augment(torch.from_numpy(FILMS[film : film + 1]), own, 64)
        assert (together[film] - alone[0]).abs().max() <= 1


def replace_noise(drawn: AugmentSettings) -> AugmentSettings:
    return drawn.model_copy(update={"noise": 0.0})


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_boxes_stay_inside_the_film(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = AugmentParams.draw(EVERYTHING.model_copy(update={"zoom": (0.5, 2.0)}), 8, rng)
    low, high = rng.uniform(0, 0.4, (8, 2)), rng.uniform(0.6, 1, (8, 2))
    for boxes in (None, torch.from_numpy(np.hstack([low, high])).float()):
        left, top, right, bottom = crop_boxes(drawn, boxes).unbind(1)
        assert bool((left >= 0).all() and (top >= 0).all() and (right <= 1).all() and (bottom <= 1).all())
        assert bool((right > left).all() and (bottom > top).all())


def test_crop_box_by_hand() -> None:
    # a film shown twice as wide: half its width is kept, all of its height, from the left when x is 0
    assert crop_boxes(params(1, aspect=2.0, x=0.0)).tolist() == [[0, 0, 0.5, 1]]
    # half as wide: half its height is kept, from the bottom when y is 1
    assert crop_boxes(params(1, aspect=0.5, y=1.0)).tolist() == [[0, 0.5, 1, 1]]


def test_crop_box_within_a_box_by_hand() -> None:
    box = torch.tensor([[0.25, 0.5, 0.75, 1.0]])
    assert crop_boxes(params(1), box).tolist() == box.tolist()
    assert crop_boxes(params(1, zoom=0.5), box).tolist() == [[0.375, 0.625, 0.625, 0.875]]
    # twice the box is shown, as far as there is film
    assert crop_boxes(params(1, zoom=2.0), box).tolist() == [[0, 0.25, 1, 1]]


def test_augmenting_a_box_equals_augmenting_its_content() -> None:
    box = torch.tensor([[0.25, 0.25, 0.75, 0.75]]).expand(4, 4)
    quarter = SIDE // 4
    inner = np.ascontiguousarray(FILMS[:, quarter:-quarter, quarter:-quarter])
    # inside: at the rim, antialiasing looks beyond the box
    assert np.abs(augmented(FILMS, 64, box) - augmented(inner, 64))[:, 2:-2, 2:-2].max() <= 1


def test_aspect_widens_the_content() -> None:
    gray = np.zeros((1, 60, 60), dtype=np.uint8)
    gray[:, 20:40, 20:40] = 255
    wide = augmented(gray, 60, aspect=1.5)[0] > 127
    assert wide.any(axis=0).sum() == pytest.approx(30, abs=1)
    assert wide.any(axis=1).sum() == pytest.approx(20, abs=1)


def test_films_are_not_mirrored() -> None:
    gray = np.tile(np.linspace(220, 40, 40).astype(np.uint8), (50, 40, 1))  # falls from left to right
    drawn = AugmentParams.draw(EVERYTHING.model_copy(update={"rotate": 0.0}), 50, np.random.default_rng(0))
    found = augment(torch.from_numpy(gray), drawn, 40, generator=generator())
    assert bool((found[:, :, :10].mean((1, 2)) > found[:, :, 30:].mean((1, 2))).all())


def test_rotation_equals_pillows() -> None:
    expected = np.stack([Image.fromarray(film).rotate(4, Image.Resampling.BILINEAR) for film in FILMS])
    assert (
        np.abs(augmented(FILMS, rotate=4.0) - expected).mean() < 0.8
    )  # Pillow truncates, half a gray level on average


def test_a_rotation_shows_black_or_the_film_mirrored_beyond_its_edge() -> None:
    gray = torch.full((1, 40, 40), 90, dtype=torch.uint8)
    black, mirrored = (augment(gray, params(1, rotate=45.0), 40, surround=name) for name in ("black", "mirrored"))
    assert black[0, 0, 0] == 0
    assert black[0, 20, 20] == 90
    assert torch.equal(mirrored, torch.full((1, 40, 40), 90.0))


def test_tone_by_hand() -> None:
    gray = np.array([[[0, 51], [127, 255]]], dtype=np.uint8)
    # gamma 2 on 51/255 = 0.2 gives 0.04 · 255 = 10.2
    assert augmented(gray, 2, gamma=2.0)[0, 0, 1] == 10
    # contrast 0.5 pulls towards 127.5: 0 becomes 63.75, 255 becomes 191.25
    half = augmented(gray, 2, contrast=0.5)[0]
    assert (half[0, 0], half[1, 1]) == (64, 191)
    assert augmented(gray, 2, brightness=10.0)[0, 1, 1] == 255


def test_noise_has_the_given_standard_deviation_and_mean_0() -> None:
    gray = np.full((1, 200, 200), 128, dtype=np.uint8)
    noisy = augment(torch.from_numpy(gray), params(1, noise=8.0), 200, generator=generator())
    assert noisy.std() == pytest.approx(8, rel=0.03)
    assert noisy.mean() == pytest.approx(128, abs=0.2)


@pytest.mark.parametrize("sigma", [0.3, 0.8, 1.5, 6.0])
def test_blur_equals_scipys(sigma: float) -> None:
    film = FILMS[0].astype(np.float32)
    matrix = gaussian_matrix(torch.tensor([sigma]), SIDE)[0].numpy()
    assert matrix @ film @ matrix.T == pytest.approx(ndimage.gaussian_filter(film, sigma), abs=0.02)


def test_sharpness_blurs_below_0_and_sharpens_above() -> None:
    step = np.repeat(np.uint8([[[60] * 30 + [180] * 30]]), 60, axis=1)
    rise = {amount: np.abs(np.diff(augmented(step, 60, sharpness=amount)[0, 30])).max() for amount in (-1.5, 0.0, 1.0)}
    assert rise[-1.5] < rise[0.0] == 120 < rise[1.0]


def test_colour_films_by_hand():
    settings = AugmentSettings(rotate=30, flip="both", tint=0.2, zoom=(0.7, 1.0))
    drawn = AugmentParams.draw(settings, 6, np.random.default_rng(3), channels=3)
    for name in ("rotate", "zoom", "x", "y", "left_right", "top_bottom"):
        planes = getattr(drawn, name).reshape(6, 3)
        assert torch.equal(planes, planes[:, :1].expand(6, 3)), name
    assert len(set(drawn.tint.tolist())) == 18
    plain = torch.from_numpy(FILMS[:1])
    mirrored = augment(plain, params(1, left_right=1.0, top_bottom=1.0), SIDE)
    assert torch.equal(mirrored[0], plain[0].float().flip(0, 1))
    brighter = augment(torch.full((1, 8, 8), 100, dtype=torch.uint8), params(1, tint=1.5), 8)
    assert torch.equal(brighter, torch.full((1, 8, 8), 150.0))
