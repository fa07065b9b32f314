"""The frame: found, cut out, and maps brought back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from lucency.data.phantom import draw
from lucency.film import Film
from lucency.lungs import lung_probability
from lucency.models import build
from lucency.models.lung_crop import CROPS, MIDDLE, CentreCrop, InputCrop, LungCrop
from lucency.preprocess import Preprocess
from lucency.recipe import ModelSettings

SIDE = 224


@pytest.fixture(scope="module")
def films() -> torch.Tensor:
    """Six drawn films, float32 (6, 1, 224, 224)."""
    drawn = [Preprocess(SIDE)(Film(draw((7, number), bool(number % 2)).film)) for number in range(6)]
    return torch.from_numpy(np.stack(drawn)[:, None].astype(np.float32))


@pytest.fixture(scope="module")
def frame() -> LungCrop:
    return LungCrop(96)


def test_finder_says_what_its_numpy_twin_says(films: torch.Tensor, frame: LungCrop) -> None:
    box = frame.box(films).numpy()
    middles = (np.arange(SIDE) + 0.5) / SIDE
    for film, found in zip(films[:, 0].numpy().astype(np.uint8), box, strict=True):
        lung = lung_probability(film)  # brought to 224 pixels by Pillow, with bytes in between: not to the last digit
        for start, end, reach, mass in (
            (found[0], found[2], 1.75, lung.sum(0)),
            (found[1], found[3], 2.0, lung.sum(1)),
        ):
            mean = (mass * middles).sum() / mass.sum()
            deviation = np.sqrt((mass * (middles - mean) ** 2).sum() / mass.sum())
            expected = np.clip([mean - reach * deviation, mean + reach * deviation], 0, 1)
            assert [start, end] == pytest.approx(expected, abs=0.02)


def test_lungs_lie_in_their_frame() -> None:
    for number in range(6):
        chest = draw((8, number), bool(number % 2))
        square = Preprocess(SIDE)(Film(chest.film))[None, None].astype(np.float32)
        left, top, right, bottom = LungCrop(96).box(torch.from_numpy(square))[0].tolist()
        rows, columns = np.nonzero(chest.lungs)
        height, width = chest.lungs.shape
        inside = (columns / width > left) & (columns / width < right) & (rows / height > top) & (rows / height < bottom)
        assert inside.mean() > 0.99


@pytest.fixture(scope="module", params=CROPS)
def any_frame(request: pytest.FixtureRequest) -> InputCrop:
    return CROPS[request.param](96)


def test_cut_is_what_pillow_cuts(films: torch.Tensor, any_frame: InputCrop) -> None:
    box = any_frame.box(films).expand(len(films), 4)
    cut = any_frame(films, any_frame.box(films))[:, 0].numpy()
    for film, corners, found in zip(films[:, 0].numpy().astype(np.uint8), box.tolist(), cut, strict=True):
        wanted = tuple(corner * SIDE for corner in corners)
        pillow = np.asarray(Image.fromarray(film).resize((96, 96), Image.Resampling.BILINEAR, box=wanted), np.float32)
        # Pillow leaves out weights of pixels whose middle lies just beyond the filter, and rounds to bytes twice.
        assert np.abs(found - pillow).mean() < 0.6


@pytest.mark.parametrize("squeezed", [0.6, 0.8])
def test_frame_takes_the_aspect_away(films: torch.Tensor, frame: LungCrop, squeezed: float) -> None:
    """A film with as much black beside it as makes the chest narrower is read as the same picture."""
    narrow = round(SIDE * squeezed)
    film = Image.fromarray(films[0, 0].numpy().astype(np.uint8))
    canvas = Image.new("L", (SIDE, SIDE), 40)
    canvas.paste(film.resize((narrow, SIDE), Image.Resampling.BILINEAR), ((SIDE - narrow) // 2, 0))
    other = torch.from_numpy(np.asarray(canvas, dtype=np.float32).copy())[None, None]
    cuts = [frame(gray, frame.box(gray))[0, 0].numpy() for gray in (films[:1], other)]
    assert np.corrcoef(cuts[0].ravel(), cuts[1].ravel())[0, 1] > 0.9


def test_maps_come_back_to_the_film_with_nothing_lost(films: torch.Tensor, any_frame: InputCrop) -> None:
    maps = torch.randn(len(films), 2, 3, 3, generator=torch.Generator().manual_seed(0))
    back = any_frame.uncrop(maps, any_frame.box(films))
    assert back.shape == (len(films), 2, 16, 16)
    torch.testing.assert_close(back.mean((2, 3)), maps.mean((2, 3)), atol=1e-5, rtol=1e-4)


def test_a_map_lands_where_its_frame_lies(frame: LungCrop) -> None:
    """By hand: the frame is the right half of the film's upper half; its one cell covers 8 × 8 of 16 × 16 cells."""
    back = frame.uncrop(torch.ones(1, 1, 1, 1), torch.tensor([[0.5, 0.0, 1.0, 0.5]]))[0, 0]
    assert back[:8, 8:].numpy() == pytest.approx(np.full((8, 8), 4.0), abs=1e-5)  # a quarter of the film, mean 1
    assert float(back.sum()) == pytest.approx(256.0, rel=1e-5)
    assert not back[8:].any()
    assert not back[:, :8].any()


def test_a_film_of_no_lungs_still_gives_a_box_on_it(frame: LungCrop) -> None:
    for gray in (0.0, 90.0, 255.0):
        left, top, right, bottom = frame.box(torch.full((1, 1, SIDE, SIDE), gray))[0].tolist()
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1


def test_the_middle_is_the_same_of_every_film_and_says_nothing_of_its_edge(films: torch.Tensor) -> None:
    frame = CentreCrop(96)
    assert frame.box(films).tolist() == [pytest.approx(MIDDLE)]
    edge = round(SIDE * MIDDLE[1]) - 2  # the filter reaches a pixel or two beyond
    other = films.clone()
    other[:, :, :edge] = other[:, :, -edge:] = 0
    torch.testing.assert_close(frame(films, frame.box(films)), frame(other, frame.box(films)))
    back = frame.uncrop(torch.ones(1, 1, 5, 5), frame.box(films))[0, 0]
    assert float(back[0].mean()) < 0.3 * float(back[8].mean())


@pytest.mark.parametrize("within", CROPS)
def test_map_adds_up_to_the_logit_and_the_finder_does_not_learn(films: torch.Tensor, within: str) -> None:
    settings = ModelSettings.model_validate({"backbone": "mobilenet_v1", "width": 0.25, "frame": 96, "within": within})
    classifier = build(settings).eval()
    with torch.no_grad():
        logits, maps = classifier.forward_map(films)
    torch.testing.assert_close(maps.mean((2, 3)) + classifier.head.last.bias, logits, atol=1e-4, rtol=1e-4)
    assert classifier.crop is not None
    assert not any(weight.requires_grad for weight in classifier.crop.parameters())


@pytest.mark.parametrize("within", CROPS)
def test_without_crop_reads_what_was_cropped(films: torch.Tensor, within: str) -> None:
    settings = ModelSettings.model_validate({"backbone": "mobilenet_v1", "width": 0.25, "frame": 96, "within": within})
    classifier = build(settings).eval()
    bare = classifier.without_crop()
    with torch.no_grad():
        torch.testing.assert_close(bare(classifier.crop_input(films).pixels), classifier(films))
    assert next(bare.features.parameters()) is next(classifier.features.parameters())
    assert bare.crop is None
    assert not bare.training
