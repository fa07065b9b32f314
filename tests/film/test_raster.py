"""PNG, JPEG and TIFF: faithful gray, upright; what is refused and how that is worded."""

from __future__ import annotations

import gc
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from lucency.errors import FilmError
from lucency.film import open_film, raster
from lucency.film.raster import gray_pixels

RANDOM = np.random.default_rng(3)
GRAY8 = RANDOM.integers(0, 256, (6, 9)).astype(np.uint8)
GRAY16 = RANDOM.integers(0, 65536, (6, 9)).astype(np.uint16)
COLOUR = RANDOM.integers(0, 256, (6, 9, 3)).astype(np.uint8)


def encoded(pixels: Any, kind: str, **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def tiff(pixels: np.ndarray, order: str = "<", **tags: int) -> bytes:
    """A TIFF of one uncompressed strip, tag by tag (TIFF 6.0), for what Pillow does not write."""
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    bits = pixels.dtype.itemsize * 8
    directory = {256: pixels.shape[1], 257: pixels.shape[0], 258: bits, 259: 1, 262: 1, 273: 0, 277: samples}
    directory |= {278: pixels.shape[0], 279: pixels.nbytes} | {int(tag[1:]): value for tag, value in tags.items()}
    directory[273] = 8 + 2 + 12 * len(directory) + 4
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in sorted(directory.items()))
    return head + struct.pack(order + "H", len(directory)) + entries + bytes(4) + pixels.tobytes()


