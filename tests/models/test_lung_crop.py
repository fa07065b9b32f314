"""The lung crop: segmentation, crop, standardisation, maps on the film."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from lucency.data.phantom import draw
from lucency.explain.interventions import paint_over
from lucency.film import Film
from lucency.lungs import find_lungs, lung_probability
from lucency.models import Classifier, build
from lucency.models.layers import resample
from lucency.models.lung_crop import FLAT_LUNGS, LungCrop, standardise
from lucency.preprocess import Preprocess
from lucency.recipe import ModelSettings

SIDE = 224


@pytest.fixture(scope="module")
def films() -> torch.Tensor:
    """Six drawn films, float32 (6, 1, 224, 224)."""
    drawn = [Preprocess(SIDE)(Film(draw((7, number), bool(number % 2)).film)) for number in range(6)]
    return torch.from_numpy(np.stack(drawn)[:, None].astype(np.float32))


@pytest.fixture(scope="module")
def crop() -> LungCrop:
    return LungCrop(96, 6)


def test_segmenter_equals_the_numpy_version(films: torch.Tensor, crop: LungCrop) -> None:
    box = crop.box(crop.lungs(films)).numpy()
    middles = (np.arange(SIDE) + 0.5) / SIDE
    for film, found in zip(films[:, 0].numpy().astype(np.uint8), box, strict=True):
        lung = lung_probability(film)  # brought to 224 pixels by Pillow, with bytes in between: not to the last digit
        for start, end, reach, mass in (
            (found[0], found[2], 1.75, lung.sum(0)),
            (found[1], found[3], 2.0, lung.sum(1)),
        ):
            mean = (mass * middles).sum() / mass.sum()
            deviation = np.sqrt((mass * (middles - mean) ** 2).sum() / mass.sum())
            expected = [mean - reach * deviation, mean + reach * deviation]
            assert [start, end] == pytest.approx(expected, abs=0.02)


def test_lungs_lie_in_their_box(crop: LungCrop) -> None:
    shares = []
    for number in range(6):
        chest = draw((8, number), bool(number % 2))
        square = Preprocess(SIDE)(Film(chest.film))[None, None].astype(np.float32)
        left, top, right, bottom = crop.box(crop.lungs(torch.from_numpy(square)))[0].tolist()
        rows, columns = np.nonzero(chest.lungs)
        height, width = chest.lungs.shape
        inside = (columns / width > left) & (columns / width < right) & (rows / height > top) & (rows / height < bottom)
        shares.append(inside.mean())
    assert np.mean(shares) > 0.99
    assert min(shares) > 0.98


def test_cropped_pixels_equal_pillows(films: torch.Tensor, crop: LungCrop) -> None:
    boxes = crop.box(crop.lungs(films)).clamp(0, 1)
    cropped = resample(films[:, 0], boxes, crop.centers).numpy()
    for film, corners, found in zip(films[:, 0].numpy().astype(np.uint8), boxes.tolist(), cropped, strict=True):
        wanted = tuple(corner * SIDE for corner in corners)
        pillow = np.asarray(Image.fromarray(film).resize((96, 96), Image.Resampling.BILINEAR, box=wanted), np.float32)
        # Pillow leaves out weights of pixels whose middle lies just beyond the filter, and rounds to bytes twice.
        assert np.abs(found - pillow).mean() < 0.6


@pytest.mark.parametrize("squeezed", [0.6, 0.8])
def test_the_crop_does_not_depend_on_aspect(films: torch.Tensor, crop: LungCrop, squeezed: float) -> None:
    """A film with as much black beside it as makes the chest narrower is read as the same picture."""
    narrow = round(SIDE * squeezed)
    film = Image.fromarray(films[0, 0].numpy().astype(np.uint8))
    canvas = Image.new("L", (SIDE, SIDE), 40)
    canvas.paste(film.resize((narrow, SIDE), Image.Resampling.BILINEAR), ((SIDE - narrow) // 2, 0))
    other = torch.from_numpy(np.asarray(canvas, dtype=np.float32).copy())[None, None]
    cropped = [crop(gray).pixels.numpy() for gray in (films[:1], other)]
    assert np.corrcoef(cropped[0].ravel(), cropped[1].ravel())[0, 1] > 0.9


def test_standardise_by_hand() -> None:
    """By hand: the lungs are the left half, half of it 50 and half 150; mean 100, deviation 50."""
    pixels = torch.full((1, 1, 48, 48), 255.0)
    pixels[..., :24, :24], pixels[..., 24:, :24] = 50.0, 150.0
    mask = torch.zeros(1, 1, 48, 48)
    mask[..., :24] = 1
    cropped, weights = standardise(pixels, mask, 2)
    assert cropped[0, 0, 4, 4].item() == pytest.approx(-0.9 * 50 / 51, abs=0.01)
    assert cropped[0, 0, 40, 4].item() == pytest.approx(0.9 * 50 / 51, abs=0.01)
    assert not cropped[..., 28:].any()
    each = 0.2 / (2 * 0.2 + 1e-3)  # of two cells all lung, what is beyond 0.8
    torch.testing.assert_close(weights[0], torch.tensor([[each, 0.0], [each, 0.0]]), atol=1e-5, rtol=0)
    darker, _ = standardise(pixels * 0.5, mask, 2)
    torch.testing.assert_close(darker, cropped, atol=1e-4, rtol=0.02)  # 1 is added to a deviation of 25 or 50


def test_pixels_outside_the_lungs_do_not_matter(films: torch.Tensor) -> None:
    mask = torch.zeros(len(films), 1, 48, 48)
    mask[..., 10:38, 8:40] = 1
    other = films.clone()
    other[..., :20, :] = other[..., -20:, :] = 255 - other[..., -20:, :]
    first, second = (standardise(gray, mask, 12)[0] for gray in (films, other))
    torch.testing.assert_close(first, second)


def test_maps_on_the_film_keep_their_mean(films: torch.Tensor, crop: LungCrop) -> None:
    maps = torch.randn(len(films), 2, 6, 6, generator=torch.Generator().manual_seed(0))
    box = crop.box(crop.lungs(films)).clamp(0, 1)
    back = crop.on_film(maps, box)
    assert back.shape == (len(films), 2, 24, 24)
    torch.testing.assert_close(back.mean((2, 3)), maps.mean((2, 3)), atol=1e-5, rtol=1e-4)


def test_a_map_lies_at_its_box(crop: LungCrop) -> None:
    """By hand: the box is the right half of the film's upper half; its one cell covers 12 × 12 of 24 × 24 cells."""
    back = crop.on_film(torch.ones(1, 1, 1, 1), torch.tensor([[0.5, 0.0, 1.0, 0.5]]))[0, 0]
    assert back[:12, 12:].numpy() == pytest.approx(np.full((12, 12), 4.0), abs=1e-5)  # a quarter of the film, mean 1
    assert not back[12:].any()
    assert not back[:, :12].any()


