"""DICOM films: what is read, what of the header is kept, what is refused and how that is worded."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from lucency.errors import FILM_DAMAGED, FILM_TOO_LARGE, FILM_UNSUPPORTED, FilmError
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
