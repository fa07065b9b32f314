"""A batch through jitter, beside each film through the same (`lucency.data.augment.apply`)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from data.films import chest
from lucency.data.augment import Jitter, apply, draw
from lucency.preprocess import resize
from lucency.recipe import AugmentSettings
from lucency.train.seen.jitter import seen_through

FILMS = [chest(seed) for seed in range(4)]
SIDE = 160
DRAWN = AugmentSettings(
    canvas=224, aspect=(0.7, 1.4), zoom=(0.7, 1.0), rotate=5, gamma=(0.7, 1.5), contrast=(0.6, 1.2), brightness=25,
    sharpness=(-1.5, 2.0), resample=(0.5, 1.0), erase=0.5, clahe=0.5,
)  # fmt: skip


def seen(jitters: list[Jitter]) -> np.ndarray:
    films = torch.from_numpy(np.stack(FILMS)).float()
    return seen_through(jitters, films, SIDE, torch.Generator().manual_seed(0)).numpy()


def alone(jitters: list[Jitter]) -> np.ndarray:
    return np.stack([apply(jitter, film, SIDE, "stretch") for jitter, film in zip(jitters, FILMS, strict=True)])


def test_no_jitter_is_preprocessing() -> None:
    wanted = np.stack([resize(film, SIDE) for film in FILMS]).astype(np.float32)
    assert np.abs(seen([Jitter()] * 4) - wanted).max() <= 1


@pytest.mark.parametrize(
    ("change", "near"),
    [
        ({"aspect": 1.3, "zoom": 0.8, "across": 0.2, "down": 0.9}, 0.3),
        ({"turn": 4.0}, 0.8),  # Pillow cuts off what is behind the point, half a gray level on average
        ({"levels": bytes(reversed(range(256)))}, 0.3),
        ({"clahe": 3.0}, 0.3),
        ({"sharpness": -1.5}, 0.6),  # Pillow's blur is three boxes
        ({"sharpness": 1.5}, 1.0),
        ({"gamma": 1.4, "contrast": 0.7, "brightness": 20.0}, 0.3),
        ({"resample": 0.6}, 0.5),
        ({"erase": ((0.0, 0.0, 0.2, 0.2, 9), (0.75, 0.8, 0.2, 0.15, 200))}, 0.3),
    ],
)
def test_each_change_is_that_of_one_film(change: dict[str, object], near: float) -> None:
    jitters = [replace(Jitter(), **change)] * 4  # type: ignore[arg-type]
    found, wanted = seen(jitters), alone(jitters)
    assert np.abs(found - wanted).mean() < near
    assert np.abs(wanted.astype(float) - alone([Jitter()] * 4)).mean() > 2 * np.abs(found - wanted).mean()


def test_films_of_a_batch_are_each_seen_their_own_way() -> None:
    jitters = [draw(DRAWN, np.random.default_rng(seed)) for seed in range(4)]
    assert np.abs(seen(jitters) - alone(jitters)).mean(axis=(1, 2)).max() < 1.5


def test_noise_is_as_strong_as_drawn() -> None:
    quiet, loud = seen([Jitter()] * 4), seen([replace(Jitter(), noise=float(level)) for level in (0, 2, 5, 10)])
    assert (loud - quiet).std(axis=(1, 2)) == pytest.approx([0, 2, 5, 10], abs=0.4)
