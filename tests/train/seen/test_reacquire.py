"""Every part, a batch at a time, beside the same part film by film (`lucency.data.reacquire`), which is the judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from data.films import chest, lettered
from lucency.data import reacquire as one
from lucency.data.acquisition import SIDE, Acquisition, acquisition
from lucency.data.acquisition import noise as noise_of
from lucency.train.seen import reacquire as many

FILMS = [chest(0), chest(1, sharp=2.0, level=-40), lettered(chest(2, sharp=0.4), (20, 15)), chest(3, level=50)]
FILMS[1][:14] = FILMS[1][:, -9:] = 0
FILMS[3] = (FILMS[3] + np.random.default_rng(3).normal(0, 6, FILMS[3].shape)).clip(0, 255).astype(np.uint8)
OWN = [acquisition(film, aspect) for film, aspect in zip(FILMS, (1.2, 1.5, 0.9, 1.3), strict=True)]
DONOR = [3, 2, 1, 0]
BATCH = torch.from_numpy(np.stack(FILMS)).float()
TRAITS = many.Traits.of(OWN, torch.device("cpu"))
DONORS = TRAITS.pick(torch.tensor(DONOR))
DRAWS = many.Draws.by(torch.Generator().manual_seed(0), len(FILMS), torch.device("cpu"))


@dataclass
class Same:
    """Gives the film-by-film parts what the batch drew."""

    film: int

    def uniform(self, low: float, high: float) -> float:
        return float(DRAWS.lie[self.film])

    def integers(self, low: int, high: int) -> int:
        return int((DRAWS.pixels if low == one.LOWERED[0] else DRAWS.quality)[self.film])

    def spawn(self, count: int) -> list[Same]:
        return [self] * count

    def standard_normal(self, shape: tuple[int, int], dtype: type) -> np.ndarray:
        return DRAWS.grain[self.film].numpy()


def alone(*parts: one.Part) -> np.ndarray:
    """Films one by one through parts."""
    found = []
    for film, own in enumerate(OWN):
        square = FILMS[film]
        for part in parts:
            square = part(square, own, OWN[DONOR[film]], Same(film))  # type: ignore[arg-type]
        found.append(square)
    return np.stack(found).astype(np.float32)


Together = Callable[[torch.Tensor], torch.Tensor]
PARTS: dict[str, tuple[tuple[one.Part, ...], Together, float]] = {
    "shape": (
        (one.border_swapped, one.aspect, one.resolution),  # rounded three times there, once here
        lambda films: many.shaped(films, TRAITS.aspect, DONORS, DRAWS),
        0.6,
    ),
    "tone": ((one.tone_matched,), lambda films: many.toned(films, DONORS.tone), 0.01),
    "contrast": ((one.contrast_matched,), lambda films: many.contrasted(films, DONORS.contrast), 0.2),
    "noise": ((one.noise_matched,), lambda films: many.grained(films, DONORS.noise, DRAWS.grain), 0.2),
    "jpeg": ((one.jpeg,), lambda films: many.stored(films, DRAWS.quality), 0.2),
    "sharpness": ((one.sharpness_matched,), lambda films: many.sharpened(films, DONORS.sharpness), 0.1),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_does_to_a_batch_what_it_does_to_each_film(name: str) -> None:
    parts, together, near = PARTS[name]
    wanted, found = alone(*parts), together(BATCH).numpy()
    for film in range(len(FILMS)):
        # by the mean: where a search ends a step apart, or rounding falls the other way, single pixels differ
        assert np.abs(found[film] - wanted[film]).mean() < near
    assert np.abs(found - BATCH.numpy()).mean() > 10 * np.abs(found - wanted).mean()


def test_all_together_are_what_all_together_do_to_each_film() -> None:
    marks = torch.from_numpy(np.stack([OWN[donor].marks for donor in DONOR]))
    clean = [one.unlettered(film, own.marks > 0) for film, own in zip(FILMS, OWN, strict=True)]
    assert [bool(mark.any()) for mark in marks] == [False, True, False, False]  # one film has a letter, and lends it
    found = many.reacquire(torch.from_numpy(np.stack(clean)).float(), TRAITS.aspect, DONORS, marks, DRAWS)
    assert torch.equal(found, found.round().clamp(0, 255))
    for film, donor in enumerate(DONOR):
        wanted = one.reacquire(FILMS[film], OWN[film], OWN[donor], one.ALL, Same(film))  # type: ignore[arg-type]
        square = found[film].numpy().astype(np.uint8)
        # masked unsharply up to tenfold at last, a rounding of one gray level becomes several
        assert np.corrcoef(square.ravel(), wanted.ravel())[0, 1] > 0.99
        assert acquisition(square).sharpness == pytest.approx(acquisition(wanted).sharpness, rel=0.05)
        assert np.corrcoef(square.ravel(), FILMS[film].ravel())[0, 1] < 0.97


def test_measures_are_those_of_the_judge() -> None:
    assert many.sharpness(BATCH).numpy() == pytest.approx([own.sharpness for own in OWN], rel=1e-4)
    assert many.quantiles(BATCH).numpy() == pytest.approx(np.stack([own.tone for own in OWN]), abs=1e-2)
    assert many.borders(BATCH).numpy().tolist() == [list(own.border) for own in OWN]
    grainy = BATCH + 5 * DRAWS.grain
    wanted = [noise_of(film.numpy()) for film in grainy]
    assert many._spread(many._unplaned(grainy)).numpy() == pytest.approx(
        wanted, rel=0.05
    )  # measured at a quarter of the pixels


def test_the_same_draws_give_the_same_films() -> None:
    again = many.Draws.by(torch.Generator().manual_seed(0), len(FILMS), torch.device("cpu"))
    assert torch.equal(again.grain, DRAWS.grain)
    assert torch.equal(again.lie, DRAWS.lie)
    assert bool(((DRAWS.pixels >= one.LOWERED[0]) & (DRAWS.pixels <= one.LOWERED[1])).all())
    assert bool(((DRAWS.quality >= one.QUALITY[0]) & (DRAWS.quality <= one.QUALITY[1])).all())


def test_a_film_keeps_its_shape_where_its_donor_has_the_same() -> None:
    plain = [replace(own, aspect=1.0, border=(0, 0, 0, 0)) for own in (OWN[0], OWN[3])]
    films = BATCH[[0, 3]]
    sharp = replace(DRAWS, pixels=torch.full((2,), 224.0), lie=DRAWS.lie[:2])
    found = many.shaped(films, torch.ones(2), many.Traits.of(plain, torch.device("cpu")), sharp)
    assert (found - films).abs().mean() < 0.1


def test_traits_are_picked_whole() -> None:
    assert isinstance(OWN[0], Acquisition)
    for name in many.Traits.__dataclass_fields__:
        assert torch.equal(getattr(DONORS, name), getattr(TRAITS, name)[DONOR])
    assert TRAITS.contrast.shape == (4, 3, 2)
    assert BATCH.shape[1:] == (SIDE, SIDE)
