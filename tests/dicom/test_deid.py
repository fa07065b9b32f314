"""Names planted in every corner of a film, and what is left of them."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom.colours import photograph, retina
from dicom.films import dataset, file, film
from lucency.cli import run
from lucency.dicom.deid import RULES, Cleaned, Pseudonyms, deidentify
from lucency.errors import FilmError
from lucency.film import open_film

KEY = Pseudonyms(b"sixteen bytes at least")
SECRET = "Zebra"
"""Planted everywhere; no word of the standard."""
TEXT = ("AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")


def cleaned(data: bytes, **words: Any) -> tuple[Dataset, Cleaned]:
    made = deidentify(data, KEY, **words)
    return pydicom.dcmread(io.BytesIO(made.content)), made


def noise(side: int = 64) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(1000, 1400, (side, side)).astype(np.uint16)


def riddled() -> bytes:
    """A film with the secret in every text attribute of the dictionary, nested ones, private ones and elsewhere."""
    one = dataset(pixels=noise(), PatientID=f"{SECRET}7", PatientName=f"{SECRET}^Zacharias")
    kept = {elem.tag for elem in one} - {pydicom.tag.Tag("PatientID"), pydicom.tag.Tag("PatientName")}
    kept.add(pydicom.tag.Tag("BurnedInAnnotation"))  # anything but NO is refused
    with pydicom.config.disable_value_validation():
        for tag, (vr, _, _, _, keyword) in pydicom.datadict.DicomDictionary.items():
            if vr in TEXT and keyword and tag not in kept and tag >> 16 > 2:
                one.add_new(tag, vr, SECRET)
        for keyword, vr in (("ViewPosition", "CS"), ("BodyPartExamined", "CS"), ("Manufacturer", "LO")):
            one.add_new(keyword, vr, SECRET)
        inner = Dataset()
        inner.PatientName, inner.CodeMeaning, inner.CodeValue = SECRET, SECRET, SECRET
        for keyword in ("ViewCodeSequence", "AnatomicRegionSequence", "RequestAttributesSequence", "VOILUTSequence"):
            setattr(one, keyword, Sequence([inner]))
        table = Dataset()
        table.LUTExplanation, table.LUTDescriptor = SECRET, [4096, 0, 12]
        table.add_new("LUTData", "OW", np.arange(4096, dtype="<u2").tobytes() + SECRET.encode() * 2)
        one.VOILUTSequence = Sequence([table])
        one.private_block(0x0099, SECRET, create=True).add_new(1, "LO", SECRET)
        one.add_new(0x60003000, "OW", SECRET.encode() * 2)
        one.add_new(0x60000022, "LO", SECRET)
        one.add_new(0xFFFCFFFC, "OB", SECRET.encode() * 2)
        one.file_meta.SourceApplicationEntityTitle = SECRET
        one.preamble = (SECRET.encode() * 26)[:128]
        return file(one)


CLASSES = ("OphthalmicPhotography8Bit", "DermoscopicPhotography", "VLPhotographic")
PHOTOGRAPH = np.random.default_rng(2).integers(90, 130, (64, 64, 3)).astype(np.uint8)


@pytest.mark.parametrize("kind", [getattr(uid, f"{name}ImageStorage") for name in CLASSES])
def test_a_photograph_becomes_a_secondary_capture_with_its_colours(kind: uid.UID, tmp_path: Path) -> None:
    words = {"seen": kind == uid.VLPhotographicImageStorage}
    data = photograph(1, PHOTOGRAPH, SOPClassUID=kind, DeviceSerialNumber=SECRET)
    made, result = cleaned(data, **words)
    assert SECRET.encode() not in result.content
    assert (made.SOPClassUID, made.Laterality) == (uid.SecondaryCaptureImageStorage, "R")
    assert np.array_equal(open_film(result.content).colour, PHOTOGRAPH)
    assert dciodvfy_errors(result.content, tmp_path / "film.dcm", "SCImage") == []


@pytest.mark.parametrize("stored", ["palette", "luminance", "sixteen bits"])
def test_colour_in_any_layout_is_written_as_rgb(stored: str) -> None:
    header: dict[str, Any] = {"BitsAllocated": 8}
    pixels: Any = PHOTOGRAPH
    if stored == "palette":
        pixels, header = PHOTOGRAPH[:, :, 0], {"SamplesPerPixel": 1, "PhotometricInterpretation": "PALETTE COLOR"}
        for name, step in (("Red", 1), ("Green", 3), ("Blue", 5)):
            header[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
            header[f"{name}PaletteColorLookupTableData"] = (np.arange(256) * step % 256).astype(np.uint8).tobytes()
    elif stored == "luminance":
        header = {"PhotometricInterpretation": "YBR_FULL"}
    else:
        pixels, header = PHOTOGRAPH.astype(np.uint16) << 4, {}
    data = photograph(1, pixels, **header)
    made, result = cleaned(data)
    assert (made.PhotometricInterpretation, made.SamplesPerPixel, made.BitsStored) == ("RGB", 3, 8)
    assert np.array_equal(open_film(result.content).colour, open_film(data).colour)


@pytest.mark.long
@pytest.mark.parametrize(("paper", "ink"), [((200, 60, 60), (255, 255, 255)), ((60, 170, 60), (190, 110, 60))])
def test_text_in_colour_is_seen(paper: tuple[int, int, int], ink: tuple[int, int, int]) -> None:
    """White letters, and letters of the luma of their paper."""
    letters = written_on("MUELLER ANNA", 24, 255)[..., None] > 4000
    grain = np.random.default_rng(1).integers(-4, 5, (*letters.shape[:2], 3))
    picture = (np.where(letters, ink, paper) + grain).clip(0, 255).astype(np.uint8)
    with pytest.raises(FilmError, match="what looks like text at rows"):
        deidentify(photograph(1, picture), KEY)


@pytest.mark.parametrize("kind", [uid.VLPhotographicImageStorage, uid.SecondaryCaptureImageStorage])
def test_a_photograph_that_may_show_a_face_needs_a_look(kind: uid.UID) -> None:
    with pytest.raises(FilmError, match=r"a face or a tattoo may be.*--seen"):
        deidentify(photograph(1, PHOTOGRAPH, SOPClassUID=kind, BurnedInAnnotation="NO"), KEY)


def test_three_equal_channels_are_written_as_one() -> None:
    film = retina((90, 90, 90))
    made, result = cleaned(photograph(1, film, SOPClassUID=uid.SecondaryCaptureImageStorage, Modality="OT"), seen=True)
    assert (made.SamplesPerPixel, made.PhotometricInterpretation) == (1, "MONOCHROME2")
    assert np.array_equal(open_film(result.content).pixels, film[:, :, 0])


def test_nothing_planted_is_left() -> None:
    data = riddled()
    assert data.count(SECRET.encode()) > 300  # so that its absence below means something
    made, result = cleaned(data)
    assert SECRET.encode() not in result.content
    assert b"Zacharias" not in result.content
    assert SECRET.encode() not in result.content[::-1]
    assert not [elem for elem in made.iterall() if elem.tag.is_private]
    assert result.content[:128] == b"\0" * 128
    assert made.PatientIdentityRemoved == "YES"
    assert [item.CodeValue for item in made.DeidentificationMethodCodeSequence] == list(RULES["profile"])


@pytest.mark.parametrize("keyword", ["PatientComments", "ImageComments", "DeviceSerialNumber", "InstitutionName"])
def test_what_others_were_seen_to_leave(keyword: str) -> None:
    one = dataset(pixels=noise())
    setattr(one, keyword, SECRET)
    one.private_block(0x0011, "VENDOR", create=True).add_new(1, "PN", SECRET)
    made, result = cleaned(file(one))
    assert SECRET.encode() not in result.content
    assert keyword not in made


def test_the_film_is_the_same_film() -> None:
    for header in ({}, {"PhotometricInterpretation": "MONOCHROME1"}, {"WindowCenter": 1200, "WindowWidth": 500}):
        data = film(pixels=noise(), **header)
        _, result = cleaned(data)
        before, after = open_film(data), open_film(result.content)
        assert np.array_equal(before.pixels, after.pixels)
        assert (after.facts["view"], after.facts["body_part"], after.facts["sex"]) == ("PA", "CHEST", "F")


def test_signed_pixels_stay_what_they_are() -> None:
    pixels = (noise().astype(np.int16) - 1200).view(np.uint16)
    data = film(pixels=pixels, PixelRepresentation=1, WindowCenter=0, WindowWidth=500)
    assert np.array_equal(open_film(data).pixels, open_film(cleaned(data)[1].content).pixels)


def test_what_hides_in_unused_bits_or_in_a_compressed_stream_goes() -> None:
    hidden = noise() | np.uint16(0x5000)  # a picture could lie in the bits above the twelve that are stored
    made, _ = cleaned(film(pixels=hidden))
    assert int(made.pixel_array.max()) < 4096
    packed = dataset(pixels=noise())
    packed.compress(uid.JPEG2000Lossless)
    data = file(packed)
    marker = data.index(b"\xff\x52")  # a comment segment before the coding style
    comment = b"\xff\x64" + (4 + 10).to_bytes(2, "big") + b"\0\1" + SECRET.encode() * 2
    frame = data[data.index(b"\xff\x4f\xff\x51") :]
    stream = data[data.index(b"\xff\x4f\xff\x51") : marker] + comment + data[marker:]
    end = stream.index(b"\xff\xd9") + 2
    packed.PixelData = pydicom.encaps.encapsulate([stream[:end]])
    assert len(frame) < len(stream)
    data = file(packed)
    assert SECRET.encode() in data
    _, result = cleaned(data)
    assert SECRET.encode() not in result.content
    assert np.array_equal(open_film(data).pixels, open_film(result.content).pixels)


def test_one_patient_stays_one_patient_and_days_stay_apart() -> None:
    first, _ = cleaned(film(1, pixels=noise(), StudyDate="20240301"))
    second, _ = cleaned(film(2, pixels=noise(), StudyDate="20240311", StudyInstanceUID="1.2.4"))
    other, _ = cleaned(film(3, pixels=noise(), StudyDate="20240301", PatientID="P8", StudyInstanceUID="1.2.5"))
    assert first.PatientID == second.PatientID != other.PatientID
    days = [pydicom.valuerep.DA(one.StudyDate) for one in (first, second)]
    assert (days[1] - days[0]).days == 10
    assert first.StudyDate < "20240301"
    assert first.SeriesInstanceUID == second.SeriesInstanceUID  # the films state the same one
    assert first.StudyInstanceUID != second.StudyInstanceUID
    assert first.SOPInstanceUID == first.file_meta.MediaStorageSOPInstanceUID
    assert (first.StudyTime, first.PatientBirthDate, first.AccessionNumber) == ("", "", "")


def test_another_key_makes_other_names() -> None:
    ours = deidentify(film(pixels=noise()), KEY)
    theirs = deidentify(film(pixels=noise()), Pseudonyms(b"another sixteen bytes"))
    assert ours.patient != theirs.patient
    assert ours.uid != theirs.uid
    assert ours == deidentify(film(pixels=noise()), KEY)


@pytest.mark.parametrize(("age", "kept"), [("074Y", "074Y"), ("093Y", "090Y"), ("003D", "003D"), ("Zebra", "")])
def test_ages(age: str, kept: str) -> None:
    with pydicom.config.disable_value_validation():
        data = film(pixels=noise(), PatientAge=age)
    assert cleaned(data)[0].PatientAge == kept


@pytest.mark.parametrize(
    ("stated", "kept"), [("SIEMENS Healthineers", "Siemens"), ("GE MEDICAL", "GE"), ("Dr. Zebra's own", "")]
)
def test_manufacturers(stated: str, kept: str) -> None:
    assert cleaned(film(pixels=noise(), Manufacturer=stated))[0].Manufacturer == kept


def test_a_number_that_is_too_large_to_be_one_goes() -> None:
    made, _ = cleaned(film(pixels=noise(), SeriesNumber="48151623", KVP="4815162342"))
    assert made.SeriesNumber == 1
    assert "KVP" not in made


def written_on(words: str, size: int, fill: int, turn: int = 0) -> np.ndarray[Any, Any]:
    """A film of 12 bits, 400 pixels a side, gray 62 to 87 of 255."""
    letters = Image.new("L", (400, 400))
    ImageDraw.Draw(letters).multiline_text((40, 40), words, fill=255, font=ImageFont.load_default(size), spacing=1)
    ink = np.rot90(np.asarray(letters), turn // 90) / 255
    return np.round(noise(400) * (1 - ink) + fill * 16 * ink).astype(np.uint16)


WRITTEN = {
    "small": written_on("MUELLER ANNA", 12, 255),
    "black": written_on("MUELLER ANNA", 20, 0),
    "large": written_on("MUELLER ANNA", 40, 255),
    "upright": written_on("MUELLER ANNA", 20, 255, 90),
    "upside down": written_on("MUELLER ANNA", 20, 255, 180),
    "downwards": written_on("MUELLER ANNA", 20, 255, 270),
    "letters below one another": written_on("\n".join("MUELLER"), 20, 255),
    "far below one another": written_on("\n\n".join("MUELLER"), 15, 255),
    "far beside one another": written_on("   ".join("MUELLER ANNA"), 12, 255),
    "faint": written_on("MUELLER ANNA", 30, 105),
}


@pytest.mark.long
@pytest.mark.parametrize("case", WRITTEN)
def test_text_in_the_pixels_is_seen(case: str) -> None:
    with pytest.raises(FilmError, match="what looks like text at rows"):
        deidentify(film(pixels=WRITTEN[case]), KEY)


RISING = Dataset()
RISING.LUTDescriptor = [4096, 0, 12]
RISING.add_new("LUTData", "OW", np.minimum(np.arange(4096) * 2, 4095).astype("<u2").tobytes())


@pytest.mark.long
@pytest.mark.parametrize("hidden_by", ["window", "table"])
@pytest.mark.parametrize("level", [140, 200])
def test_text_that_is_not_shown_is_seen_as_well(hidden_by: str, level: int) -> None:
    """White on what the window, or the end of the table, makes white: nobody who looks at the film can see it."""
    pixels = written_on("MUELLER ANNA", 24, level)
    pixels[:160] = np.maximum(pixels[:160], 130 * 16)
    header = {"WindowCenter": 1024, "WindowWidth": 2048} if hidden_by == "window" else {"VOILUTSequence": [RISING]}
    shown = open_film(film(pixels=pixels, **header)).gray8()
    assert shown[:160].min() == 255
    with pytest.raises(FilmError, match="what looks like text at rows"):
        deidentify(film(pixels=pixels, **header), KEY)


def test_a_text_for_a_table_is_refused_and_a_table_is_kept() -> None:
    made, _ = cleaned(film(pixels=noise(), VOILUTSequence=[RISING]))
    assert made.VOILUTSequence[0].LUTData == RISING.LUTData
    text = Dataset()
    text.LUTDescriptor, text.LUTExplanation = [4096, 0, 16], SECRET
    letters = (SECRET.encode() * 1639)[:8192]
    text.add_new("LUTData", "OW", letters)
    with pytest.raises(FilmError, match="a look-up table whose values rise and fall"):
        cleaned(film(pixels=noise(), ModalityLUTSequence=[text]))


@pytest.mark.parametrize("words", ["PORTABLE", "AP SUPINE", "R"])
def test_words_that_technicians_stamp_are_no_names(words: str) -> None:
    assert cleaned(film(pixels=written_on(words, 30, 255)))


def test_a_side_marker_is_no_text_and_a_person_may_know_better() -> None:
    assert cleaned(film(pixels=written_on("R", 40, 255)))
    assert cleaned(film(pixels=written_on("MUELLER", 20, 255)), seen=True)


REFUSED = {
    "says so": ({"BurnedInAnnotation": "YES"}, "BurnedInAnnotation YES"),
    "capture": ({"SOPClassUID": uid.SecondaryCaptureImageStorage}, "secondary capture that does not say"),
    "a CT": ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "a slice of CT: those of a head together show the face"),
    "an MRI": ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, "slice of MRI.*remove the face from the whole series"),
    "ultrasound": ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1"}, "another kind of file.*leave it out"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    header, reason = REFUSED[case]
    with pytest.raises(FilmError, match=reason):
        deidentify(film(pixels=noise(), **header), KEY)


def test_a_capture_that_says_no_is_taken() -> None:
    header = {"SOPClassUID": uid.SecondaryCaptureImageStorage, "BurnedInAnnotation": "NO", "ConversionType": "DI"}
    assert cleaned(film(pixels=noise(), **header))[0].BurnedInAnnotation == "NO"


REGION = Dataset()
REGION.CodeValue, REGION.CodingSchemeDesignator, REGION.CodeMeaning = "816094009", "SCT", f"Brust {SECRET}"
DIGITAL = {
    "SOPClassUID": uid.DigitalXRayImageStorageForPresentation,
    "Modality": "DX",
    "PresentationIntentType": "FOR PRESENTATION",
    "PixelIntensityRelationship": "LIN",
    "PixelIntensityRelationshipSign": 1,
    "RescaleIntercept": 0,
    "RescaleSlope": 1,
    "RescaleType": "US",
    "PresentationLUTShape": "IDENTITY",
    "LossyImageCompression": "00",
    "BurnedInAnnotation": "NO",
    "ImagerPixelSpacing": [0.1, 0.1],
    "AnatomicRegionSequence": Sequence([REGION]),
}
KINDS = {
    "CR": {},
    "CR of a part that is not kept": {"BodyPartExamined": SECRET, "Laterality": "L"},
    "CR with its side": {"BodyPartExamined": "", "ImageLaterality": "L"},
    "CR of the chest with a side": {"Laterality": "L"},
    "DX": DIGITAL,
    "DX with its side": {**DIGITAL, "ImageLaterality": "U", "DetectorType": "DIRECT", "Laterality": "L"},
}


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy (apt-get install dicom3tools)")
@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_finds_no_error(tmp_path: Path, kind: str) -> None:
    window = {"WindowCenter": 1200, "WindowWidth": 500}
    with pydicom.config.disable_value_validation():
        one = dataset(pixels=noise(), InstitutionName=SECRET, KVP=80, **window, **KINDS[kind])
    assert dciodvfy_errors(cleaned(file(one))[1].content, tmp_path / "film.dcm", f"{kind[:2]}Image") == []


def dciodvfy_errors(content: bytes, path: Path, kind: str) -> list[str]:
    """What dciodvfy finds wrong with an object of this kind; nothing where it is not installed."""
    if shutil.which("dciodvfy") is None:
        return []
    path.write_bytes(content)
    told = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False).stderr
    assert kind in told
    return [line for line in told.splitlines() if line.startswith("Error")]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(film(1, pixels=noise()))
    (tmp_path / "in" / "b.dcm").write_bytes(film(2, pixels=noise(), BurnedInAnnotation="YES"))
    paths = [str(tmp_path / "in" / name) for name in ("a.dcm", "b.dcm")]
    key, out = tmp_path / "deid.key", tmp_path / "out"
    words = ["deid", *paths, "--out", str(out), "--key", str(key), "--json"]
    assert run(words) == 2
    assert "make one with --new-key" in capsys.readouterr().err
    assert run([*words, "--new-key"]) == 3
    good, bad = map(json.loads, capsys.readouterr().out.splitlines())
    assert key.stat().st_mode & 0o077 == 0
    assert [path for path in out.rglob("*") if path.is_file()] == [Path(good["out"])]
    assert "P7" not in good["out"]
    assert "BurnedInAnnotation YES" in bad["error"]
    before = Path(good["out"]).read_bytes()
    assert run(words) == 3
    assert Path(good["out"]).read_bytes() == before
    assert run([*words, "--new-key"]) == 2


def test_one_uid_names_one_film(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films = {"a": film(1, pixels=noise()), "patient": film(1, pixels=noise(), PatientID="P8"), "pixels": film(1)}
    paths = [tmp_path / f"{name}.dcm" for name in ("a", "a", "patient", "pixels")]
    for name, content in films.items():
        (tmp_path / f"{name}.dcm").write_bytes(content)
    options = ["--out", str(tmp_path / "out"), "--key", str(tmp_path / "key"), "--new-key"]
    assert run(["deid", *map(str, paths), *options]) == 3
    told = capsys.readouterr().err
    assert "patient.dcm: found another film under a UID" in told
    assert "pixels.dcm: found another film under a UID" in told
    assert "2 of 4 films were not written" in told
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 1
