"""What answers a film: its report, its overlay, and films that get none."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, JPEG2000Lossless

from dicom.films import dataset, file, film, gray
from lucency.bundle import OperatingPoint
from lucency.dicom.answer import Answer, answer, finding
from lucency.dicom.common_attributes import NOTICE
from lucency.errors import FilmError
from lucency.reader import Reader
from reader.colours import write_colour_bundle

NOON = datetime(2025, 6, 7, 12, 0, 0)


def parts(answered: Answer) -> tuple[Dataset, Dataset]:
    report, overlay = (pydicom.dcmread(io.BytesIO(part.content)) for part in answered.parts)
    return report, overlay


def words(report: Dataset) -> dict[str, Any]:
    """Every content item by its concept's meaning: number, code's meaning, text or referenced instance."""
    found: dict[str, Any] = {}

    def walk(items: Any) -> None:
        for item in items:
            name = item.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in item else ""
            value: Any = item.get("TextValue") or item.get("UID")
            if item.ValueType == "NUM":
                value = float(item.MeasuredValueSequence[0].NumericValue)
            if item.ValueType == "CODE":
                value = item.ConceptCodeSequence[0].CodeMeaning
            if item.ValueType == "IMAGE":
                value = str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
            found.setdefault(name, []).append(value)
            walk(item.get("ContentSequence", []))

    walk(report.ContentSequence)
    return found


def test_the_report_says_what_was_read(reader: Reader) -> None:
    report, _ = parts(answer(film(), reader, NOON))
    said = words(report)
    # Gray 160: logit (160 - 128) / 16 = 2, probability 1 / (1 + e^-2) = 0.881; the one darker pixel weighs nothing.
    assert said["Probability"] == [pytest.approx(0.881, abs=0.002)]
    assert said["Threshold Value"] == [0.5]
    assert said["Verdict"] == ["Present"]
    assert said["Finding"] == ["Pneumonia"]
    assert said["Algorithm Name"] == ["lucency: brightness"]
    assert f"bundle sha256 {reader.bundle.digest}" in said["Algorithm Parameters"]
    assert any(text.startswith("calibrated by none") for text in said["Algorithm Parameters"])
    assert said["Source of Measurement"] == ["1.2.3.4.5.1"]
    assert f"{NOTICE}." in said["Comment"]
    assert report.VerificationFlag == "UNVERIFIED"


@pytest.mark.parametrize(
    ("label", "code", "scheme"),
    [
        ("Pneumonia", "233604007", "SCT"),
        ("COVID-19", "840539006", "SCT"),
        ("Pleural Effusion", "60046008", "SCT"),
        ("pneumothorax", "36118008", "SCT"),
        ("cardiomegaly", "287272002", "SCT"),
        ("infiltration", "INFILTRATION", "99LUCENCY"),
    ],
)
def test_a_finding_has_its_code_or_one_of_a_private_scheme(label: str, code: str, scheme: str) -> None:
    found = finding(label)
    assert (found.value, found.scheme_designator) == (code, scheme)


def test_each_of_several_findings_has_its_threshold_and_verdict(tmp_path: Path) -> None:
    labels, point = ("edema", "mass", "effusion"), OperatingPoint(threshold=(0.0, 1.0, 0.25))
    bundle = write_colour_bundle(tmp_path / "b", "chest_xray", labels, task="multilabel", operating_point=point)
    report, _ = parts(answer(film(), Reader.open(bundle), NOON))
    printed = [item for item in report.iterall() if item.keyword == "ContentSequence"]
    items = [one for sequence in printed for one in sequence.value if "ConceptNameCodeSequence" in one]
    named = [(one.ConceptNameCodeSequence[0].CodeMeaning, one) for one in items]
    numbers = [one.MeasuredValueSequence[0].NumericValue for name, one in named if name == "Threshold Value"]
    verdicts = [one.ConceptCodeSequence[0].CodeMeaning for name, one in named if name == "Verdict"]
    assert numbers == [0.0, 1.0, 0.25]
    assert verdicts[:2] == ["Present", "Absent"]


def test_the_private_scheme_is_stated_as_such(reader: Reader) -> None:
    report, _ = parts(answer(film(), reader, NOON))
    (scheme,) = report.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99LUCENCY"
    used = {item.value for item in report.iterall() if item.keyword == "CodingSchemeDesignator"}
    assert {one for one in used if one.startswith("99")} == {"99LUCENCY"}


def test_a_dark_film_is_absent_and_a_doubted_one_indeterminate(reader: Reader) -> None:
    dark, _ = parts(answer(film(pixels=gray(96)), reader, NOON))
    assert words(dark)["Verdict"] == ["Absent"]
    narrow, _ = parts(answer(film(pixels=gray(160)[:, :10]), reader, NOON))
    assert words(narrow)["Verdict"] == ["Indeterminate"]
    assert any("narrow or wide" in text for text in words(narrow)["Comment"])


def test_highdicom_takes_the_report_for_tid_1500(reader: Reader) -> None:
    report, _ = parts(answer(film(), reader, NOON))
    tree = highdicom.sr.ComprehensiveSR.from_dataset(report).content
    assert isinstance(tree, highdicom.sr.MeasurementReport)
    (group,) = tree.get_image_measurement_groups()
    assert [measured.value for measured in group.get_measurements()][1] == 0.5


def test_both_are_filed_under_the_films_patient_and_study(reader: Reader) -> None:
    for made in parts(answer(film(), reader, NOON)):
        assert str(made.PatientName) == "Müller^Zoë"
        assert (made.PatientID, made.StudyInstanceUID, made.AccessionNumber) == ("P7", "1.2.3.4", "A77")
        assert made.SeriesInstanceUID != "1.2.3.4.5"
        assert (made.ContentDate, made.ContentTime) == ("20250607", "120000")
        assert NOTICE in made.SeriesDescription


@pytest.mark.parametrize("stated", [None, "ISO_IR 6"])
def test_words_in_an_undeclared_encoding_stay_as_they_came(reader: Reader, stated: str | None) -> None:
    """Declared as UTF-8 they would be a guess: nobody knows how the modality encodes."""
    name = "王小^东".encode("gbk") + b" "
    one = dataset(PatientName="AAAA^BB", without=("SpecificCharacterSet", "ReferringPhysicianName"))
    if stated:
        one.SpecificCharacterSet = stated
    for part in answer(file(one).replace(b"AAAA^BB ", name), reader, NOON).parts:
        assert name in part.content
        made = pydicom.dcmread(io.BytesIO(part.content))
        assert "SpecificCharacterSet" not in made
        words = [element.value for element in made.iterall() if isinstance(element.value, str)]
        assert len(words) > 10
        assert all(map(str.isascii, words))


def test_an_accession_number_in_the_request_is_the_answers(reader: Reader) -> None:
    requests = [Dataset(), Dataset()]
    for request in requests:
        request.AccessionNumber = "A78"
    one = dataset(AccessionNumber="", RequestAttributesSequence=requests)
    assert {made.AccessionNumber for made in parts(answer(file(one), reader, NOON))} == {"A78"}
    requests[1].AccessionNumber = "A79"  # two orders: which one is meant?
    assert {made.AccessionNumber for made in parts(answer(file(one), reader, NOON))} == {""}


def test_the_overlay_is_marked_and_shows_the_notice(reader: Reader) -> None:
    side = gray(160, 600)
    _, overlay = parts(answer(film(pixels=side), reader, NOON))
    assert (overlay.BurnedInAnnotation, overlay.Modality) == ("YES", "OT")
    assert overlay.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4.5.1"
    pixels = overlay.pixel_array
    assert pixels.shape == (overlay.Rows, overlay.Columns, 3)
    warning = (pixels == (170, 30, 0)).all(axis=2)
    assert warning[:, :600].any(axis=1).sum() > 20  # the band across the film, with letters in it
    assert (pixels[warning.any(axis=1)][:, :600] == 255).all(axis=2).any()


def test_a_repeat_names_the_same_objects_and_another_bundle_others(reader: Reader, tmp_path: Path) -> None:
    from cli.brightness import write_brightness_bundle

    other = Reader.open(write_brightness_bundle(tmp_path / "other", threshold=0.7))
    once, again = answer(film(), reader, NOON), answer(film(), reader, NOON)
    assert all(part.content == repeat.content for part, repeat in zip(once.parts, again.parts, strict=True))
    answers = (once, answer(film(2), reader, NOON), answer(film(), other, NOON))
    uids = {part.uid for answered in answers for part in answered.parts}
    assert len(uids) == 6


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy (apt-get install dicom3tools)")
@pytest.mark.parametrize("name", ["ours", "RG1_UNCR.dcm", "RG1_J2KR.dcm"])
def test_dciodvfy_finds_no_error(reader: Reader, pydicom_data: Path, tmp_path: Path, name: str) -> None:
    data = film() if name == "ours" else (pydicom_data / name).read_bytes()
    for part in answer(data, reader, NOON).parts:
        path = tmp_path / f"{part.what}.dcm"
        path.write_bytes(part.content)
        printed = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False).stderr
        assert re.search("SCImage|ComprehensiveSR", printed)  # it knew what to check
        assert [line for line in printed.splitlines() if line.startswith("Error")] == []


RED = np.full((32, 32, 3), (200, 40, 40), np.uint8)
REFUSED = {
    "lateral": ({"ViewPosition": "LL"}, "view LL"),
    "a hand": ({"BodyPartExamined": "HAND"}, "body part HAND"),
    "a CT": ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Modality": "CT"}, "another kind"),
    "a captured MR": ({"Modality": "MR"}, "modality MR"),
    "for processing": ({"PresentationIntentType": "FOR PROCESSING"}, "FOR PROCESSING"),
    "two frames": ({"NumberOfFrames": 2}, "2 frames"),
    "colour": ({"pixels": RED, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour"),
    "cut short": ({"Rows": 900}, "cut short"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_reason(reader: Reader, case: str) -> None:
    header, reason = REFUSED[case]
    with pytest.raises(FilmError, match=reason) as caught:
        answer(film(**header), reader, NOON)
    assert "Müller" not in str(caught.value)


def test_an_unknown_word_denies_nothing_and_is_not_quoted(reader: Reader) -> None:
    for keyword, other in (("ViewPosition", "LL"), ("BodyPartExamined", "HAND"), ("Modality", "CT")):
        assert answer(film(**{keyword: "ZACHARIAS"}), reader, NOON).reading.verdict == "pneumonia"
        with pytest.raises(FilmError, match=other) as caught:
            answer(film(**{keyword: f"{other} ZACHARIAS"}), reader, NOON)
        assert "ZACHARIAS" not in str(caught.value)


def test_a_film_of_no_study_is_refused(reader: Reader) -> None:
    with pytest.raises(FilmError, match="without StudyInstanceUID"):
        answer(film(without=("StudyInstanceUID",)), reader, NOON)


NONSENSE: dict[str, tuple[Any, Any]] = {
    "PatientSex": ("U", ""),
    "StudyDate": ("20240230", ""),
    "StudyTime": ("around noon", ""),
    "PatientBirthDate": ("1950.01.02", "19500102"),
    "PatientOrientation": (["LEFT", "DOWN"], ""),
}


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy (apt-get install dicom3tools)")
@pytest.mark.parametrize("keyword", NONSENSE)
def test_nonsense_in_a_header_costs_no_answer_and_is_not_repeated(reader: Reader, tmp_path: Path, keyword: str) -> None:
    stated, taken_over = NONSENSE[keyword]
    with pydicom.config.disable_value_validation():
        data = film(**{keyword: stated})
    answered = answer(data, reader, NOON)
    assert parts(answered)[1][keyword].value == taken_over
    for part in answered.parts:
        (tmp_path / part.what).write_bytes(part.content)
        printed = subprocess.run(["dciodvfy", tmp_path / part.what], capture_output=True, text=True, check=False).stderr
        assert [line for line in printed.splitlines() if line.startswith("Error")] == []


@pytest.mark.parametrize(
    ("header", "reason"),
    [({"PatientID": ["P7", "P8"]}, "several patients"), ({"SOPInstanceUID": ["1.2", "1.3"]}, "without SOPInstanceUID")],
)
def test_who_it_is_of_must_be_one(reader: Reader, header: dict[str, Any], reason: str) -> None:
    with pytest.raises(FilmError, match=reason):
        answer(film(**header), reader, NOON)


def test_its_own_overlay_is_not_answered(reader: Reader) -> None:
    overlay = answer(film(), reader, NOON).parts[1]
    with pytest.raises(FilmError, match="in colour"):
        answer(overlay.content, reader, NOON)


def coded(value: str, meaning: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return [item]


def test_a_digital_film_that_states_view_and_region_in_codes(reader: Reader) -> None:
    header: dict[str, Any] = {"SOPClassUID": DigitalXRayImageStorageForPresentation, "Modality": "DX"}
    without = ("ViewPosition", "BodyPartExamined")
    frontal = {"ViewCodeSequence": coded("399348003", "antero-posterior")}
    chest = {"AnatomicRegionSequence": coded("51185008", "Chest")}
    said = answer(film(without=without, **header, **frontal, **chest), reader, NOON).reading
    assert said.verdict == "pneumonia"
    with pytest.raises(FilmError, match="view LATERAL"):
        answer(film(without=without, **header, **chest, ViewCodeSequence=coded("399067008", "lateral")), reader, NOON)
    with pytest.raises(FilmError, match="body part HAND"):
        answer(
            film(without=without, **header, **frontal, AnatomicRegionSequence=coded("85562004", "Hand")), reader, NOON
        )


def test_a_compressed_film_is_read_as_its_plain_twin(reader: Reader) -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 4096, (64, 64)).astype(np.uint16)
    packed = dataset(pixels=pixels)
    packed.compress(JPEG2000Lossless)
    assert answer(file(packed), reader, NOON).reading.logit == answer(film(pixels=pixels), reader, NOON).reading.logit
