"""The page's decoders: the pixels of Pillow and pydicom, and a refusal in words for everything else."""

from __future__ import annotations

import base64
import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import (
    JPEG2000,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from film.conftest import MakeDicom
from film.test_lossless_jpeg import encoded
from lucency.data.phantom import draw
from lucency.errors import FilmError
from lucency.files import sha256_bytes
from lucency.film import open_film
from web.browser import read, served
from web.test_parity import stored

pytestmark = pytest.mark.long

RNG = np.random.default_rng(1)
RAMP12 = (np.arange(48 * 60, dtype=np.uint16) % 4096).reshape(48, 60)


@pytest.fixture(scope="module")
def tab(browser: Any, pages: dict[str, Path]) -> Any:
    with served(pages["int8"]) as address:
        page = browser.new_page()
        page.goto(f"{address}probe.html")
        yield page


def same(tab: Any, films: list[bytes]) -> None:
    """Every film has the pixels that Python gives it, to the bit, 16 bits where it has 16."""
    for number, (here, data) in enumerate(zip(read(tab, films), films, strict=True)):
        assert "error" not in here, (number, here)
        film = open_film(data)
        assert (here["height"], here["width"]) == film.shape, number
        assert here["pixels"] == sha256_bytes(film.gray8().tobytes()), number
        assert here["facts"].get("damage") == film.facts.get("damage"), number
        if film.pixels.dtype == np.uint16:
            assert here["wide"] == sha256_bytes(film.pixels.astype("<u2").tobytes()), number


def test_png(tab: Any) -> None:
    gray = RNG.integers(0, 256, (37, 53)).astype(np.uint8)
    colour = RNG.integers(0, 256, (37, 53, 3)).astype(np.uint8)
    opaque = np.dstack([colour, np.full(gray.shape, 255, np.uint8)])
    wide = RNG.integers(0, 65536, (37, 53)).astype(np.uint16)
    smooth = np.add.outer(np.arange(90), np.arange(70)).astype(np.uint8)  # here encoders use every filter
    turned = [stored(gray, "PNG", exif=_orientation(turn)) for turn in range(1, 9)]
    same(tab, [stored(film, "PNG") for film in (gray, colour, opaque, wide, smooth)] + turned)


def test_jpeg(tab: Any) -> None:
    smooth = np.add.outer(np.arange(190), np.arange(170)).astype(np.uint8)
    films = [stored(smooth, "JPEG", quality=quality) for quality in (50, 90, 100)]
    films += [stored(smooth, "JPEG", exif=_orientation(turn)) for turn in range(1, 9)]
    same(tab, films)


def test_a_step_in_brightness_is_seen(tab: Any) -> None:
    """All blocks behind one block brighter by one amount, as behind a wrong DC difference; and the same without."""
    film = draw(3, ill=True, side=320).film[:320, :320].astype(int).clip(20, 200)
    blocks = np.arange(1600).reshape(40, 40).repeat(8, axis=0).repeat(8, axis=1)
    stepped = (film + np.where(blocks > 700, 30, 0)).astype(np.uint8)
    data = [stored(one, "JPEG", quality=92) for one in (stepped, film.astype(np.uint8))]
    assert [open_film(one).facts.get("damage") for one in data] == ["step", None]
    same(tab, data)


def test_values_beyond_the_bits_of_the_header(tab: Any, make_dicom: MakeDicom) -> None:
    """The highest would be cut off: a sign of damage; not so overlays, signs and signed padding."""
    over = RAMP12.copy()
    over[3, 4] = 5000
    padded = RAMP12.copy()
    padded[:5] = 0xF830
    films = [
        make_dicom(over, BitsStored=12),
        make_dicom(RAMP12.astype(np.int16) - 2048, BitsStored=12),
        make_dicom(padded, BitsStored=12, PixelPaddingValue=0xF830),
    ]
    assert [open_film(data).facts.get("damage") for data in films] == ["overflow", None, None]
    same(tab, films)


DOUBTS = """async (facts) => {
  const { inputDoubts } = await import("./reading.js");
  const card = { preprocess: { image_size: 4, resize_mode: "stretch" }, population: { ages: [1, 5] } };
  const film = { pixels: Uint8Array.from({ length: 64 }, (_, i) => i), width: 8, height: 8 };
  return facts.map((age) => inputDoubts({ ...film, facts: { age } }, card).map(({ code }) => code));
}"""


def test_an_age_outside_those_learned_from_is_a_doubt(tab: Any) -> None:
    ages = {"034Y": ["age"], "005Y": [], "011M": ["age"], "015M": [], "6": ["age"], "": [], "old": []}
    assert tab.evaluate(DOUBTS, list(ages)) == list(ages.values())


def _orientation(turn: int) -> bytes:
    exif = Image.Exif()
    exif[274] = turn
    return exif.tobytes()


def test_dicom_in_every_plain_syntax(tab: Any, make_dicom: MakeDicom) -> None:
    gray = (RAMP12 >> 4).astype(np.uint8)
    films = [
        make_dicom(RAMP12, BitsStored=12),
        make_dicom(RAMP12, BitsStored=12, syntax=ImplicitVRLittleEndian),
        make_dicom(RAMP12.astype(">u2"), BitsStored=12, syntax=ExplicitVRBigEndian),
        make_dicom(gray),
        make_dicom((RAMP12.astype(np.int16) - 2048), BitsStored=12),
        make_dicom(RAMP12 | np.uint16(0xA000), BitsStored=12),
        make_dicom(RAMP12 << np.uint16(4), BitsStored=12, HighBit=15),
        make_dicom(gray[:, :59][:47]),
    ]
    bare = pydicom.dcmread(io.BytesIO(make_dicom(RAMP12, BitsStored=12, syntax=ImplicitVRLittleEndian)))
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, bare, implicit_vr=True, little_endian=True, enforce_file_format=False)
    same(tab, [*films, stream.getvalue()])


