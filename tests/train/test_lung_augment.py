"""Views of the lungs' box: deterministic, re-acquired, opacities at their cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from lucency.data.phantom import draw
from lucency.models.layers import resample
from lucency.models.lung_crop import LungCrop, standardise
from lucency.recipe import AugmentSettings
from lucency.train.lung_augment import LEAST_CELL, Draw, View, augment_lungs, paint_opacity, rescale_bands

STILL = AugmentSettings()
WILD = AugmentSettings(
    aspect=(0.7, 1.4), zoom=(0.95, 1.1), rotate=7, gamma=(0.7, 1.4), shift=0.08, scales=0.3, exchange=0.5,
    bias_field=0.4, sharpness=(-1.5, 1.5), noise=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def films() -> torch.Tensor:
    """Four drawn films without pneumonia, float32 (4, 1, 112, 112)."""
    drawn = [Image.fromarray(draw((11, number), False).film).resize((112, 112)) for number in range(4)]
    return torch.from_numpy(np.stack(drawn)[:, None].astype(np.float32))


@pytest.fixture(scope="module")
def crop() -> LungCrop:
    return LungCrop(192, 12)


def view_of(films: torch.Tensor, crop: LungCrop, settings: AugmentSettings, seed: int = 0, paint: bool = False) -> View:
    lungs = crop.lungs(films)
    generator = torch.Generator().manual_seed(seed)
    return augment_lungs(films, lungs, crop.box(lungs), 192, 12, settings, generator, paint)


def test_the_same_generator_draws_the_same_views(films: torch.Tensor, crop: LungCrop) -> None:
    first, again, other = (view_of(films, crop, WILD, seed) for seed in (1, 1, 2))
    assert torch.equal(first.pixels, again.pixels)
    assert not torch.equal(first.pixels, other.pixels)


def test_zero_settings_equal_the_readers_view(films: torch.Tensor, crop: LungCrop) -> None:
    """Up to the tone curve, which maps gray levels linearly, and the mask's drawn dilation."""
    view, plain = view_of(films, crop, STILL), crop(films)
    mask = resample(plain.lungs[:, 0], plain.box, crop.centers)[:, None]  # type: ignore[index,arg-type]
    inside = -torch.nn.functional.max_pool2d(-mask, 25, 1, 12) > 0.9  # well inside: the dilation of the mask is drawn
    kept = [np.corrcoef(a[m], b[m])[0, 1] for a, b, m in zip(view.pixels, plain.pixels, inside, strict=True)]
    assert min(kept) > 0.99
    cells = resample(plain.lungs[:, 0], plain.box, crop.mask_centers)[:, None]  # type: ignore[index,arg-type]
    weights = standardise(plain.pixels, cells, 12, least=LEAST_CELL)[1]
    torch.testing.assert_close(view.cells, weights, atol=2e-3, rtol=0)


def test_views_are_finite_and_blank_outside_the_lungs(films: torch.Tensor, crop: LungCrop) -> None:
    view = view_of(films, crop, WILD, 3, paint=True)
    assert torch.isfinite(view.pixels).all()
    assert not view.pixels[:, :, 0, 0].any()
    torch.testing.assert_close(view.cells.sum((1, 2)), torch.ones(4), atol=0.01, rtol=0)


def test_a_painted_opacity_brightens_only_its_cells(films: torch.Tensor, crop: LungCrop) -> None:
    found = crop(films)
    pixels = torch.nn.functional.interpolate(films, (192, 192))
    inside = torch.nn.functional.interpolate(found.lungs, (192, 192), mode="bilinear")
    painted, amount = paint_opacity(pixels, inside, Draw(4, torch.Generator().manual_seed(4)))
    change = painted - pixels
    assert float(change[amount == 0].abs().max()) < 0.01
    assert float(change[amount > 0.3].mean()) > 5
    assert float(amount[inside < 0.01].max()) < 0.01
    assert (amount.amax((1, 2, 3)) > 0.1).all()


def test_exchanged_contrast_moves_towards_the_other_film() -> None:
    """By hand: two films of the same pattern, one of a tenth of the contrast; each ends nearer to the other."""
    pattern = torch.randn(1, 1, 192, 192, generator=torch.Generator().manual_seed(0))
    films = torch.cat([pattern * 30, pattern * 10]) + 100
    everywhere = torch.ones_like(films)
    generator = torch.Generator().manual_seed(1)  # its first permutation of two swaps them
    settings = AugmentSettings(exchange=1.0)
    ratios = []
    for _ in range(8):
        moved = rescale_bands(films, everywhere, settings, Draw(2, generator))
        ratios.append(float(moved[0].std() / moved[1].std()))
    assert min(ratios) < 1.0 < max(ratios) + 0.01
    assert max(ratios) <= 3.01


def test_zero_exchange_and_scales_change_nothing() -> None:
    films = torch.rand(2, 1, 192, 192, generator=torch.Generator().manual_seed(0)) * 255
    same = rescale_bands(films, torch.ones_like(films), STILL, Draw(2, torch.Generator().manual_seed(1)))
    torch.testing.assert_close(same, films, atol=1e-3, rtol=1e-4)
