"""Resizing and blurring as matrix products, beside Pillow and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from data.films import chest
from lucency.train.seen.matrices import blurring, both, cubic, resizing, through, triangle

FILM = chest(0)
GRAY = FILM.astype(np.float32)
SIDE = len(FILM)


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


@pytest.mark.parametrize(("low", "high", "want"), [(0.0, 224.0, 96), (20.5, 190.25, 160), (50.0, 120.0, 224)])
def test_a_box_is_resized_as_pillow_does(low: float, high: float, want: int) -> None:
    matrix = resizing(numbers(low), numbers(high), SIDE, want)
    pillow = Image.fromarray(GRAY).resize((SIDE, want), Image.Resampling.BILINEAR, box=(0, low, SIDE, high))
    assert (matrix[0] @ torch.from_numpy(GRAY)).numpy() == pytest.approx(np.asarray(pillow), abs=0.05)


def test_what_was_cropped_does_not_look_beyond_its_edge_and_lies_where_it_should() -> None:
    matrix = resizing(numbers(30), numbers(200), SIDE, SIDE, first=numbers(10), count=numbers(100), cropped=True)
    inner = Image.fromarray(GRAY).crop((0, 30, SIDE, 200)).resize((SIDE, 100), Image.Resampling.BILINEAR)
    found = (matrix[0] @ torch.from_numpy(GRAY)).numpy()
    assert found[10:110] == pytest.approx(np.asarray(inner), abs=0.05)
    assert not found[:10].any()
    assert not found[110:].any()


@pytest.mark.parametrize(("kernel", "how"), [(cubic, Image.Resampling.BICUBIC), (triangle, Image.Resampling.BILINEAR)])
def test_a_film_is_seen_through_fewer_pixels_as_by_pillow(kernel: object, how: Image.Resampling) -> None:
    small = Image.fromarray(GRAY).resize((90, 90), Image.Resampling.BILINEAR)
    found = both(through(numbers(90), SIDE, kernel), torch.from_numpy(GRAY)[None])[0]  # type: ignore[arg-type]
    assert found.numpy() == pytest.approx(np.asarray(small.resize((SIDE, SIDE), how)), abs=0.05)


@pytest.mark.parametrize("sigma", [0.3, 0.8, 1.5, 6.0])
def test_blur_is_that_of_scipy(sigma: float) -> None:
    found = both(blurring(numbers(sigma), SIDE), torch.from_numpy(GRAY)[None])[0]
    assert found.numpy() == pytest.approx(ndimage.gaussian_filter(GRAY, sigma), abs=0.02)


def test_no_blur_changes_nothing() -> None:
    assert both(blurring(numbers(0), SIDE), torch.from_numpy(GRAY)[None])[0].numpy() == pytest.approx(GRAY)


def test_each_film_has_its_own_matrix() -> None:
    pair = blurring(numbers(1.0, 3.0), SIDE)
    films = torch.from_numpy(np.stack([GRAY, GRAY]))
    soft, softer = both(pair, films).var(dim=(1, 2))
    assert softer < soft
