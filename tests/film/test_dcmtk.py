"""DICOM films against DCMTK's dcm2pnm, an independent reader, within one level of 255."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRLittleEndian

from lucency.film import open_film

DCMTK = shutil.which("dcm2pnm")
pytestmark = pytest.mark.skipif(DCMTK is None, reason="needs dcm2pnm (apt-get install dcmtk)")

NOISE12 = np.random.default_rng(5).integers(0, 4096, (32, 48)).astype(np.uint16)


def agrees(path: Path, tmp_path: Path, *options: str) -> None:
    """Both readers show the same film."""
    theirs = tmp_path / "theirs.png"
    program = "dcmj2pnm" if "--jpeg" in options else "dcm2pnm"
    given = [option for option in options if option != "--jpeg"]
    subprocess.run([program, "--quiet", "-O", "+on", *given, path, theirs], check=True)
    with Image.open(theirs) as image:
        expected = np.asarray(image.convert("L")).astype(int)
    difference = np.abs(open_film(path).gray8() - expected)
    assert difference.max() <= 1
    assert np.ptp(expected) > 20  # a flat picture would prove nothing


CURVE = [int(4095 * (code / 4095) ** 0.6) for code in range(4096)]

CASES = {
    "whole range": ({}, ()),
    "window": ({"WindowCenter": 1800, "WindowWidth": 2500}, ("+Wi", "1")),
    "narrow window": ({"WindowCenter": 2000.5, "WindowWidth": 301}, ("+Wi", "1")),
    "rescaled": (
        {"RescaleSlope": 2, "RescaleIntercept": -1024, "WindowCenter": 900, "WindowWidth": 5000},
        ("+Wi", "1"),
    ),
    "sigmoid": ({"WindowCenter": 1800, "WindowWidth": 2500, "VOILUTFunction": "SIGMOID"}, ("+Wi", "1")),
    "lut": ({"VOILUTSequence": (CURVE, 0, 12), "WindowCenter": 10, "WindowWidth": 20}, ("+Wl", "1")),
    "short lut": ({"VOILUTSequence": (CURVE[:3000], 700, 12)}, ("+Wl", "1")),
    "modality lut": ({"ModalityLUTSequence": (CURVE, 0, 12), "WindowCenter": 1800, "WindowWidth": 2500}, ("+Wi", "1")),
}


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("case", CASES)
def test_made_by_hand(make_dicom, make_lut, tmp_path, case, photometric):
    stated, options = CASES[case]
    header = {key: [make_lut(*value)] if key.endswith("Sequence") else value for key, value in stated.items()}
    path = tmp_path / "ours.dcm"
    path.write_bytes(make_dicom(NOISE12, BitsStored=12, PhotometricInterpretation=photometric, **header))
    agrees(path, tmp_path, *options)


def test_signed(make_dicom, tmp_path):
    path = tmp_path / "ours.dcm"
    pixels = NOISE12.astype(np.int16) - np.int16(2048)
    path.write_bytes(make_dicom(pixels, BitsStored=12, WindowCenter=-100, WindowWidth=3000))
    agrees(path, tmp_path, "+Wi", "1")


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_inverse_shape_inverts_once(make_dicom, tmp_path, photometric):
    path = tmp_path / "ours.dcm"
    header = {"PhotometricInterpretation": photometric, "PresentationLUTShape": "INVERSE"}
    path.write_bytes(make_dicom(NOISE12, BitsStored=12, WindowCenter=1800, WindowWidth=2500, **header))
    agrees(path, tmp_path, "+Wi", "1")


def test_high_bits(make_dicom, tmp_path):
    path = tmp_path / "ours.dcm"
    path.write_bytes(
        make_dicom(NOISE12 << np.uint16(4), BitsStored=12, HighBit=15, WindowCenter=1800, WindowWidth=2500)
    )
    agrees(path, tmp_path, "+Wi", "1")


@pytest.mark.parametrize("name", ["RG1_UNCR.dcm", "RG3_UNCR.dcm", "MR2_UNCR.dcm"])
def test_real_films_with_their_window(pydicom_data, tmp_path, name):
    agrees(pydicom_data / name, tmp_path, "+Wi", "1")


REAL = {
    "sigmoid": ({"VOILUTFunction": "SIGMOID"}, 15, ("+Wi", "1")),
    "inverse": ({"PresentationLUTShape": "INVERSE"}, 15, ("+Wi", "1")),
    "12 bits": ({"WindowCenter": 1800, "WindowWidth": 2500}, 12, ("+Wi", "1")),
    "12 bits, sigmoid": (
        {"WindowCenter": 1800, "WindowWidth": 2500, "VOILUTFunction": "SIGMOID"},
        12,
        ("+Wi", "1"),
    ),
    "12 bits, lut": ({"VOILUTSequence": (CURVE, 0, 12)}, 12, ("+Wl", "1")),
    "12 bits, lut, inverse": (
        {"VOILUTSequence": (CURVE, 0, 12), "PresentationLUTShape": "INVERSE"},
        12,
        ("+Wl", "1"),
    ),
}
"""What is made of a real film of 15 bits: header, bits, and dcm2pnm's options; it heeds the function and the shape."""


