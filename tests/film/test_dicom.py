"""DICOM films: what is read, what of the header is kept, what is refused and how that is worded."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from lucency.errors import FilmError
from lucency.film import open_film

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
    "colour": ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, (), r"in colour.*\(RGB\)"),
    "palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, (), "PALETTE COLOR"),
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


def test_a_compression_nobody_here_decodes_says_how_to_undo_it(pydicom_data):
    with pytest.raises(FilmError, match=r"compressed as JPEG Lossless.*dcmdjpeg"):
        open_film(pydicom_data / "JPEG-LL.dcm")


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
