"""Reasons to doubt, one film each."""

from __future__ import annotations

import numpy as np
import pytest

from lucency.bundle import Card, Model, Square
from lucency.film import Film
from lucency.reader.input_checks import check_input

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
        (film(15, 16), "the film has 16×15 pixels, fewer than the 16 the network sees"),
        (film(16, 33), "the film is 33×16, too narrow or too wide for a whole chest"),
        (film(33, 16), "the film is 16×33, too narrow or too wide for a whole chest"),
        (Film(np.full((20, 20), 7, np.uint8)), "the film shows nothing: every pixel is the same"),
        (film(20, 20, view="LL"), "the view is LL; the network knows frontal films only"),
        (film(20, 20, body_part="HAND"), "the film states body part HAND, not a chest"),
    ],
)
def test_an_odd_film(odd: Film, reason: str) -> None:
    assert [doubt.words for doubt in check_input(odd, CARD)] == [reason]
    assert check_input(odd, CARD)[0].refuses == ("fewer than" not in reason)


def test_one_pixel_is_something():
    pixels = np.full((20, 20), 7, np.uint8)
    pixels[19, 19] = 8
    assert check_input(Film(pixels), CARD) == ()


def test_every_reason_is_told() -> None:
    odd = Film(np.zeros((4, 40), np.uint8), facts={"view": "LATERAL", "body_part": "FOOT"})
    assert len(check_input(odd, CARD)) == 5