@pytest.mark.long
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("case", REAL)
def test_variants_of_a_real_film(pydicom_data, make_lut, tmp_path, case, photometric):
    header, bits, options = REAL[case]
    film = dcmread(pydicom_data / "RG1_UNCR.dcm")
    film.PixelData = (film.pixel_array >> (15 - bits)).astype("<u2").tobytes()
    film.BitsStored, film.HighBit, film.PhotometricInterpretation = bits, bits - 1, photometric
    for key, value in header.items():
        setattr(film, key, [make_lut(*value)] if key.endswith("Sequence") else value)
    film.save_as(tmp_path / "ours.dcm")
    agrees(tmp_path / "ours.dcm", tmp_path, *options)


def test_a_real_film_with_its_lut(pydicom_data, tmp_path):
    agrees(pydicom_data / "vlut_04.dcm", tmp_path, "+Wl", "1")


@pytest.mark.parametrize("name", ["1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm", "Fake_MONOHR1.dcm"])
def test_secondary_captures(shared, tmp_path, name):
    agrees(shared / "data/dicom" / name, tmp_path, "--jpeg")


def test_a_real_film_in_jpeg_2000_is_the_one_that_dcm2pnm_shows(pydicom_data, tmp_path):
    # DCMTK does not read JPEG 2000; the same film, uncompressed, is its answer.
    agrees(pydicom_data / "RG1_UNCR.dcm", tmp_path, "+Wi", "1")
    packed, plain = (open_film(pydicom_data / name) for name in ("RG1_J2KR.dcm", "RG1_UNCR.dcm"))
    assert packed.facts["photometric"] == "MONOCHROME1"
    assert packed.facts["bits"] == "15"
    assert np.array_equal(packed.pixels, plain.pixels)


@pytest.mark.parametrize("name", ["RG1_J2KI.dcm", "RG3_J2KI.dcm"])
def test_real_films_in_lossy_jpeg_2000(shared, tmp_path, name):
    # Unpacked by Pillow, since DCMTK does not read it, so that dcm2pnm can show it.
    path = shared / "data/dicom" / name
    film = dcmread(path)
    with Image.open(io.BytesIO(next(generate_frames(film.PixelData, number_of_frames=1)))) as unpacked:
        values = np.asarray(unpacked) >> (16 - film.BitsStored)  # Pillow fills the upper bits
    film.PixelData = values.astype("<u2").tobytes()
    film["PixelData"].is_undefined_length = False
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.save_as(tmp_path / "plain.dcm")
    agrees(tmp_path / "plain.dcm", tmp_path, "+Wi", "1")
    assert np.array_equal(open_film(path).pixels, open_film(tmp_path / "plain.dcm").pixels)
