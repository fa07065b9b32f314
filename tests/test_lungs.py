"""The lung mask: its arithmetic against PyTorch, its quality on films with known lungs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import ndimage

from lucency.data.phantom import draw
from lucency.film import Film
from lucency.lungs import (
    DOUBTS,
    SIDE,
    _doubts,
    components,
    convolved,
    dice,
    dilated,
    find_lungs,
    lung_mask,
    lung_probability,
    network,
)
from lucency.preprocess import Preprocess, crop_or_pad


def test_convolution_equals_pytorchs() -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(3, 10, 12)), rng.normal(size=(5, 3, 3, 3))
    bias = rng.normal(size=5)
    expected = torch.nn.functional.conv2d(*map(torch.from_numpy, (x[None], weight, bias)), padding=1)[0].numpy()
    np.testing.assert_allclose(convolved(x, weight, bias), expected, rtol=1e-6)


def test_dice_by_hand() -> None:
    one, other = np.array([[1, 1, 0]], bool), np.array([[0, 1, 1]], bool)
    assert dice(one, other) == pytest.approx(2 / 4)
    assert dice(one, one) == 1
    assert dice(~np.ones((2, 2), bool), ~np.ones((2, 2), bool)) == 1


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("positive", [False, True])
def test_lungs_of_drawn_films_are_found(fit: str, positive: bool) -> None:
    """Patients not used in training; consolidated lung is lung."""
    found = []
    for number in range(6):
        phantom = draw((77, number), positive, side=160)
        gray = Preprocess(image_size=128, resize_mode=fit)(Film(phantom.film))  # type: ignore[arg-type]
        true = (
            Preprocess(image_size=128, resize_mode=fit)(
                Film(crop_or_pad(phantom.lungs.astype(np.uint8) * 255, "stretch"))
            )
            > 127
        )  # type: ignore[arg-type]
        mask = lung_mask(gray)
        found.append((mask & true).sum() / true.sum())
        # What lies behind the heart is lung, too, which the drawn masks leave out; the mask ends with the lungs' box.
        assert true.sum() < mask.sum() < 1.7 * true.sum()
        rows, columns = (np.flatnonzero(true.any(axis)) for axis in (1, 0))
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].sum() > 0.93 * mask.sum()
    assert min(found) > 0.9


def test_any_film_size_and_films_without_chest() -> None:
    for shape in ((1, 1), (7, 7), (SIDE, SIDE), (300, 300)):
        mask = lung_mask(np.zeros(shape, np.uint8))
        assert mask.shape == shape
        assert mask.dtype == bool
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    assert np.isfinite(lung_probability(noise)).all()


def test_the_mask_does_not_depend_on_exposure() -> None:
    film = draw((77, 1), False, side=128).film[:, :128]
    half = (film // 2 + 60).astype(np.uint8)
    assert dice(lung_mask(film), lung_mask(half)) > 0.97


@pytest.mark.parametrize("density", [0.3, 0.5, 0.6, 0.9])
def test_components_equal_scipys(density: float) -> None:
    mask = np.random.default_rng(0).random((31, 40)) < density
    pieces, sizes = components(mask)
    expected, count = ndimage.label(mask)
    assert len(sizes) == count + 1
    assert sizes.sum() == mask.sum()
    assert len(np.unique(np.stack([pieces[mask], expected[mask]]), axis=1).T) == count  # one to one
    assert components(np.zeros((3, 3), bool))[1].tolist() == [0]


def test_dilated_by_hand() -> None:
    mask = np.random.default_rng(0).random((20, 30)) > 0.98
    assert np.array_equal(dilated(mask, 2), ndimage.binary_dilation(mask, np.ones((5, 5))))


def test_the_network_derives_its_levels_from_the_weights() -> None:
    """One level down and none up: film and logits of one size."""
    centre = np.zeros((1, 1, 3, 3), np.float32)
    centre[0, 0, 1, 1] = 1
    weights = {
        f"down0{step}.{part}": value for step in "ab" for part, value in (("weight", centre), ("bias", np.zeros(1)))
    }
    weights |= {"last.weight": np.full((1, 1, 1, 1), 2.0), "last.bias": np.ones(1)}
    film = np.array([[1.0, -1.0], [0.5, 0.0]], np.float32)
    np.testing.assert_allclose(network(film, weights), 2 * np.maximum(film, 0) + 1)


def pieces(*boxes: tuple[int, int, int, int], side: int = 48) -> np.ndarray:
    """(top, bottom, left, right) of piece 1, 2, …"""
    found = np.zeros((side, side), np.int64)
    for number, (top, bottom, left, right) in enumerate(boxes, 1):
        found[top:bottom, left:right] = number
    return found


@pytest.mark.parametrize(
    ("found", "doubts"),
    [
        (pieces((8, 36, 6, 20), (8, 36, 28, 42)), ()),
        (pieces((8, 36, 6, 42)), ()),  # two lungs that touch
        (pieces(), ("no_lungs",)),
        (pieces((8, 38, 6, 20)), ("one_lung", "odd_shape")),
        (pieces((20, 26, 10, 18), (20, 26, 26, 34)), ("small_lungs", "odd_shape")),
        (pieces((8, 36, 6, 20), (8, 13, 28, 42)), ("unequal_lungs",)),
        (pieces((8, 48, 6, 20), (8, 48, 28, 42)), ("cut_off",)),
    ],
)
def test_implausible_lungs_have_doubts(found: np.ndarray, doubts: tuple[str, ...]) -> None:
    assert _doubts(found) == doubts
    assert set(doubts) <= set(DOUBTS)


def test_lungs_of_a_drawn_film_have_no_doubts() -> None:
    phantom = draw((77, 3), True, side=160)
    found = find_lungs(phantom.film)
    assert found.doubts == ()
    assert found.mask.shape == phantom.film.shape
    assert found.share == pytest.approx(found.mask.mean())
    left, top, right, bottom = found.box or (0, 0, 0, 0)
    assert found.mask[top:bottom, left:right].sum() == found.mask.sum()
    assert find_lungs(np.full((80, 60), 9, np.uint8)).doubts[0] in DOUBTS


def test_neither_pytorch_nor_scipy_is_needed() -> None:
    code = "import sys, lucency.lungs; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
