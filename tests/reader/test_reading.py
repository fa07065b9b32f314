"""What a reading tells a person: its bands, its words, its picture."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

import lucency
from lucency.bundle import DEFAULT, Abstention, Card, Gate, Model, OperatingPoint
from lucency.errors import FilmError, UsageError
from lucency.film import as_film, open_film
from lucency.reader import Band, Reader
from lucency.reader.outputs import bands, bands_line, why

FILM = DEFAULT / "golden" / "pneumonia.png"


def card(threshold: float, least: tuple[float, ...] = ()) -> Card:
    return Card(
        name="x",
        labels=("normal", "ill"),
        model=Model(format="onnx", file="m", backbone="none"),
        operating_point=OperatingPoint(threshold=threshold),
        abstention=Abstention(method="conformal", least=least) if least else Abstention(),
        gate=Gate(),
    )


@pytest.mark.parametrize(
    ("threshold", "least", "printed"),
    [
        (0.4, (), "normal below 0.40, ill from 0.40"),
        # Normal is in the set up to 0.8, ill from 0.3: between, both are.
        (0.5, (0.2, 0.3), "normal below 0.30, refer 0.30 to 0.80, ill from 0.80"),
        # Normal up to 0.3, ill from 0.8: between, neither is.
        (0.5, (0.7, 0.8), "normal below 0.30, refer 0.30 to 0.80, ill from 0.80"),
        (0.0, (), "always ill"),
    ],
)
def test_bands(threshold: float, least: tuple[float, ...], printed: str) -> None:
    assert bands_line(card(threshold, least)) == printed
    found = bands(card(threshold, least))
    assert (found[0].low, found[-1].high) == (0.0, 1.0)
    assert all(one.high == two.low for one, two in pairwise(found))


def test_a_verdict_that_a_doubt_decides_is_not_explained_by_its_band() -> None:
    found = (Band("normal", 0, 0.5), Band("ill", 0.5, 1))
    assert why(found, 0.7, "ill") == "0.50 or more"
    assert why(found, 0.7, "uncertain") == ""


@pytest.fixture(scope="module")
def reader() -> Reader:
    return lucency.load()


def test_a_reading_is_one_line_and_names_no_film(reader: Reader) -> None:
    said = repr(reader.read(FILM))
    assert "\n" not in said
    assert len(said) < 100
    assert "golden" not in said


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [tag, *(value or "" for name, value in attrs if name in ("src", "href"))]


def test_a_notebook_shows_film_map_bands_and_doubts_without_a_request(reader: Reader) -> None:
    page = reader.read(FILM)._repr_html_()
    tags = Tags()
    tags.feed(page)
    assert tags.found.count("img") == 2
    assert all(not found.startswith("http") for found in tags.found)
    assert "script" not in tags.found
    assert bands_line(reader.card) in page
    assert lucency.NOTICE in page
    assert len(page) < 200_000


def test_noise_gets_a_reason_and_no_number(reader: Reader) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
    reading = reader.read(noise)
    assert (reading.verdict, reading.probability, reading.logit) == ("uncertain", None, None)
    assert "no frontal chest film" in reading.withheld
    assert not reading.map.any()
    assert reading._repr_html_().count("<img") == 1
    assert "0." not in reading.answer


@pytest.mark.parametrize("seed", range(3))
def test_noise_and_what_is_turned_get_no_number(reader: Reader, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gray = open_film(FILM).gray8()
    sparse = (rng.random((400, 300)) < 0.2).astype(np.uint8) * 255
    pixel = np.full((300, 300), 200, np.uint8)
    pixel[150, 20] = 0
    white = rng.integers(0, 256, (200, 300), dtype=np.uint8)
    for picture in (white, sparse, pixel, np.rot90(gray).copy(), 255 - gray):
        assert reader.read(picture).probability is None


def test_a_plot_has_film_and_map(reader: Reader) -> None:
    assert len(reader.read(FILM).plot().axes) == 2
    ((_, kept),) = reader.read_many([FILM])
    assert not isinstance(kept, FilmError)
    with pytest.raises(UsageError, match="without keeping its film"):
        kept.plot()
    assert "img" not in kept._repr_html_()


def test_whatever_holds_a_film_reads_alike(reader: Reader) -> None:
    with FILM.open("rb") as file, Image.open(FILM) as picture:
        picture.load()
        sources = [FILM, str(FILM), FILM.read_bytes(), file, picture, np.asarray(picture), open_film(FILM)]
        answers = {reader.read(source).probability for source in sources}
    assert len(answers) == 1


def test_a_picture_keeps_its_turn() -> None:
    lying = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    exif = Image.Exif()
    exif[274] = 6  # to be shown turned clockwise
    stream = io.BytesIO()
    lying.save(stream, "PNG", exif=exif)
    with Image.open(io.BytesIO(stream.getvalue())) as picture:
        assert (as_film(picture).pixels == open_film(stream.getvalue()).pixels).all()


def test_a_data_set_in_memory(tmp_path: Path) -> None:
    from pydicom.data import get_testdata_file

    path = get_testdata_file("RG1_J2KI.dcm") or pytest.skip("needs the package pydicom-data")
    assert (as_film(pydicom.dcmread(path)).pixels == open_film(path).pixels).all()


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (np.zeros((3, 3)), "uint8 or uint16"),
        (np.zeros((3, 3, 2), np.uint8), "uint8 or uint16"),
        (np.zeros((0, 3), np.uint8), "uint8 or uint16"),
        (Image.new("F", (3, 3)), "floating-point"),
        (io.StringIO("text"), "mode 'rb'"),
        (None, "got NoneType"),
        (7, "got int"),
    ],
)
def test_what_holds_no_film_is_refused_by_name(odd: object, says: str) -> None:
    with pytest.raises(FilmError, match=says):
        as_film(odd)  # type: ignore[arg-type]