def png(pixels: bytes, width: int, height: int, bits: int, colour: int) -> bytes:
    """A PNG, chunk by chunk (ISO 15948), for what Pillow does not write; `pixels` are rows with their filter byte."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">2I5B", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("pixels", [GRAY8, GRAY16], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "tiff_deflate"})],
)
def test_lossless_gray_comes_as_it_is(kind, options, pixels):
    film = open_film(encoded(pixels, kind, **options))
    assert film.pixels.dtype == pixels.dtype
    assert np.array_equal(film.pixels, pixels)
    assert film.facts == {"format": kind, "bits": str(pixels.dtype.itemsize * 8)}


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 50}])
def test_jpeg_gray_is_what_pillow_decodes(options):
    data = encoded(GRAY8, "JPEG", **options)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(open_film(data).pixels, np.asarray(image))


def test_gray_stored_as_colour_is_gray():
    film = open_film(encoded(np.repeat(GRAY8[..., None], 3, axis=2), "PNG"))
    assert np.array_equal(film.pixels, GRAY8)
    assert "colour" not in film.facts


def test_slight_tints_of_compression_are_no_colour():
    tinted = np.stack([GRAY8 // 2 + 40, GRAY8 // 2 + 44, GRAY8 // 2 + 56], axis=2)
    assert "colour" not in open_film(encoded(tinted, "PNG")).facts
    assert open_film(encoded(tinted + np.array([0, 0, 1], np.uint8), "PNG")).facts["colour"] == "true"


def test_true_colour_becomes_luma_and_says_so():
    film = open_film(encoded(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 200]]], np.uint8), "PNG"))
    # ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B.
    assert film.pixels.tolist() == [[76, 150, 29, round(2.99 + 11.74 + 22.8)]]
    assert film.facts["colour"] == "true"


def test_luma_is_the_integer_formula_of_the_specification():
    film = open_film(encoded(COLOUR, "PNG"))
    red, green, blue = (COLOUR[..., i].astype(int) for i in range(3))
    assert np.array_equal(film.pixels, (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16)


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_in_either_byte_order(order):
    pixels = GRAY16.astype(order + "u2")
    assert np.array_equal(open_film(tiff(pixels, order)).pixels, GRAY16)


@pytest.mark.parametrize(("pixels", "top"), [(GRAY8, 255), (GRAY16, 65535)], ids=["8 bits", "16 bits"])
def test_tiff_that_says_white_is_zero_is_turned_to_bright(pixels, top):
    assert np.array_equal(open_film(tiff(pixels, t262=0)).pixels, top - pixels)


def test_sixteen_bit_colour_keeps_its_high_bytes():
    value = struct.pack(">3H", 0x8142, 0x8142, 0x8142)
    assert open_film(png(b"\0" + value, 1, 1, 16, 2)).pixels.tolist() == [[0x81]]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_upright(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(GRAY8, kind, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(open_film(data).pixels, expected)
    assert open_film(data).shape == ((9, 6) if orientation >= 5 else (6, 9))


def test_turned_upright_by_hand():
    # Orientation 6: the film's top is the stored right side, so a stored row becomes a column, first row rightmost.
    exif = Image.Exif()
    exif[0x0112] = 6
    assert open_film(encoded(np.array([[1, 2], [3, 4]], np.uint8), "PNG", exif=exif)).pixels.tolist() == [
        [3, 1],
        [4, 2],
    ]


def test_an_opaque_alpha_is_dropped():
    image = Image.fromarray(GRAY8).convert("LA")
    assert np.array_equal(open_film(encoded(image, "PNG")).pixels, GRAY8)


def test_the_first_picture_of_a_photograph_with_a_second_is_the_film():
    image = Image.fromarray(GRAY8)
    data = encoded(image, "MPO", save_all=True, append_images=[Image.fromarray(255 - GRAY8)])
    assert np.array_equal(open_film(data).pixels, open_film(encoded(image, "JPEG")).pixels)


def see_through(mode: str) -> Image.Image:
    image = Image.fromarray(GRAY8).convert(mode)
    image.putalpha(Image.new("L", image.size, 254))
    return image


def many_scans() -> bytes:
    data = encoded(GRAY8, "JPEG", progressive=True)
    scan = data[data.index(b"\xff\xda") : -2]
    return data[:-2] + scan * 70 + data[-2:]


SECOND = {"save_all": True, "append_images": [Image.fromarray(255 - GRAY8)]}

REFUSED = {
    "palette": (encoded(Image.fromarray(COLOUR).convert("P"), "PNG"), "with a palette"),
    "1 bit PNG": (encoded(Image.fromarray(GRAY8).convert("1"), "PNG"), "1 bit a pixel"),
    "4 bit PNG": (png(b"\0\x12\x34", 4, 1, 4, 0), "4 bit a pixel"),
    "1 bit TIFF": (encoded(Image.fromarray(GRAY8).convert("1"), "TIFF"), "1 bit a pixel"),
    "CMYK JPEG": (encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"), "a CMYK image"),
    "CMYK TIFF": (encoded(Image.fromarray(COLOUR).convert("CMYK"), "TIFF"), "a CMYK image"),
    "float TIFF": (encoded(GRAY8.astype(np.float32), "TIFF"), "floating-point samples"),
    "NaN TIFF": (encoded(np.full((4, 4), np.nan, np.float32), "TIFF"), "floating-point samples"),
    "32 bit TIFF": (encoded(GRAY8.astype(np.int32), "TIFF"), "32-bit or signed"),
    "signed TIFF": (tiff(GRAY16.view(np.int16), t339=2), "32-bit or signed"),
    "12 bit TIFF": (tiff(np.zeros((2, 3), np.uint8), t256=2, t258=12), "12 bits a sample"),
    "pages": (encoded(GRAY8, "TIFF", **SECOND), "several pages"),
    "APNG": (encoded(GRAY8, "PNG", **SECOND), "animated PNG"),
    "alpha": (encoded(see_through("LA"), "PNG"), "transparent parts"),
    "alpha RGB": (encoded(see_through("RGBA"), "TIFF"), "transparent parts"),
    "key colour": (encoded(GRAY8, "PNG", transparency=int(GRAY8[2, 3])), "transparent parts"),
    "key colour 16": (encoded(GRAY16, "PNG", transparency=int(GRAY16[2, 3])), "transparent parts"),
    "scans": (many_scans(), r"a JPEG of \d\d\d? scans"),
    "bomb PNG": (png(b"", 12000, 12000, 8, 0), "an image of 12000 x 12000 pixels"),
    "long PNG": (png(b"", 30000, 1, 8, 0), "30000 x 1 pixels"),
    "absurd PNG": (png(b"", 2**31 - 1, 2**31 - 1, 16, 0), "2147483647 x 2147483647"),
    "bomb TIFF": (tiff(GRAY8, t256=90000, t257=90000), "90000 x 90000"),
    "empty IDAT": (png(b"", 100, 100, 8, 0), "PNG that cannot be decoded"),
    "no size": (png(b"", 0, 5, 8, 0), "a PNG that cannot be decoded|an image of 0 x 5"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_reason(case):
    data, reason = REFUSED[case]
    with pytest.raises(FilmError, match=reason) as caught:
        open_film(data, "chest.img")
    message = str(caught.value)
    assert message.startswith("chest.img: found ")
    assert "; expected PNG, JPEG or TIFF (8 or 16 bits, gray or RGB) or DICOM" in message
    assert "\n" not in message


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9])
def test_cut_short(kind, part, capfd):
    data = encoded(RANDOM.integers(0, 256, (60, 80)).astype(np.uint8), kind)
    with pytest.raises(FilmError, match=rf"{kind} that cannot be decoded .*copy it again"):
        open_film(data[: int(len(data) * part)])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "jpeg"])
def test_a_damaged_tiff_prints_nothing(compression, capfd):
    data = bytearray(encoded(RANDOM.integers(0, 256, (60, 80)).astype(np.uint8), "TIFF", compression=compression))
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    with pytest.raises(FilmError):
        open_film(bytes(data[:-50]))
    assert capfd.readouterr() == ("", "")


def test_real_films_are_what_pillow_decodes(shared):
    paths = sorted((shared / "data/originals/train").glob("*/*"))[:12] + sorted(
        (shared / "data/originals/train/PNEUMONIA").glob("person[45]*")
    )
    assert paths
    for path in paths:
        with Image.open(path) as image:
            assert np.array_equal(open_film(path).pixels, np.asarray(image.convert("L"))), path.name
        assert "colour" not in open_film(path).facts, path.name


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    return Image.fromarray(noise).copy()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 7), (7, 1), (5, 3), (1023, 40), (1024, 1024), (5000, 4000)])
def test_the_same_pixels_as_a_copy(width, height):
    drawn = picture(width, height)
    pixels = gray_pixels(drawn)
    assert pixels.shape == (height, width)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.asarray(drawn))
    assert not pixels.flags.writeable


def test_the_pixels_outlive_the_picture():
    drawn = picture(640, 480, seed=1)
    copy = np.array(drawn)
    pixels = gray_pixels(drawn)
    drawn.close()
    del drawn
    gc.collect()
    others = [picture(640, 480, seed) for seed in range(2, 12)]  # would take the memory, were it free
    assert np.array_equal(pixels, copy)
    assert len(others) == 10


def test_a_film_outlives_its_file():
    stream = io.BytesIO()
    drawn = picture(300, 200, seed=3)
    drawn.save(stream, "PNG")
    film = open_film(stream.getvalue())
    gc.collect()
    others = [picture(300, 200, seed) for seed in range(4, 14)]
    assert np.array_equal(film.pixels, np.asarray(drawn))
    assert len(others) == 10


def test_a_pillow_without_arrow_copies(monkeypatch):
    drawn = picture(9, 9)
    monkeypatch.delattr(Image.Image, "__arrow_c_array__")
    assert np.array_equal(gray_pixels(drawn), np.asarray(drawn))


def test_a_layout_that_is_not_known_copies(monkeypatch):
    drawn = picture(9, 9)
    monkeypatch.setattr(raster, "_ArrowArray", type("Other", (raster._ArrowArray,), {"offset": 1}))
    assert np.array_equal(gray_pixels(drawn), np.asarray(drawn))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_colour_comes_as_it_is_beside_its_gray(kind):
    film = open_film(encoded(COLOUR, kind))
    assert film.colour is not None
    assert np.array_equal(film.colour, COLOUR)
    assert np.array_equal(film.pixels, np.asarray(Image.fromarray(COLOUR).convert("L")))
    assert open_film(encoded(GRAY8, kind)).colour is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_colour_is_turned_upright_as_gray_is(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    smooth = np.asarray(Image.fromarray(COLOUR).resize((48, 32), Image.Resampling.BICUBIC))
    data = encoded(smooth, "JPEG", exif=exif, quality=95, subsampling=0)
    film = open_film(data)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert film.colour is not None
    assert film.colour.shape == expected.shape
    assert np.abs(film.colour.astype(int) - expected).max() <= 1


def test_16_bit_colour_keeps_its_upper_bits():
    deep = RANDOM.integers(0, 65536, (5, 4, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    for data in (png(rows, 4, 5, 16, 2), tiff(deep.astype("<u2"), t262=2)):
        film = open_film(data)
        assert film.colour is not None
        assert np.array_equal(film.colour, deep >> 8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_colour_space_is_not_applied_and_said(kind):
    from PIL import ImageCms

    plain, lab = (ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes() for name in ("sRGB", "LAB"))
    film = open_film(encoded(COLOUR, kind, icc_profile=lab))
    assert film.facts.get("profile") == "not applied"
    assert film.colour is not None
    assert np.array_equal(film.colour, open_film(encoded(COLOUR, kind)).colour)
    if kind != "PNG":  # Pillow names every profile of a PNG alike
        assert "profile" not in open_film(encoded(COLOUR, kind, icc_profile=plain)).facts


def test_cmyk_is_refused():
    with pytest.raises(FilmError, match="CMYK"):
        open_film(encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"))