def test_dicom_gray_by_its_header(tab: Any, make_dicom: MakeDicom, make_lut: Callable[..., Any]) -> None:
    table = [int(value) for value in np.linspace(0, 4095, 4096) ** 1.1 / 4095**0.1]
    headers: list[dict[str, Any]] = [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        {"WindowCenter": [1500, 900], "WindowWidth": [700, 90]},
        {"WindowCenter": 1500, "WindowWidth": 1},
        {"WindowCenter": 1500, "WindowWidth": 0},
        {"WindowCenter": 1500.5, "WindowWidth": 801.25, "VOILUTFunction": "LINEAR_EXACT"},
        {"RescaleSlope": 1.5, "RescaleIntercept": -200},
        {"RescaleSlope": -1, "RescaleIntercept": 4095, "WindowCenter": 2000, "WindowWidth": 2500},
        {"PixelPaddingValue": 7},
        {"PixelPaddingValue": 4000, "PixelPaddingRangeLimit": 4095},
        {"VOILUTSequence": [make_lut(table, 0, 12)]},
        {"VOILUTSequence": [make_lut(table[:900], -20, 12)], "RescaleSlope": 1, "RescaleIntercept": -30},
        {"ModalityLUTSequence": [make_lut(table, 5, 12)], "WindowCenter": 900, "WindowWidth": 1200},
    ]
    same(tab, [make_dicom(RAMP12, BitsStored=12, **header) for header in headers])


def test_sigmoid_window(tab: Any, make_dicom: MakeDicom) -> None:
    """The exponential may differ in its last bit, so 16-bit levels here and there; what is read may not."""
    header = {"WindowCenter": 1500, "WindowWidth": 800, "VOILUTFunction": "SIGMOID"}
    data = make_dicom(RAMP12, BitsStored=12, **header)
    (here,) = read(tab, [data])
    assert here["pixels"] == sha256_bytes(open_film(data).gray8().tobytes())


