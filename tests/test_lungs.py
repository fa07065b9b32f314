"""The lung mask: its arithmetic against PyTorch, its quality on films that know their lungs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lucency.data.phantom import draw
from lucency.film import Film
from lucency.lungs import SIDE, convolved, dice, lung_mask, lung_probability
from lucency.preprocess import Preprocess, crop_or_pad


def test_convolution_is_that_of_pytorch() -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(3, 10, 12)), rng.normal(size=(5, 3, 3, 3))
    bias = rng.normal(size=5)
    expected = torch.nn.functional.conv2d(*map(torch.from_numpy, (x[None], weight, bias)), padding=1)[0].numpy()
    np.testing.assert_allclose(convolved(x, weight, bias), expected, rtol=1e-6)


def test_overlap_by_hand() -> None:
    one, other = np.array([[1, 1, 0]], bool), np.array([[0, 1, 1]], bool)
    assert dice(one, other) == pytest.approx(2 / 4)
    assert dice(one, one) == 1
    assert dice(~np.ones((2, 2), bool), ~np.ones((2, 2), bool)) == 1


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("ill", [False, True])
def test_lungs_of_drawn_films_are_found(fit: str, ill: bool) -> None:
    """Patients that the training never drew; a white lung is a lung."""
    found = []
    for number in range(6):
        phantom = draw((77, number), ill, side=160)
        gray = Preprocess(image_size=128, resize_mode=fit)(Film(phantom.film))  # type: ignore[arg-type]
        true = (
            Preprocess(image_size=128, resize_mode=fit)(
                Film(crop_or_pad(phantom.lungs.astype(np.uint8) * 255, "stretch"))
            )
            > 127
        )  # type: ignore[arg-type]
        found.append(dice(lung_mask(gray), true))
    assert np.mean(found) > 0.9
    assert min(found) > 0.8


def test_any_size_and_no_chest_at_all() -> None:
    for shape in ((1, 1), (7, 7), (SIDE, SIDE), (300, 300)):
        mask = lung_mask(np.zeros(shape, np.uint8))
        assert mask.shape == shape
        assert mask.dtype == bool
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    assert np.isfinite(lung_probability(noise)).all()


def test_exposure_does_not_matter() -> None:
    film = draw((77, 1), False, side=128).film[:, :128]
    half = (film // 2 + 60).astype(np.uint8)
    assert dice(lung_mask(film), lung_mask(half)) > 0.97
