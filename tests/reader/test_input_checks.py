"""Reasons to doubt, one film each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lucency.bundle import Card, Model, Population, Square
from lucency.film import Film
from lucency.reader.input_checks import SIGHTS, check_input, has_lung_slice, part_said, view_said
from reader.colours import lesion
from reader.slices import head, lungs

CARD = Card(
    name="x",
    labels=("a", "b"),
    preprocess=Square(image_size=16),
    model=Model(format="onnx", file="m", backbone="none"),
)


def film(height: int, width: int, **facts: str) -> Film:
    return Film((np.arange(height * width) % 251).reshape(height, width).astype(np.uint8), facts=facts)


@pytest.mark.parametrize(
    "usual",
    [film(16, 16), film(16, 32), film(32, 16), film(20, 20, view="PA"), film(20, 20, view="ap", body_part="Chest")],
    ids=lambda usual: f"{usual.width}x{usual.height} {dict(usual.facts)}",
)
def test_a_usual_film(usual: Film) -> None:
    assert check_input(usual, CARD) == ()


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (film(15, 16), "the film has 16×15 pixels: its shorter side is below the 16 the network sees"),
        (film(16, 33), "the film is 33×16, unusually narrow or wide: it may not be a whole chest"),
        (film(33, 16), "the film is 16×33, unusually narrow or wide: it may not be a whole chest"),
        (Film(np.full((20, 20), 7, np.uint8)), "the film shows nothing: every pixel is the same"),
        (film(20, 20, view="LL"), "the view is LL; the network knows frontal films only"),
        (film(20, 20, body_part="HAND"), "the film states body part HAND, not a chest"),
    ],
)
def test_an_odd_film(odd: Film, reason: str) -> None:
    assert [doubt.words for doubt in check_input(odd, CARD)] == [reason]
    assert check_input(odd, CARD)[0].refuses == ("shorter side" not in reason)


@pytest.mark.parametrize(("modality", "doubted"), [("ct_slice", True), ("mri_slice", False), ("chest_xray", False)])
def test_a_ct_without_rescale_is_doubted_by_a_reader_of_ct(modality: str, doubted: bool) -> None:
    card = CARD.model_copy(update={"modality": modality})
    found = [doubt for doubt in check_input(film(20, 20, rescale="missing"), card) if doubt.code not in SIGHTS]
    assert [(doubt.code, doubt.refuses) for doubt in found] == [("rescale", True)] * doubted


@pytest.mark.parametrize(("modality", "drawn"), [("mri_slice", head), ("ct_slice", lungs)])
def test_a_slice_is_seen_to_be_one(modality: str, drawn: Callable[..., np.ndarray]) -> None:
    card = CARD.model_copy(update={"modality": modality})
    for seed in range(20):
        assert check_input(Film(drawn(np.random.default_rng(seed))), card) == ()


@pytest.mark.parametrize("modality", ["mri_slice", "ct_slice"])
@pytest.mark.parametrize("picture", ["other slice", "skin in gray", "noise", "ramp", "page of text"])
def test_what_is_no_slice_is_doubted(modality: str, picture: str) -> None:
    """Each is referred, with its probability; `slice`, of any part of the body, is not looked at."""
    rng = np.random.default_rng(0)
    text = np.full((96, 96), 250, np.uint8)
    text[8:88:8, 8:80] = rng.integers(0, 2, (10, 72)) * 200
    pictures = {
        "other slice": lungs(rng) if modality == "mri_slice" else head(rng),
        "skin in gray": lesion(0, 96)[:, :, 1],
        "noise": rng.integers(0, 256, (96, 96)).astype(np.uint8),
        "ramp": np.arange(96, dtype=np.uint8)[None].repeat(96, axis=0),
        "page of text": text,
    }
    film = Film(pictures[picture])
    (doubt,) = check_input(film, CARD.model_copy(update={"modality": modality}))
    assert (doubt.code, doubt.refuses) == ("head_slice" if modality == "mri_slice" else "lung_slice", True)
    assert check_input(film, CARD.model_copy(update={"modality": "slice"})) == ()


def test_a_slice_with_air_around_the_body_is_one() -> None:
    around = np.full((140, 140), 70, np.uint8)
    around[20:116, 20:116] = lungs(np.random.default_rng(1))
    assert has_lung_slice(Film(around))


def test_one_pixel_is_something():
    pixels = np.full((20, 20), 7, np.uint8)
    pixels[19, 19] = 8
    assert check_input(Film(pixels), CARD) == ()


def test_every_reason_is_told() -> None:
    odd = Film(np.zeros((4, 40), np.uint8), facts={"view": "LATERAL", "body_part": "FOOT"})
    assert len(check_input(odd, CARD)) == 5


@pytest.mark.parametrize(
    "view",
    [
        "PA",
        "ap",
        "FRONTAL",
        "AP PORTABLE",
        "PA ERECT",
        "UNKNOWN",
        "P.A.",
        "POSTERO-ANTERIOR",
        "FRENTE",
        "face",
        "PA/LAT",
    ],
)
def test_a_view_that_is_frontal_or_decides_nothing(view: str) -> None:
    assert check_input(film(20, 20, view=view), CARD) == ()


@pytest.mark.parametrize("view", ["LATERAL", "LL", "left lat", "Profil", "PERFIL", "seitlich", "OBLIQUE"])
def test_a_view_that_is_not(view: str) -> None:
    assert view_said({"view": view})[0] == "no"


@pytest.mark.parametrize(
    "part", ["CHEST PA", "PORT CHEST", "TORAX", "Thorax AP", "TÓRAX", "Brustkorb", "胸部", "ZACHARIAS", "CHEST_2VIEWS"]
)
def test_a_part_that_is_a_chest_or_decides_nothing(part: str) -> None:
    assert check_input(film(20, 20, body_part=part), CARD) == ()


@pytest.mark.parametrize("part", ["HAND", "Left knee", "THORACIC SPINE", "Schädel", "ABDOMEN AP", "C-SPINE"])
def test_a_part_that_is_not(part: str) -> None:
    assert part_said({"body_part": part})[0] == "no"


def test_only_known_words_are_quoted() -> None:
    (doubt,) = check_input(film(20, 20, body_part="HAND OF ZACHARIAS"), CARD)
    assert doubt.words == "the film states body part HAND, not a chest"


@pytest.mark.parametrize("modality", ["CT", "MG", "MR", "US"])
def test_another_modality_is_doubted(modality: str) -> None:
    (doubt,) = check_input(film(20, 20, modality=modality), CARD)
    assert doubt.refuses
    assert modality in doubt.words


@pytest.mark.parametrize("damage", ["step", "leftover", "overflow"])
def test_damage_is_doubted(damage: str) -> None:
    (doubt,) = check_input(film(20, 20, damage=damage), CARD)
    assert doubt.refuses
    assert doubt.words.startswith("the file looks damaged: ")


def test_a_film_of_few_levels_that_the_gate_refuses_says_so() -> None:
    """Before, a film that used a tenth of its range was told that it is no frontal chest film."""
    flat = Film((np.arange(400) % 20 + 100).reshape(20, 20).astype(np.uint8))
    assert check_input(flat, CARD) == ()
    (doubt,) = check_input(flat, CARD, refused=True)
    assert doubt.words == "the film uses 20 of 256 gray levels; set its window and export it again"
    assert doubt.explains


@pytest.mark.parametrize(
    ("stated", "doubted"),
    [
        *(("001Y", False), ("005Y", False), ("018M", False), ("5", False), ("", False), ("unknown", False)),
        *(("006Y", True), ("011M", True), ("003W", True), ("034Y", True), ("40", True)),
    ],
)
def test_an_age_outside_those_learned_from(stated: str, doubted: bool) -> None:
    children = CARD.model_copy(update={"population": Population(ages=(1, 5))})
    found = check_input(film(20, 20, age=stated), children)
    assert [doubt.code for doubt in found] == ["age"] * doubted
    assert not any(stated in doubt.words for doubt in found)  # it is the patient's
    assert check_input(film(20, 20, age=stated), CARD) == ()  # a card that states no ages
