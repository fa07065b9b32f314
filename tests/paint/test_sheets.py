"""Pages: sizes, marks and captions; that a person can see them is checked by looking."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from lucency import NOTICE
from lucency.errors import ExplainError
from lucency.film import Film
from lucency.paint import WARN, Legend, map_alone, overlay, png
from lucency.paint.sheets import contact_sheet, side_by_side
from lucency.preprocess import Preprocess

FILM = Film(np.tile(np.linspace(0, 255, 120).astype(np.uint8), (80, 1)))
EVIDENCE = np.array([[0, 8], [-8, 0]], np.float32)


def test_overlay_keeps_the_films_size_and_shape() -> None:
    for draw in (overlay, map_alone):
        assert draw(FILM, EVIDENCE, Preprocess()).size == (120, 80)


def test_an_all_zero_map_shows_the_film_alone() -> None:
    plain = np.asarray(overlay(FILM, np.zeros((7, 7), np.float32), Preprocess()))
    assert (plain == FILM.pixels[:, :, None]).all()


def test_evidence_lies_at_its_corner() -> None:
    picture = np.asarray(overlay(FILM, EVIDENCE, Preprocess())).astype(int)
    heat = picture[:, :, 0] - picture[:, :, 2]
    assert heat[2, -3] > 60
    assert heat[2, 2] == heat[-3, -3] == heat[-3, 2] == 0


def test_two_films_share_one_scale() -> None:
    """Half the evidence is drawn weaker, not stretched to the same colours."""
    weak, strong = (np.asarray(map_alone(FILM, EVIDENCE * k, Preprocess())).astype(int)[2, -3] for k in (0.5, 1.0))
    assert strong[0] - strong[2] > weak[0] - weak[2] > 0


@pytest.mark.parametrize("side", [28, 400])
def test_a_mark_is_drawn_on_every_picture_of_the_map(side: int) -> None:
    film = Film(np.zeros((side, side), np.uint8))
    legend = Legend(mark="Fails the randomisation test")
    one = overlay(film, EVIDENCE, Preprocess(), legend)
    pages = [one, side_by_side(film, EVIDENCE, Preprocess(), legend), contact_sheet([("a", one)], legend)]
    for page in pages:
        assert sum(count for count, colour in page.getcolors(1 << 24) if colour == WARN) > side
    unmarked = side_by_side(film, EVIDENCE, Preprocess())
    assert WARN not in [colour for _, colour in unmarked.getcolors(1 << 24)]


def test_a_contact_sheet_holds_every_film() -> None:
    pictures = [(f"{n}", Image.new("RGB", (60, 40), (n, 200, 7))) for n in range(7)]
    colours = {colour for _, colour in contact_sheet(pictures, tile=60).getcolors(1 << 24)}
    assert {(n, 200, 7) for n in range(7)} <= colours
    with pytest.raises(ExplainError, match="at least one film"):
        contact_sheet([])


def test_png_says_research_only_and_nothing_of_the_film() -> None:
    film = Film(FILM.pixels, name="Doe^Jane.dcm", facts={"patient": "Doe^Jane"})
    content = png(side_by_side(film, EVIDENCE, Preprocess()))
    picture = Image.open(io.BytesIO(content))
    assert picture.info["Description"] == NOTICE
    assert b"Jane" not in content


def test_a_film_of_one_pixel() -> None:
    film = Film(np.zeros((1, 1), np.uint8))
    assert overlay(film, np.ones((1, 1), np.float32), Preprocess()).size == (1, 1)
    side_by_side(film, np.ones((1, 1), np.float32), Preprocess())
