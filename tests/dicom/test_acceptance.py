"""Other pictures than chest films: photographs in colour and slices, from the wire to report and overlay."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    CTImageStorage,
    JPEG2000Lossless,
    JPEGLSLossless,
    OphthalmicPhotography16BitImageStorage,
    SecondaryCaptureImageStorage,
)

from dicom.colours import photograph, retina, write_retina_bundle
from dicom.films import film
from dicom.peers import free_port, send
from dicom.test_answer import parts, words
from lucency.cli import run
from lucency.dicom.acceptance import KINDS, accept, kind_of
from lucency.dicom.answer import answer, finding
from lucency.dicom.deliver import Credentials
from lucency.dicom.node import NodeConfig, start_scp
from lucency.dicom.queue import Queue
from lucency.dicom.worker import read_one
from lucency.errors import FilmError
from lucency.modality import MODALITIES, NAMES
from lucency.reader import Reader

NOON = datetime(2025, 6, 7, 12, 0, 0)


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader.open(write_retina_bundle(tmp_path_factory.mktemp("eyes") / "bundle"))


def test_a_modality_without_a_row_is_answered_as_captures(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(KINDS) <= set(NAMES)
    plain = replace(MODALITIES["mri_slice"], noun="ultrasound image", dicom=frozenset({"US", "OT", "SC"}))
    monkeypatch.setitem(MODALITIES, "ultrasound", plain)
    kind = kind_of("ultrasound")
    assert (kind.classes, kind.asked) == ((SecondaryCaptureImageStorage,), ("US",))
    capture = film(1, SOPClassUID=SecondaryCaptureImageStorage, Modality="US", BodyPartExamined="")
    assert accept(capture, "eye.dcm", "ultrasound").film.facts["modality"] == "US"
    with pytest.raises(FilmError, match="expected a ultrasound image"):
        accept(film(1), "eye.dcm", "ultrasound")


def test_a_photograph_of_sixteen_bits_is_answered_as_its_upper_eight(eyes: Reader) -> None:
    header = {"SOPClassUID": OphthalmicPhotography16BitImageStorage, "BitsStored": 16, "HighBit": 15}
    deep = photograph(1, retina().astype(np.uint16) << 8, **header)
    said, expected = (words(parts(answer(data, eyes, NOON))[0]) for data in (deep, photograph()))
    assert said["Probability"] == expected["Probability"]


def test_a_photograph_is_answered_class_by_class(eyes: Reader) -> None:
    report, overlay = parts(answer(photograph(), eyes, NOON))
    said = words(report)
    logits = retina().mean(axis=(0, 1)) / 16
    expected = np.exp(logits) / np.exp(logits).sum()
    assert said["Probability"] == [pytest.approx(share, abs=0.02) for share in expected]
    assert said["Finding"] == ["Cataract", "Glaucoma", "drusen"]
    assert said["Verdict"] == ["Absent", "Present", "Absent"]
    assert "Threshold Value" not in said
    assert said["Procedure reported"] == ["Photography of patient"]
    assert said["Finding Site"] == ["Retina"] * 3
    assert said["Laterality"] == ["Right"] * 3
    assert overlay.SeriesDescription.startswith("lucency: overlay")
    assert (overlay.BodyPartExamined, overlay.Laterality) == ("EYE", "R")
    assert "glaucoma" in overlay.DerivationDescription


def test_the_overlay_shows_the_colours(eyes: Reader) -> None:
    _, overlay = parts(answer(photograph(pixels=retina((200, 60, 40))), eyes, NOON))
    red, green, _ = overlay.pixel_array[40, 20].astype(int)
    assert red > green + 60


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy (apt-get install dicom3tools)")
def test_dciodvfy_finds_no_error(eyes: Reader, tmp_path: Path) -> None:
    for part in answer(photograph(), eyes, NOON).parts:
        (tmp_path / part.what).write_bytes(part.content)
        printed = subprocess.run(["dciodvfy", tmp_path / part.what], capture_output=True, text=True, check=False).stderr
        assert "Error" not in printed, printed


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_compression_changes_no_answer(eyes: Reader, syntax: str) -> None:
    one, other = (answer(photograph(syntax=syntax), eyes, NOON), answer(photograph(), eyes, NOON))
    assert [part.content for part in one.parts] == [part.content for part in other.parts]


def test_another_colour_of_the_same_luma_is_another_film() -> None:
    one, other = retina((200, 60, 40)), retina((200, 60, 40))
    one[32, 32], other[32, 32] = (100, 40, 40), (40, 71, 38)  # of luma 58 both: .299 R + .587 G + .114 B
    first, second = (accept(photograph(pixels=pixels), modality="fundus") for pixels in (one, other))
    assert np.array_equal(first.film.pixels, second.film.pixels)
    assert first.content != second.content


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "gray": ({"pixels": retina((90, 90, 90))}, "a gray picture"),
    "another class": ({"SOPClassUID": CTImageStorage}, "another kind of DICOM image"),
    "another modality": ({"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "CR"}, "modality CR"),
    "signed": ({"PixelRepresentation": 1}, "of signed values"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_photograph_is_refused_by_name(case: str) -> None:
    header, found = REFUSED[case]
    with pytest.raises(FilmError, match=found) as caught:
        accept(photograph(**header), "eye.dcm", "fundus")
    assert str(caught.value).startswith("eye.dcm: found ")
    assert "\n" not in str(caught.value)


def test_a_photograph_is_no_chest_film() -> None:
    with pytest.raises(FilmError, match="a DICOM in colour"):
        accept(photograph(SOPClassUID=SecondaryCaptureImageStorage))


def a_slice(**header: Any) -> bytes:
    """A CT slice of two densities: -1000 and 150 Hounsfield units."""
    stored = np.full((32, 32), 24, np.uint16)
    stored[8:24, 8:24] = 1174
    more = {"Modality": "CT", "SOPClassUID": CTImageStorage, "RescaleSlope": "1", "RescaleIntercept": "-1024"}
    return film(1, stored, ("ViewPosition",), **more | header)


def test_a_ct_slice_is_seen_by_its_window() -> None:
    """(150 + 600.5) / 1499 + 0.5 is above white, (-1000 + 600.5) / 1499 + 0.5 = 0.2335 of it."""
    seen = accept(a_slice(), modality="ct_slice").film.gray8()
    assert seen[16, 16] == 255
    assert seen[0, 0] == round(0.2335 * 255)
    assert accept(a_slice(WindowCenter="150", WindowWidth="2"), modality="ct_slice").film.gray8()[0, 0] == 0


def test_a_localizer_is_no_slice() -> None:
    with pytest.raises(FilmError, match="a localizer; expected a CT slice"):
        accept(a_slice(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), modality="ct_slice")


def test_a_chest_film_is_no_slice() -> None:
    with pytest.raises(FilmError, match="send CT slices only"):
        accept(film(), modality="ct_slice")


@pytest.mark.parametrize(
    ("label", "code"), [("mel", "372244006"), ("Diabetic Retinopathy", "4855003"), ("meningioma", "302820008")]
)
def test_findings_of_other_organs_have_their_code(label: str, code: str) -> None:
    assert (finding(label).value, finding(label).scheme_designator) == (code, "SCT")


def test_photographs_by_c_store(eyes: Reader, tmp_path: Path) -> None:
    queue, port = Queue(tmp_path / "q"), free_port()
    config = NodeConfig(port=port, callers=("MODALITY",), modality="fundus")
    close = start_scp(config, queue, eyes.bundle.digest, Credentials(), lambda *_: None)
    try:
        sent = send(port, [photograph(1), photograph(2, retina((90, 90, 90)))], modality="fundus")
    finally:
        close()
    assert [one.Status for one in sent] == [0, 0xA900]
    assert sent[1].ErrorComment == "a gray picture"
    assert read_one(queue, eyes, lambda *_: None)
    assert queue.counts()["answered"] == 1


def test_files_are_answered_by_the_command(eyes: Reader, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "eye.dcm").write_bytes(photograph())
    (tmp_path / "chest.dcm").write_bytes(film())
    files = [str(tmp_path / name) for name in ("eye.dcm", "chest.dcm")]
    assert run(["dicom", *files, "--bundle", str(eyes.bundle.path), "--out", str(tmp_path / "out")]) == 3
    printed = capsys.readouterr()
    assert "glaucoma" in printed.out
    assert "chest.dcm: found another kind of DICOM image; expected a retinal photograph" in printed.err
    kinds = {pydicom.dcmread(path).SOPClassUID for path in (tmp_path / "out").iterdir()}
    assert SecondaryCaptureImageStorage in kinds
    assert len(kinds) == 2