def test_lungs_without_detail_give_no_evidence(films: torch.Tensor) -> None:
    classifier = classifier_of_lungs()
    squares = films[:, 0].numpy().astype(np.uint8)
    masks = [find_lungs(square).mask for square in squares]
    painted = torch.from_numpy(np.stack([paint_over(s, m) for s, m in zip(squares, masks, strict=True)]))[:, None]
    with torch.no_grad():
        sound, gone = classifier.crop_input(films), classifier.crop_input(painted.float())
        assert sound.flat is not None
        assert gone.flat is not None
        assert sound.flat.max() < FLAT_LUNGS[0] < FLAT_LUNGS[1] < gone.flat.min()
        assert gone.weights is not None
        assert gone.weights.abs().max() == 0
        torch.testing.assert_close(classifier(painted.float()), classifier.head.last.bias.expand(len(films), 1))


def test_a_film_without_lungs_has_finite_outputs(crop: LungCrop) -> None:
    for gray in (0.0, 90.0, 255.0):
        found = crop(torch.full((1, 1, SIDE, SIDE), gray))
        assert torch.isfinite(found.pixels).all()
        assert torch.isfinite(found.weights).all()  # type: ignore[arg-type]


def classifier_of_lungs(scales: tuple[float, ...] = (1.0,)) -> Classifier:
    settings = {"backbone": "mobilenet_v1", "width": 0.25, "depth": 6, "lung_crop": 96, "crop_scales": scales}
    return build(ModelSettings.model_validate(settings)).eval()


@pytest.mark.parametrize("scales", [(1.0,), (0.9, 1.2)])
def test_map_adds_up_to_the_logit_and_the_segmenter_is_frozen(films: torch.Tensor, scales: tuple[float, ...]) -> None:
    classifier = classifier_of_lungs(scales)
    with torch.no_grad():
        logits, maps = classifier.forward_map(films)
    torch.testing.assert_close(maps.mean((2, 3)) + classifier.head.last.bias, logits, atol=1e-4, rtol=1e-4)
    assert classifier.crop is not None
    assert not any(weight.requires_grad for weight in classifier.crop.parameters())


def test_scales_of_the_box_are_read_apart_and_averaged(films: torch.Tensor) -> None:
    together = classifier_of_lungs((0.9, 1.2))
    apart = [classifier_of_lungs((scale,)) for scale in (0.9, 1.2)]
    with torch.no_grad():
        for one in apart:
            one.load_state_dict(together.state_dict())
        answers = [one.forward_all(films) for one in apart]
        for found, first, second in zip(together.forward_all(films), *answers, strict=True):
            torch.testing.assert_close(found, (first + second) / 2, atol=1e-5, rtol=1e-4)
        small, large = (one.crop_input(films).box for one in apart)
    assert small is not None
    assert large is not None
    torch.testing.assert_close((large[:, 2:] - large[:, :2]) / (small[:, 2:] - small[:, :2]), torch.full((6, 2), 4 / 3))
    torch.testing.assert_close(large[:, :2] + large[:, 2:], small[:, :2] + small[:, 2:])


def test_without_crop_equals_the_whole_network(films: torch.Tensor) -> None:
    classifier = classifier_of_lungs()
    with torch.no_grad():
        cropped = classifier.crop_input(films)
        bare = classifier.without_crop(cropped.weights)
        torch.testing.assert_close(bare(cropped.pixels), classifier(films))
    assert next(bare.features.parameters()) is next(classifier.features.parameters())
    assert bare.crop is None
    assert not bare.training
