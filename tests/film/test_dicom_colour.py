"""DICOM films in colour: captures, palettes, compressed frames; and which of them are gray."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
import simplejpeg
from PIL import Image, ImageCms
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from lucency.errors import FilmError
from lucency.film import open_film
from lucency.film.dicom import open_dicom


def colour(make_dicom, pixels, photometric="RGB", **header):
    """uint8 (h, w, 3) → a secondary capture in colour."""
    header = {"PlanarConfiguration": 0, "Rows": pixels.shape[0], "Columns": pixels.shape[1]} | header
    return make_dicom(pixels, SamplesPerPixel=3, PhotometricInterpretation=photometric, **header)


PHOTOGRAPH = np.random.default_rng(8).integers(0, 256, (10, 12, 3)).astype(np.uint8)


def test_a_capture_in_equal_colours_is_gray(make_dicom):
    film = np.arange(64, dtype=np.uint8).reshape(8, 8)
    opened = open_film(colour(make_dicom, np.stack([film] * 3, axis=2)))
    assert np.array_equal(opened.pixels, film)
    assert "colour" not in opened.facts
    with pytest.raises(FilmError, match="in colour"):  # the answers of a PACS are about gray films
        open_dicom(colour(make_dicom, PHOTOGRAPH))


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_is_read_as_stored(make_dicom, planar):
    stored = np.moveaxis(PHOTOGRAPH, 2, 0) if planar else PHOTOGRAPH
    header = {"PlanarConfiguration": planar, "Rows": 10, "Columns": 12, "Modality": "OP"}
    film = open_film(colour(make_dicom, stored, **header))
    assert np.array_equal(film.colour, PHOTOGRAPH)
    assert np.array_equal(film.pixels, np.asarray(Image.fromarray(PHOTOGRAPH).convert("L")))
    assert film.facts.items() >= {("colour", "true"), ("modality", "OP"), ("bits", "8")}


@pytest.mark.parametrize(
    ("syntax", "bits", "high"),
    [
        *((None, *layout) for layout in ((16, 15), (12, 11), (12, 15))),
        *((syntax, bits, bits - 1) for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless) for bits in (12, 16)),
    ],
)
def test_of_more_bits_of_colour_the_upper_eight_are_kept(make_dicom, syntax, bits, high):
    rng = np.random.default_rng(8)
    wanted, low = rng.integers(0, 256, (2, 32, 48, 3)).astype(np.uint16)
    deep = ((wanted << 8 | low) >> (16 - bits)) << (high + 1 - bits)
    data = colour(make_dicom, deep, BitsStored=bits, HighBit=high)
    if syntax:
        dataset = pydicom.dcmread(io.BytesIO(data))
        dataset.compress(syntax)
        data = bytes_of(dataset)
    film = open_film(data)
    assert np.array_equal(film.colour, wanted)
    assert film.facts.items() >= {("colour", "true"), ("bits", "8")}


@pytest.mark.parametrize("planar", [0, 1])
def test_sixteen_bits_of_luminance_and_chrominance(make_dicom, planar):
    deep = PHOTOGRAPH.astype(np.uint16) << 8
    stored = np.moveaxis(deep, 2, 0) if planar else deep
    header = {"PlanarConfiguration": planar, "Rows": 10, "Columns": 12}
    expected = open_film(colour(make_dicom, PHOTOGRAPH, "YBR_FULL")).colour
    assert np.array_equal(open_film(colour(make_dicom, stored, "YBR_FULL", **header)).colour, expected)


def with_palette(make_dicom, codes, palette, bits, first=0):
    """(h, w) codes and (entries, 3) values of `bits` → a secondary capture."""
    header = {"PhotometricInterpretation": "PALETTE COLOR"}
    for number, name in enumerate(("Red", "Green", "Blue")):
        header[f"{name}PaletteColorLookupTableDescriptor"] = [len(palette) % 65536, first, bits]
        header[f"{name}PaletteColorLookupTableData"] = palette[:, number].tobytes()
    return make_dicom(codes, **header)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_is_looked_up(make_dicom, bits):
    palette = np.random.default_rng(3).integers(0, 2**bits, (256, 3)).astype(np.uint8 if bits == 8 else "<u2")
    codes = np.random.default_rng(4).integers(0, 256, (10, 12)).astype(np.uint8)
    film = open_film(with_palette(make_dicom, codes, palette, bits))
    assert np.array_equal(film.colour, palette[codes] >> (bits - 8))
    assert film.facts["colour"] == "true"


def test_codes_beyond_a_palette_take_its_ends(make_dicom):
    palette = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250]], np.uint8)
    codes = np.array([[0, 10, 11, 12, 255]], np.uint8)
    found = open_film(with_palette(make_dicom, codes, palette, 8, first=10)).colour
    assert found[0].tolist() == palette[[0, 0, 1, 2, 2]].tolist()


def test_a_real_palette_is_what_pydicom_shows(pydicom_data):
    path = pydicom_data / "OBXXXX1A.dcm"
    dataset = pydicom.dcmread(path)
    shown = pydicom.pixels.apply_color_lut(dataset.pixel_array, dataset)
    assert np.array_equal(open_film(path).colour, (shown >> 8 if shown.dtype == np.uint16 else shown))


def compressed(make_dicom, pixels, syntax, photometric="RGB", **how):
    """uint8 (h, w, 3), red, green, blue → a secondary capture that pydicom compresses."""
    dataset = pydicom.dcmread(io.BytesIO(colour(make_dicom, pixels, photometric)))
    dataset.compress(syntax, **how)
    return bytes_of(dataset)


def bytes_of(dataset):
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("syntax", "photometric"),
    [(RLELossless, "RGB"), (JPEGLSLossless, "RGB"), (JPEG2000Lossless, "RGB"), (JPEG2000Lossless, "YBR_RCT")],
)
def test_lossless_compression_of_colour_changes_nothing(make_dicom, syntax, photometric):
    noise = np.random.default_rng(8).integers(0, 256, (32, 48, 3)).astype(np.uint8)  # a JPEG 2000 of less is refused
    assert np.array_equal(open_film(compressed(make_dicom, noise, syntax, photometric)).colour, noise)


@pytest.mark.parametrize(
    ("syntax", "photometric", "how"),
    [
        (JPEGLSNearLossless, "RGB", {"jls_error": 3}),
        (JPEG2000, "RGB", {"j2k_cr": [5]}),
        (JPEG2000, "YBR_ICT", {"j2k_cr": [5]}),
    ],
)
def test_lossy_compression_of_colour_keeps_the_colours(make_dicom, syntax, photometric, how):
    rising, falling = np.meshgrid(np.linspace(0, 250, 48), np.linspace(250, 0, 32))
    slopes = np.stack([rising, falling, np.full_like(rising, 60)], axis=2).astype(np.uint8)
    found = open_film(compressed(make_dicom, slopes, syntax, photometric, **how)).colour
    assert np.abs(found.astype(int) - slopes).max() <= 3


def test_a_real_jpeg_2000_in_colour_is_its_uncompressed_twin(pydicom_data):
    assert np.array_equal(
        open_film(pydicom_data / "US1_J2KR.dcm").colour, open_film(pydicom_data / "US1_UNCR.dcm").colour
    )


def test_colours_of_jpeg_2000_without_one_are_refused(make_dicom):
    with pytest.raises(FilmError, match=r"YBR_RCT.*its header is wrong"):
        open_film(colour(make_dicom, PHOTOGRAPH, "YBR_RCT"))


def test_a_frame_of_other_channels_than_its_header_states_is_refused(make_dicom):
    dataset = pydicom.dcmread(io.BytesIO(compressed(make_dicom, PHOTOGRAPH, JPEGLSLossless)))
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    with pytest.raises(FilmError, match="compressed frame of 3 colours"):
        open_film(bytes_of(dataset))


def test_luminance_and_chrominance_are_libjpegs(make_dicom):
    """A JPEG of one colour has no loss but that of its colour space, so its decoder shows the conversion."""
    for given in ((90, 200, 60), (128, 90, 240), (255, 128, 128), (16, 240, 16), (100, 128, 129)):
        block = np.full((16, 16, 3), given, np.uint8)
        expected = simplejpeg.decode_jpeg(_jpeg_of_ycbcr(block), "RGB")
        assert np.array_equal(open_film(colour(make_dicom, block, "YBR_FULL")).colour, expected), given


def _jpeg_of_ycbcr(block):
    picture = Image.merge("YCbCr", [Image.fromarray(block[:, :, channel]) for channel in range(3)])
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=100, subsampling=0)
    return stream.getvalue()


def test_halved_chrominance_holds_for_two_pixels(make_dicom):
    luma, blue, red = PHOTOGRAPH[:, :, 0], PHOTOGRAPH[:, ::2, 1], PHOTOGRAPH[:, ::2, 2]
    halved = np.stack([luma[:, ::2], luma[:, 1::2], blue, red], axis=2)
    full = np.stack([luma, blue.repeat(2, axis=1), red.repeat(2, axis=1)], axis=2)
    header = {"PlanarConfiguration": 0, "Rows": 10, "Columns": 12}
    one = open_film(colour(make_dicom, halved, "YBR_FULL_422", **header))
    assert np.array_equal(one.colour, open_film(colour(make_dicom, full, "YBR_FULL")).colour)


def test_a_jpeg_in_colour_is_the_one_inside(make_dicom):
    stream = io.BytesIO()
    Image.fromarray(PHOTOGRAPH).resize((96, 80)).save(stream, "JPEG", quality=90)
    wrapped = wrapping(make_dicom, stream.getvalue(), "YBR_FULL_422")
    assert np.array_equal(open_film(wrapped).colour, open_film(stream.getvalue()).colour)


def wrapping(make_dicom, jpeg, photometric):
    """A secondary capture, 80 × 96, around a baseline JPEG."""
    dataset = pydicom.dcmread(io.BytesIO(colour(make_dicom, PHOTOGRAPH, photometric, Rows=80, Columns=96)))
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([jpeg])
    return bytes_of(dataset)


def silent_jpeg(picture, is_rgb):
    """A JPEG without a word on its colours: no segment of JFIF or Adobe, no letters in the place of numbers."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=100, keep_rgb=is_rgb, subsampling=0)
    jpeg = stream.getvalue()
    assert jpeg[2:4] in (b"\xff\xe0", b"\xff\xee")
    silent = jpeg[:2] + jpeg[4 + int.from_bytes(jpeg[4:6], "big") :]
    for letters, numbers in ((b"R\x11\0G\x11\0B\x11\0", b"\1\x11\0\2\x11\0\3\x11\0"), (b"R\0G\0B\0", b"\1\0\2\0\3\0")):
        silent = silent.replace(letters, numbers)  # by which libjpeg guesses, too
    return silent


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_the_header_says_the_colours_of_a_jpeg_that_does_not(make_dicom, photometric):
    """Without the segment of JFIF or Adobe, libjpeg takes the three components for YCbCr."""
    reddish = np.full((80, 96, 3), (200, 60, 40), np.uint8)
    silent = silent_jpeg(reddish, is_rgb=photometric == "RGB")
    assert np.abs(open_film(wrapping(make_dicom, silent, photometric)).colour.astype(int) - reddish).max() <= 2


def test_another_colour_space_than_srgb_is_said(make_dicom):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert open_film(colour(make_dicom, PHOTOGRAPH, ICCProfile=lab)).facts["profile"] == "not applied"
    assert "profile" not in open_film(colour(make_dicom, PHOTOGRAPH, ICCProfile=srgb)).facts
