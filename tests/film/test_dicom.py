"""DICOM films: what is read, what of the header is kept, what is refused and how that is worded."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
import simplejpeg
from PIL import Image, ImageCms
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from lucency.errors import FILM_DAMAGED, FILM_TOO_LARGE, FILM_UNSUPPORTED, FilmError
from lucency.film import open_film
from lucency.film.dicom import open_dicom

RAMP12 = (np.arange(48, dtype=np.uint16) * 87).reshape(6, 8)


def gray(data: bytes) -> list[list[int]]:
    return open_film(data).gray8().tolist()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, "1.2.840.10008.1.2.1"])
def test_sixteen_bits_in_any_plain_syntax(make_dicom, syntax):
    film = open_film(make_dicom(RAMP12, syntax=syntax, BitsStored=12))
    assert film.pixels.dtype == np.uint16
    assert film.pixels.tolist() == [[int(v / 4095 * 65535 + 0.5) for v in row] for row in RAMP12.tolist()]


def test_big_endian(make_dicom):
    data = make_dicom(RAMP12.astype(">u2"), syntax=ExplicitVRBigEndian, BitsStored=12)
    assert np.array_equal(open_film(data).pixels, open_film(make_dicom(RAMP12, BitsStored=12)).pixels)


def test_eight_bits_come_as_they_are(make_dicom):
    pixels = np.arange(15, dtype=np.uint8).reshape(3, 5)  # an odd number of bytes, padded in the file
    assert gray(make_dicom(pixels)) == pixels.tolist()


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_lossless_compression_changes_nothing(make_dicom, syntax):
    pixels = np.tile(RAMP12, (8, 8))
    plain = make_dicom(pixels, BitsStored=12, PhotometricInterpretation="MONOCHROME1")
    dataset = pydicom.dcmread(io.BytesIO(plain))
    dataset.compress(syntax)
    stream = io.BytesIO()
    dataset.save_as(stream)
    assert np.array_equal(open_film(stream.getvalue()).pixels, open_film(plain).pixels)


def test_signed_pixels(make_dicom):
    pixels = np.array([[-2048, -1, 0, 2047]], dtype=np.int16)
    assert gray(make_dicom(pixels, BitsStored=12)) == [[0, 127, 128, 255]]


def test_what_lies_in_the_unused_bits_is_not_part_of_the_film(make_dicom):
    overlay = RAMP12 | np.uint16(0xA000)
    assert gray(make_dicom(overlay, BitsStored=12)) == gray(make_dicom(RAMP12, BitsStored=12))


def test_bits_that_lie_high_are_moved_down(make_dicom):
    high = make_dicom(RAMP12 << np.uint16(4), BitsStored=12, HighBit=15)
    assert gray(high) == gray(make_dicom(RAMP12, BitsStored=12))


def test_the_range_is_the_transforms_not_the_films(make_dicom):
    # 1000 … 1010 of 4096 stay a flat gray of about 62 instead of being spread from black to white.
    pixels = np.linspace(1000, 1010, 48).astype(np.uint16).reshape(6, 8)
    assert {value for row in gray(make_dicom(pixels, BitsStored=12)) for value in row} <= {62, 63}


def test_a_data_set_without_preamble_is_recognised(make_dicom):
    whole = pydicom.dcmread(io.BytesIO(make_dicom(RAMP12, BitsStored=12, syntax=ImplicitVRLittleEndian)))
    stream = io.BytesIO()
    bare = Dataset(whole)
    bare.save_as(stream, implicit_vr=True, little_endian=True)
    assert stream.getvalue()[128:132] != b"DICM"
    assert np.array_equal(open_film(stream.getvalue()).pixels, open_film(make_dicom(RAMP12, BitsStored=12)).pixels)


def test_facts_are_what_the_header_states(make_dicom):
    header = {"ViewPosition": "AP", "PatientSex": "F", "PatientAge": "004Y", "BodyPartExamined": "CHEST"}
    facts = open_film(make_dicom(RAMP12, BitsStored=12, **header)).facts
    assert {"view": "AP", "sex": "F", "age": "004Y", "body_part": "CHEST"}.items() <= facts.items()
    assert {"format": "DICOM", "modality": "CR", "patient": "P7", "photometric": "MONOCHROME2"}.items() <= facts.items()
    assert {"bits": "12", "voi": "none"}.items() <= facts.items()
    assert "manufacturer" not in facts  # not stated, so not there


def test_a_lateral_film_is_read_and_says_so(make_dicom):
    assert open_film(make_dicom(RAMP12, BitsStored=12, ViewPosition="LL")).facts["view"] == "LL"


def test_the_view_may_be_coded(make_dicom):
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "399348003", "SCT", "antero-posterior"
    data = make_dicom(RAMP12, BitsStored=12, ViewCodeSequence=[code], PatientOrientation=["L", "F"])
    assert open_film(data).facts["view"] == "antero-posterior"
    assert open_film(data).facts["orientation"] == "L\\F"


DIGITAL_RAW = "1.2.840.10008.5.1.4.1.1.1.1.1"

REFUSED = {
    "several frames": ({"NumberOfFrames": 2}, (), "a DICOM of 2 frames"),
    "other colours": ({"SamplesPerPixel": 3, "PhotometricInterpretation": "HSV"}, (), r"other colours.*\(HSV\)"),
    "signed colours": (
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PixelRepresentation": 1},
        (),
        "in colour .RGB. of signed values",
    ),
    "palette without one": ({"PhotometricInterpretation": "PALETTE COLOR"}, (), "whose palette is missing"),
    "no photometric": ({}, ("PhotometricInterpretation",), r"without stated gray \(nothing\)"),
    "raw by intent": ({"PresentationIntentType": "FOR PROCESSING"}, (), "raw detector image.*FOR PRESENTATION"),
    "raw by class": ({"SOPClassUID": DIGITAL_RAW}, (), "raw detector image"),
    "no pixels": ({}, ("PixelData",), "without integer pixels .Computed Radiography"),
    "no rows": ({}, ("Rows", "Columns"), "a DICOM without Rows and Columns"),
    "huge": ({"Rows": 20000, "Columns": 20000}, (), "an image of 20000 x 20000 pixels.*at most 100 megapixels"),
    "32 bits": ({"BitsAllocated": 32, "BitsStored": 32}, (), "32 bits stored in 32"),
    "more bits than room": ({"BitsStored": 17, "HighBit": 16}, (), "17 bits stored in 16"),
    "one bit": ({"BitsStored": 1, "HighBit": 0}, (), "1 bits stored in 16"),
    "pixels missing": ({"Rows": 60}, (), "cannot be decoded.*cut short"),
    "slope 0": ({"RescaleSlope": "0", "RescaleIntercept": "1"}, (), "RescaleSlope 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_reason(make_dicom, case):
    header, without, reason = REFUSED[case]
    data = make_dicom(RAMP12, without=without, **{"BitsStored": 12} | header)
    with pytest.raises(FilmError, match=reason) as caught:
        open_film(data, "chest.dcm")
    message = str(caught.value)
    assert message.startswith("chest.dcm: found ")
    assert "; expected PNG, JPEG or TIFF" in message
    assert "\n" not in message
    assert "P7" not in message


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.100"])  # MPEG2
def test_a_compression_nobody_here_decodes_says_how_to_undo_it(pydicom_data, syntax):
    dataset = pydicom.dcmread(pydicom_data / "JPEG-LL.dcm")
    dataset.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    dataset.save_as(stream)
    with pytest.raises(FilmError, match=r"compressed as .*dcmdjpeg") as caught:
        open_film(stream.getvalue())
    assert caught.value.code == FILM_UNSUPPORTED


def test_a_deflated_file_is_refused_before_it_is_inflated(make_dicom):
    dataset = pydicom.dcmread(io.BytesIO(make_dicom(RAMP12, BitsStored=12)))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    stream = io.BytesIO()
    dataset.save_as(stream)
    with pytest.raises(FilmError, match=r"a deflated DICOM.*dcmconv"):
        open_film(stream.getvalue())


def test_a_small_frame_cannot_claim_a_huge_picture(make_dicom):
    dataset = pydicom.dcmread(io.BytesIO(make_dicom(np.tile(RAMP12, (8, 8)), BitsStored=12)))
    dataset.compress(JPEG2000Lossless)
    stream = io.BytesIO()
    dataset.save_as(stream)
    data = bytearray(stream.getvalue())
    siz = data.index(b"\xff\x4f\xff\x51")
    data[siz + 8 : siz + 12] = (60000).to_bytes(4, "big")
    data[siz + 12 : siz + 16] = (60000).to_bytes(4, "big")
    with pytest.raises(FilmError, match="an image of 60000 x 60000 pixels"):
        open_film(bytes(data))


def test_no_name_of_a_patient_reaches_a_log_or_an_error(make_dicom, caplog):
    caplog.set_level(0)
    data = make_dicom(RAMP12, BitsStored=12, PatientAge="004Y").replace(b"004Y", b"JANE")  # no age: pydicom complains
    assert open_film(data).facts["age"] == "JANE"
    with pytest.raises(FilmError) as caught:
        open_film(data[:-4])
    assert not caplog.records
    assert "JANE" not in str(caught.value)


def test_a_real_film_in_every_encoding_of_pydicom_data(pydicom_data):
    plain = open_film(pydicom_data / "RG1_UNCR.dcm")
    assert plain.shape == (1955, 1841)
    assert plain.facts["photometric"] == "MONOCHROME1"
    assert np.array_equal(open_film(pydicom_data / "RG1_J2KR.dcm").pixels, plain.pixels)
    # The irreversible JPEG 2000 beside what another decoder made of it.
    lossy, decoded = open_film(pydicom_data / "RG1_J2KI.dcm"), open_film(pydicom_data / "RG1_UNCI.dcm")
    assert np.array_equal(lossy.pixels, decoded.pixels)


def test_a_real_chest_is_bright_where_it_is_dense(shared: Path):
    film = open_film(shared / "data/dicom/RG1_J2KI.dcm")
    assert film.facts["view"] == "PA"
    middle = film.gray8()[film.height // 2]
    spine, lung = (
        middle[film.width // 2 - 40 : film.width // 2 + 40],
        middle[film.width // 4 - 40 : film.width // 4 + 40],
    )
    assert spine.mean() > lung.mean() + 20


def test_falsified_polarity_gives_the_negative(shared: Path):
    folder = shared / "data/dicom"
    (true,) = folder.glob("1.2.276*.dcm")
    one, other = open_film(true), open_film(folder / "Fake_MONOHR1.dcm")
    assert np.array_equal(one.pixels, 255 - other.pixels)
    assert other.facts["photometric"] == "MONOCHROME1"


def test_lossless_jpeg_is_read(pydicom_data):
    """.57 and .70, which archives are full of."""
    assert open_film(pydicom_data / "JPEG-LL.dcm").shape == (1024, 256)
    film = open_film(pydicom_data / "JPGLosslessP14SV1_1s_1f_8b.dcm")
    assert film.shape == (768, 1024)
    assert int(film.pixels.max()) > 250


SOUND = {
    "no SamplesPerPixel": ("SamplesPerPixel",),
    "no PixelRepresentation": ("PixelRepresentation",),
}


@pytest.mark.parametrize("case", SOUND)
def test_what_a_header_leaves_out_is_taken_as_usual(make_dicom, case):
    assert gray(make_dicom(RAMP12, without=SOUND[case], BitsStored=12)) == gray(make_dicom(RAMP12, BitsStored=12))


def test_an_empty_item_is_no_look_up_table(make_dicom):
    empty = make_dicom(
        RAMP12, BitsStored=12, VOILUTSequence=[pydicom.Dataset()], ModalityLUTSequence=[pydicom.Dataset()]
    )
    assert gray(empty) == gray(make_dicom(RAMP12, BitsStored=12))


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


HOUNSFIELD = {"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "-1024"}


def test_a_ct_is_seen_in_hounsfield_units(make_dicom):
    """By its own window, else by that of lucency.modality: centre -600, width 1500."""
    values = np.array([[-1350, -600, 149, 1000]])  # below, at the centre, and above the default window
    stored = (values + 1024 + 2000).astype(np.uint16)
    header = HOUNSFIELD | {"RescaleIntercept": "-3024"}
    film = open_film(make_dicom(stored, BitsStored=16, **header))
    assert film.facts["voi"] == "default"
    assert film.pixels[0].tolist() == [0, round((0.5 / 1499 + 0.5) * 65535), 65535, 65535]
    own = open_film(make_dicom(stored, BitsStored=16, WindowCenter="40", WindowWidth="400", **header))
    assert own.facts["voi"] == "window"
    assert own.pixels[0].tolist() == [0, 0, round(((149 - 39.5) / 399 + 0.5) * 65535), 65535]
    assert "rescale" not in film.facts


def test_a_ct_without_rescale_says_so(make_dicom):
    film = open_film(make_dicom(RAMP12, BitsStored=12, Modality="CT"))
    assert film.facts["rescale"] == "missing"
    assert film.facts["voi"] == "none"
    assert "rescale" not in open_film(make_dicom(RAMP12, BitsStored=12, Modality="MR")).facts


def test_values_beyond_the_stated_bits_are_doubted(make_dicom):
    over = np.arange(4000, 4256, dtype=np.uint16).reshape(16, 16)  # the header says 12 bits: 4096 would be 0
    assert open_film(make_dicom(over, BitsStored=12)).facts["damage"] == "overflow"
    assert "damage" not in open_film(make_dicom(over & 4095, BitsStored=12)).facts
    assert "damage" not in open_film(make_dicom(over, BitsStored=16)).facts


def test_a_signed_padding_of_an_unsigned_film_is_black(make_dicom):
    film = np.full((8, 8), 4000, np.uint16)
    film[0] = 65536 - 2000
    dataset = pydicom.dcmread(io.BytesIO(make_dicom(film, BitsStored=12)))
    for vr, value in (("SS", -2000), ("US", 65536 - 2000)):
        dataset[0x00280120] = pydicom.DataElement(0x00280120, vr, value)
        stream = io.BytesIO()
        dataset.save_as(stream)
        opened = open_film(stream.getvalue())
        assert opened.pixels[0].max() == 0
        assert opened.pixels[1:].min() > 60000
        assert "damage" not in opened.facts


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1.99", "  1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.1.99 "])
@pytest.mark.parametrize("vr", [b"UI", b"UN", b"LO"])
def test_a_deflated_bomb_is_never_inflated(syntax, vr, monkeypatch):
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    long = b"\0\0" + struct.pack("<I", len(value)) if vr == b"UN" else struct.pack("<H", len(value))
    element = b"\x02\0\x10\0" + vr + long + value
    meta = b"\x02\0\0\0UL\x04\0" + struct.pack("<I", len(element)) + element
    bomb = zlib.compressobj(wbits=-15)
    packed = bomb.compress(bytes(1000)) + bomb.flush()
    monkeypatch.setattr("zlib.decompress", lambda *_: pytest.fail("it was inflated"))
    with pytest.raises(FilmError, match="a deflated DICOM") as caught:
        open_film(bytes(128) + b"DICM" + meta + packed)
    assert caught.value.code == FILM_UNSUPPORTED


def test_a_false_header_in_a_box_of_jpeg_2000_does_not_count(make_dicom, pydicom_data):
    """The header that the decoder reads is the one in the codestream box, wherever else its bytes may stand."""
    small = pydicom.dcmread(pydicom_data / "RG1_J2KR.dcm")
    frame = get_frame(small.PixelData, 0, number_of_frames=1)
    siz = bytearray(frame[frame.index(b"\xff\x4f\xff\x51") :][:60])
    boxes = b"\0\0\0\x0cjP  \r\n\x87\n" + struct.pack(">I", 8 + len(siz)) + b"free" + bytes(siz)
    bomb = bytearray(frame[frame.index(b"\xff\x4f\xff\x51") :])
    bomb[8:16] = struct.pack(">2I", 30000, 30000)
    small.PixelData = encapsulate([boxes + struct.pack(">I", 0) + b"jp2c" + bytes(bomb)])
    stream = io.BytesIO()
    small.save_as(stream)
    with pytest.raises(FilmError, match="30000 x 30000") as caught:
        open_film(stream.getvalue())
    assert caught.value.code != FILM_DAMAGED


def test_an_rle_bomb_is_refused_before_it_is_unpacked(make_dicom, monkeypatch):
    """Two bytes of a run become 128: here 64 kB become 4 MB of a film of 48 pixels."""
    monkeypatch.setattr("pydicom.pixels.decoders.rle._decode_frame", lambda *_: pytest.fail("it was unpacked"))
    dataset = pydicom.dcmread(io.BytesIO(make_dicom(RAMP12.astype(np.uint8))))
    dataset.file_meta.TransferSyntaxUID = RLELossless
    dataset.PixelData = encapsulate([struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x00" * 2**15])
    stream = io.BytesIO()
    dataset.save_as(stream)
    with pytest.raises(FilmError, match="an RLE segment of more than the 48 pixels") as caught:
        open_film(stream.getvalue())
    assert caught.value.code == FILM_DAMAGED


def test_a_decoder_without_memory_is_no_damage(make_dicom, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr("lucency.film.dicom.pixel_array", fail)
    with pytest.raises(FilmError, match="more memory than a film of its size") as caught:
        open_film(make_dicom(RAMP12, BitsStored=12))
    assert caught.value.code == FILM_TOO_LARGE
