"""What is not the usual 8-bit RGB picture of the right kind gets the right answer, or one line that says what to do."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from film.test_raster import png
from lucency.bundle import DEFAULT, Abstention
from lucency.cli import run
from lucency.errors import FilmError
from lucency.reader import Reader
from lucency.serve.routes import ReadingAnswer
from reader.colours import SIDE, lesion, write_colour_bundle

PICTURE = lesion()


@pytest.fixture(scope="module")
def skin(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader.open(write_colour_bundle(tmp_path_factory.mktemp("skin") / "b", "skin", ("bcc", "mel", "nv")))


def stored(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def test_sixteen_bits_of_colour_are_read_by_their_upper_eight(skin: Reader) -> None:
    low = np.random.default_rng(1).integers(0, 256, PICTURE.shape)
    deep = (PICTURE.astype(np.uint16) * 256 + low).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    assert np.array_equal(skin.read(png(rows, SIDE, SIDE, 16, 2)).logits, skin.read(PICTURE).logits)


def test_cmyk_is_refused_in_one_line(skin: Reader) -> None:
    with pytest.raises(FilmError, match=r"found a CMYK image \(JPEG\); expected .*; save it as .* RGB") as caught:
        skin.read(stored(Image.fromarray(PICTURE).convert("CMYK"), "JPEG"))
    assert "\n" not in str(caught.value)


def test_alpha_counts_where_it_hides_something(skin: Reader) -> None:
    picture = Image.fromarray(PICTURE).convert("RGBA")
    assert np.array_equal(skin.read(stored(picture)).logits, skin.read(PICTURE).logits)
    picture.putpixel((2, 3), (10, 20, 30, 200))
    with pytest.raises(FilmError, match=r"transparent parts.*without alpha"):
        skin.read(stored(picture))


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_photograph_is_turned_back(skin: Reader, orientation: int) -> None:
    exif, turns = Image.Exif(), {3: 2, 6: 1, 8: 3}[orientation]
    exif[274] = orientation
    turned = stored(Image.fromarray(np.rot90(PICTURE, turns).copy()), exif=exif)
    assert skin.read(turned).maps == pytest.approx(skin.read(PICTURE).maps)


def test_forty_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tuple(f"kind {number}" for number in range(40))
    sets = Abstention(method="conformal", least=(0.02,) * 40)
    bundle = write_colour_bundle(tmp_path / "b", "skin", labels, abstention=sets)
    reading = Reader.open(bundle).read(PICTURE)
    assert reading.probabilities.sum() == pytest.approx(1)
    assert list(reading.leading) == np.argsort(-reading.probabilities)[:3].tolist()
    assert len(reading.maps) == 40
    assert reading.verdict == "uncertain"
    assert reading.doubts == ("several",)
    held = tuple(label for label, chance in zip(labels, reading.probabilities, strict=True) if chance >= 0.02)
    assert reading.prediction_set == held
    assert reading.answer.endswith(f": refer (one of {len(held)} classes)")
    assert reading.warnings == (f"{len(held)} of 40 classes remain possible",)
    assert ReadingAnswer.model_validate({**reading.to_json(), "film": "film"}).prediction_set == list(held)
    (tmp_path / "spot.png").write_bytes(stored(Image.fromarray(PICTURE)))
    assert run(["read", str(tmp_path / "spot.png"), "--bundle", str(bundle), "--map", str(tmp_path / "maps")]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "spot.png" in line)
    assert line.count("kind ") == 3
    assert len(list((tmp_path / "maps").iterdir())) == 3


def test_a_set_of_two_is_named(tmp_path: Path) -> None:
    sets = Abstention(method="conformal", least=(0.3, 0.3, 0.9))
    bundle = write_colour_bundle(
        tmp_path / "b", "skin", ("bcc", "mel", "nv"), weights=np.zeros((3, 3)), abstention=sets
    )
    reading = Reader.open(bundle).read(PICTURE)
    assert reading.answer.endswith(": refer (bcc or mel)")
    assert reading.to_json()["prediction_set"] == ["bcc", "mel"]
    assert reading.warnings == ("2 of 3 classes remain possible: bcc, mel",)


def test_a_set_of_none_is_told(tmp_path: Path) -> None:
    sets = Abstention(method="conformal", least=(0.9, 0.9, 0.9))
    bundle = write_colour_bundle(
        tmp_path / "b", "skin", ("bcc", "mel", "nv"), weights=np.zeros((3, 3)), abstention=sets
    )
    reading = Reader.open(bundle).read(PICTURE)
    assert reading.doubts == ("neither",)
    assert reading.warnings == ("no class is probable enough: such skin photographs are often read wrongly",)


def test_gray_given_to_a_reader_of_colour_and_the_reverse(skin: Reader, tmp_path: Path) -> None:
    gray = skin.read(np.asarray(Image.fromarray(PICTURE).convert("L")))
    mri = Reader.open(write_colour_bundle(tmp_path / "b", "mri_slice", ("glioma", "none", "pituitary")))
    for reading, why in ((gray, "has no colour"), (mri.read(PICTURE), "is in colour")):
        assert reading.verdict == "uncertain"
        assert reading.probability is None
        assert why in reading.withheld
        assert reading.leading == {}
        assert not reading.map.any()


def test_a_skin_photograph_given_to_the_reader_of_chest_films() -> None:
    if not DEFAULT.is_dir():
        pytest.skip("needs the bundle that ships")
    reading = Reader.open().read(lesion(3, 240))
    assert (reading.verdict, reading.probability) == ("uncertain", None)
    assert reading.withheld == "the picture is in colour; the network knows chest films in gray"
    assert "colour" in reading.doubts


def test_a_bundle_may_be_named_in_text(skin: Reader) -> None:
    assert Reader.open(str(skin.bundle.path)).card == skin.card
