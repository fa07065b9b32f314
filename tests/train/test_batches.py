"""What a network sees of films that are re-acquired in training."""

from __future__ import annotations

import numpy as np
import torch

from data.films import as_films, chest
from lucency.data.acquisition import SIDE, tone
from lucency.data.donors import measured
from lucency.preprocess import Preprocess
from lucency.recipe import AugmentSettings
from lucency.train.batches import Batches, Examples
from lucency.train.seen.films import Gallery

PIXELS = [chest(0, level=-40), chest(1, level=60), chest(2, level=-40), chest(3, level=60)]
LABELS = [0, 1, 0, 1]
GALLERY = Gallery.of(measured(as_films(PIXELS, LABELS), PIXELS, [1.0] * 4), torch.device("cpu"))


def seen(chance: float, seed: int = 0, batch: int = 4) -> np.ndarray:
    settings = AugmentSettings(canvas=SIDE, reacquire=chance)
    examples = Examples(tuple(PIXELS), np.array(LABELS), Preprocess(SIDE), settings, gallery=GALLERY)
    batches = Batches(examples, np.arange(4), batch, (seed, 0))
    return np.concatenate([batches[index][0].numpy()[:, 0] for index in range(len(batches))])


def middles(films: np.ndarray) -> list[float]:
    """The middle gray of each film's chest."""
    return [float(tone(film)[8]) for film in films]


def test_each_film_goes_towards_the_tone_of_the_other_class() -> None:
    plain, found = middles(seen(0.0)), middles(seen(1.0))
    assert plain[0] < plain[1] - 60
    # six tenths of the way: what was darker is brighter afterwards
    assert min(found[0], found[2]) > max(found[1], found[3])


def test_the_chance_is_kept_and_the_draws_follow_from_the_seed() -> None:
    assert np.array_equal(seen(0.5, 3), seen(0.5, 3))
    moved = [np.abs(seen(0.5, seed) - seen(0.0)).max(axis=(1, 2)) > 0 for seed in range(25)]
    assert 30 <= np.sum(moved) <= 70  # of 100; 50 +- 4 standard deviations


def test_no_chance_shows_films_as_they_are() -> None:
    assert np.array_equal(seen(0.0), np.stack(PIXELS).astype(np.float32))


def test_batches_of_an_epoch_draw_apart() -> None:
    """Noise and all else that a batch draws at once: two batches of one film would otherwise be the same picture."""
    settings = AugmentSettings(canvas=SIDE, reacquire=1.0)
    examples = Examples(tuple(PIXELS), np.array(LABELS), Preprocess(SIDE), settings, gallery=GALLERY)
    batches = Batches(examples, np.zeros(2, dtype=np.int64), 1, (0, 0))
    assert not torch.equal(batches[0][0], batches[1][0])