def compressed(data: bytes, syntax: str, frame: bytes | None = None) -> bytes:
    """The same film in another transfer syntax: `frame` as it is, or encoded by pydicom."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    if frame is None:
        dataset.compress(syntax)
    else:
        dataset.PixelData = pydicom.encaps.encapsulate([frame])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


GRAY = np.add.outer(np.arange(64), np.arange(80)).astype(np.uint8)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless], ids=lambda syntax: syntax.name)
def test_compressed_dicom(tab: Any, make_dicom: MakeDicom, syntax: str) -> None:
    signed = make_dicom(RAMP12.astype(np.int16) - 2048, BitsStored=12)
    plain = [make_dicom(GRAY), make_dicom(RAMP12, BitsStored=12), make_dicom(RAMP12 * 13)]
    same(tab, [compressed(data, syntax) for data in plain + ([] if syntax == JPEGLSLossless else [signed])])


DAMAGE = """async (films) => {
  const { openFilm } = await import("./film.js");
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const damage = (film) => openFilm(bytes(film)).then(({ facts }) => facts.damage ?? "", () => "refused");
  return Promise.all(films.map(damage));
}"""


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("ratios", [None, [10.0]], ids=["lossless", "lossy"])
def test_damage_inside_jpeg_2000(tab: Any, make_dicom: MakeDicom, bits: int, ratios: list[float] | None) -> None:
    """As `lucency.film.codestream` sees it; of 16 bits the page sees what lies below the range only."""
    encode = pytest.importorskip("openjpeg.utils").encode_array
    drawn = draw(3, ill=True, side=200).film
    codes = drawn if bits == 8 else drawn.astype(np.uint16) << (bits - 8)
    sound, rng = bytes(encode(codes, bits_stored=bits, compression_ratios=ratios)), random.Random(5)
    streams = [sound]
    for _ in range(12):
        broken = bytearray(sound)
        at = sound.index(b"\xff\x93") + rng.randrange(60, 400)  # the coarse waves, which come first
        broken[at : at + 300] = rng.randbytes(300)
        streams.append(bytes(broken))
    plain = make_dicom(codes, BitsStored=bits)
    films = [compressed(plain, JPEG2000 if ratios else JPEG2000Lossless, stream) for stream in streams]
    same(tab, films[:1])
    told = tab.evaluate(DAMAGE, [base64.b64encode(film).decode() for film in films])
    there = [_damage(film) for film in films]
    assert told[0] == there[0] == ""
    assert there.count("overshoot") > 5
    missed = sum(page == "" for page, python in zip(told, there, strict=True) if python == "overshoot")
    assert missed <= (0.2 * there.count("overshoot") if bits == 16 else 0)


def _damage(film: bytes) -> str:
    try:
        return str(open_film(film).facts.get("damage", ""))
    except FilmError:
        return "refused"


def test_jpeg_in_dicom(tab: Any, make_dicom: MakeDicom) -> None:
    same(tab, [compressed(make_dicom(GRAY), JPEGBaseline8Bit, stored(GRAY, "JPEG", quality=95))])
    ways: list[dict[str, int]] = [{}, *({"predictor": number} for number in range(2, 6)), {"restart": 6}]
    lossless = [encoded(RAMP12, bits=12, **way) for way in ways] + [encoded(RAMP12 * 13)]
    films = [compressed(make_dicom(RAMP12, BitsStored=12), JPEGLosslessSV1, frame) for frame in lossless[:-1]]
    same(tab, [*films, compressed(make_dicom(RAMP12), JPEGLossless, lossless[-1])])


def test_what_a_codestream_says_of_itself_counts(tab: Any, make_dicom: MakeDicom) -> None:
    """A stream of another size or cut short is refused, and so is a syntax that is not read."""
    small, other = make_dicom(RAMP12, BitsStored=12), make_dicom(RAMP12[:40], BitsStored=12)
    broken = []
    for syntax in (JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1):
        frame = encoded(RAMP12, bits=12)
        if syntax != JPEGLosslessSV1:
            frame = pydicom.encaps.get_frame(pydicom.dcmread(io.BytesIO(compressed(small, syntax))).PixelData, 0)
        broken += [compressed(other, syntax, frame), compressed(small, syntax, frame[: len(frame) // 2])]
    for told in read(tab, broken):
        assert told["kind"] == "FilmError"
        assert "DICOM" in told["error"] or "JPEG" in told["error"]
    (told,) = read(tab, [compressed(small, HTJ2KLossless, b"\0\0")])
    assert "High-Throughput JPEG 2000" in told["error"]
    assert "decompress it first" in told["error"]


def test_real_dicom(tab: Any, pydicom_data: Path) -> None:
    names = ("RG1_UNCR.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm", "JPEG-LL.dcm", "RG3_J2KI.dcm")
    same(tab, [(pydicom_data / name).read_bytes() for name in names if (pydicom_data / name).is_file()])


def test_real_jpeg_2000(tab: Any, shared: Path) -> None:
    same(tab, [path.read_bytes() for path in sorted((shared / "data/dicom").glob("*_J2KI.dcm"))])


def test_refusals_say_what_was_found(tab: Any, make_dicom: MakeDicom) -> None:
    gray = np.zeros((40, 40), np.uint8)
    holes = np.zeros((40, 40, 4), np.uint8)
    told = {
        b"": "an empty file",
        b"GIF89a....": "a GIF image",
        b"\0" * 99: "a file of zeros",
        b"<html></html>": "a web page",
        b"hello": "a text file",
        stored(gray, "TIFF"): "a TIFF",
        stored(holes, "PNG"): "transparent",
        stored(gray > 1, "PNG"): "1 bit a pixel",
        _palette(): "palette",
        _cmyk(): "CMYK",
        stored(gray, "PNG")[:-30]: "a PNG that cannot be decoded",
        make_dicom(RAMP12, BitsStored=12, NumberOfFrames=2): "2 frames",
        make_dicom(RAMP12, BitsStored=12, PresentationIntentType="FOR PROCESSING"): "FOR PROCESSING",
        make_dicom(RAMP12, BitsStored=12, PhotometricInterpretation="RGB"): "colour",
        make_dicom(RAMP12, BitsStored=12, without=("PixelData",)): "without integer pixels",
        make_dicom(RAMP12, BitsStored=12, without=("Rows",)): "without Rows",
        make_dicom(RAMP12, BitsStored=12, Rows=60000): "60 x 60000",
        make_dicom(RAMP12, BitsStored=12, Rows=4800): "pixels are not those",
        make_dicom(RAMP12, BitsStored=12, RescaleSlope=0): "RescaleSlope 0",
        make_dicom(RAMP12, BitsStored=12, WindowCenter=9, WindowWidth=9, VOILUTFunction="CURVE"): "CURVE",
    }
    for here, words in zip(read(tab, list(told)), told.values(), strict=True):
        assert here.get("kind") == "FilmError", (words, here)
        assert words in here["error"]
        assert "expected PNG or JPEG" in here["error"]


def _palette() -> bytes:
    stream = io.BytesIO()
    Image.new("P", (40, 40)).save(stream, "PNG")
    return stream.getvalue()


def _cmyk() -> bytes:
    stream = io.BytesIO()
    Image.new("CMYK", (40, 40)).save(stream, "JPEG")
    return stream.getvalue()


def test_broken_films_are_refused_and_nothing_hangs(tab: Any, make_dicom: MakeDicom) -> None:
    """Some changed films are sound; each of the others is refused as a film, never an error of the program."""
    rnd = random.Random(5)
    gray = np.add.outer(np.arange(64), np.arange(80)).astype(np.uint8)
    sound = [stored(gray, "PNG"), stored(gray, "JPEG"), make_dicom(gray), make_dicom(RAMP12, BitsStored=12)]
    broken = []
    for number in range(400):
        data = bytearray(sound[number % 4])
        for _ in range(rnd.randint(1, 6)):
            data[rnd.randrange(len(data) if rnd.random() < 0.3 else min(400, len(data)))] = rnd.randrange(256)
        broken.append(bytes(data[: rnd.randrange(len(data))] if rnd.random() < 0.4 else data))
    told = read(tab, broken)
    assert {here["kind"] for here in told if "error" in here} == {"FilmError"}
    assert 100 < sum("error" in here for here in told) < 400
