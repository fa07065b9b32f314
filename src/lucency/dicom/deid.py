"""Films without who they are of: the basic profile of PS3.15, annex E, by a list of what may stay."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import tomllib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    DermoscopicPhotographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
    OphthalmicPhotography8BitImageStorage,
    SecondaryCaptureImageStorage,
    VLPhotographicImageStorage,
)

from lucency.dicom.burnt_text import find_text
from lucency.dicom.common_attributes import file_bytes
from lucency.errors import FILM_UNSUPPORTED, FilmError, UsageError
from lucency.film.dicom import DicomFilm, open_dicom
from lucency.film.dicom_pixels import lut_entries
from lucency.film.limits import damaged, printable
from lucency.native_output import quiet, quiet_dicom

SHORTEST = 16
"""Bytes of a key: names and numbers of patients are few, and a short key could be tried out with them."""
FARTHEST_DAYS = 3650
AGE = re.compile(r"\d{3}[DWMY]")
OLDEST = 89
"""Years; older patients become 090Y, since there are few of them."""
PHOTOGRAPHS = (
    VLPhotographicImageStorage,
    DermoscopicPhotographyImageStorage,
    OphthalmicPhotography8BitImageStorage,
)
"""Written as secondary captures: their own classes demand serial numbers and references that must go."""
SLICES: dict[str, str] = {
    CTImageStorage: "CT",
    EnhancedCTImageStorage: "CT",
    LegacyConvertedEnhancedCTImageStorage: "CT",
    MRImageStorage: "MRI",
    EnhancedMRImageStorage: "MRI",
    LegacyConvertedEnhancedMRImageStorage: "MRI",
}
"""Parts of a volume, which this does not take: one slice hides no more than its neighbours give away."""
RULES: dict[str, Any] = tomllib.loads(files("lucency.dicom").joinpath("deid_rules.toml").read_text(encoding="utf-8"))
"""What may stay of a header."""


@dataclass(frozen=True)
class Pseudonyms:
    """What follows from a secret key by HMAC-SHA256."""

    key: bytes = field(repr=False)

    def patient(self, identity: str) -> str:
        """L and 16 hexadecimal digits: 64 bits, no two patients of a country alike."""
        return f"L{self._hash('patient', identity).hex()[:16].upper()}"

    def uid(self, uid: str) -> UID:
        """A UID made of a UUID, PS3.5 B.2."""
        return UID(f"2.25.{uuid.UUID(bytes=self._hash('uid', uid)[:16], version=4).int}")

    def date(self, identity: str, date: str) -> str:
        """A date YYYYMMDD moved back by the patient's number of days, 1 … FARTHEST_DAYS; "" if it is none."""
        days = 1 + int.from_bytes(self._hash("days", identity)[:8], "big") % FARTHEST_DAYS
        try:
            return (datetime.strptime(date.strip(), "%Y%m%d") - timedelta(days=days)).strftime("%Y%m%d")
        except (ValueError, OverflowError):
            return ""

    def _hash(self, kind: str, word: str) -> bytes:
        return hmac.digest(self.key, f"{kind}\n{word}".encode(), hashlib.sha256)


def read_key(path: Path) -> Pseudonyms:
    """The key in a file.

    Raises:
        UsageError: there is none, or it is too short.
    """
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{path}: expected a key, cannot read it ({reason}); make one with --new-key") from None
    if len(key) < SHORTEST:
        raise UsageError(f"{path}: expected a key of {SHORTEST} bytes or more, got {len(key)}; make one with --new-key")
    return Pseudonyms(key)


def make_key(path: Path) -> None:
    """Write a new key that only its owner may read.

    Raises:
        UsageError: something is there already; another key would make other pseudonyms. Or nothing can be there.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{path}: expected no file, there is one; leave out --new-key to use it") from None
    except OSError as error:
        raise UsageError(f"{path}: expected a place for a key, it cannot be written ({error.strerror})") from None
    with os.fdopen(handle, "w") as stream:
        stream.write(secrets.token_hex(32) + "\n")


def cleaned(source: Dataset, pseudonyms: Pseudonyms) -> Dataset:
    """The header alone, made of nothing but what `rules` lets through."""
    identity = str(source.get("PatientID") or "").strip() or f"study {source.StudyInstanceUID}"
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 100"
    made.PatientID = made.PatientName = pseudonyms.patient(identity)
    for keyword in RULES["uids"]:
        setattr(made, keyword, pseudonyms.uid(str(source.get(keyword))))
    for keyword in RULES["empty"]:
        setattr(made, keyword, "")
    for keyword in RULES["dates"]:
        if source.get(keyword) or keyword == "StudyDate":
            setattr(made, keyword, pseudonyms.date(identity, str(source.get(keyword) or "")))
    _copy_words(source, made)
    _copy_numbers(source, made)
    _copy_sequences(source, made)
    _state_method(made)
    return made


def _copy_words(source: Dataset, made: Dataset) -> None:
    for keyword, allowed in RULES["words"].items():
        word = str(source.get(keyword) or "").strip().upper()
        if word in allowed:
            setattr(made, keyword, word)
    for keyword, allowed in RULES["lists"].items():
        words = [word for word in map(str, _values(source.get(keyword))) if word in allowed]
        if words:
            setattr(made, keyword, words)
    for keyword in RULES["stated"]:
        setattr(made, keyword, made.get(keyword, ""))
    if made.get("SOPClassUID") == DigitalXRayImageStorageForPresentation:
        _complete_digital(made)
    elif made.get("SOPClassUID") in PHOTOGRAPHS:
        made.SOPClassUID, made.ConversionType = SecondaryCaptureImageStorage, "DI"
        made.Laterality = made.get("ImageLaterality", "")
        made.pop("ImageLaterality", None)
    elif not made.BodyPartExamined and "ImageLaterality" not in made:
        made.Laterality = ""  # type 2C: only of a part that is stated and single it must be absent
    made.PatientAge = _age(str(source.get("PatientAge") or "").strip())
    made.Manufacturer = _vendor(str(source.get("Manufacturer") or ""))


def _complete_digital(made: Dataset) -> None:
    """What a digital radiograph must state, known or not: PS3.3 C.8.11.2, C.8.11.4, C.8.11.5, C.7.6.14."""
    made.ImageLaterality = made.get("ImageLaterality", "U")  # a chest is no paired part
    for keyword in ("DetectorType", "PositionerType"):
        setattr(made, keyword, made.get(keyword, ""))
    made.AcquisitionContextSequence = Sequence()


def _copy_numbers(source: Dataset, made: Dataset) -> None:
    for keyword, (low, high) in RULES["numbers"].items():
        numbers = _values(source.get(keyword))
        if numbers and all(_is_between(number, low, high) for number in numbers):
            plain = [float(number) for number in numbers]
            whole = [int(number) if number.is_integer() else float(f"{number:.8g}") for number in plain]
            setattr(made, keyword, whole if len(whole) > 1 else whole[0])
    made.InstanceNumber = made.get("InstanceNumber", 1)
    made.SeriesNumber = made.get("SeriesNumber", 1)


def _copy_sequences(source: Dataset, made: Dataset) -> None:
    for keyword in RULES["tables"]:
        if source.get(keyword):
            setattr(made, keyword, Sequence([_table(source, item) for item in source.get(keyword)]))
    for keyword, known in RULES["codes"].items():
        for item in source.get(keyword) or ():
            value, scheme = str(item.get("CodeValue") or ""), str(item.get("CodingSchemeDesignator") or "")
            if meaning := known.get(f"{value} {scheme}"):
                setattr(made, keyword, Sequence([_code(value, scheme, meaning)]))


def _table(source: Dataset, item: Dataset) -> Dataset:
    """Descriptor and as many entries as it announces: what lies behind them could be anything.

    Raises:
        FilmError: its values rise and fall, as letters do and no table of a film does.
    """
    made = Dataset()
    made["LUTDescriptor"] = item["LUTDescriptor"]
    entries = lut_entries(source, item, int(item.LUTDescriptor[0]) or 65536)
    steps = np.diff(entries)
    if (steps > 0).any() and (steps < 0).any():
        found = "a look-up table whose values rise and fall, in which a text may hide"
        raise _refusal("film", found, "one that rises or falls", "export the film without it")
    made.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return made


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, scheme, meaning
    return made


def _values(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else [value]


def _is_between(number: Any, low: float, high: float) -> bool:
    try:
        return low <= float(number) <= high
    except (TypeError, ValueError):
        return False


def _age(age: str) -> str:
    if not AGE.fullmatch(age):
        return ""
    return "090Y" if age.endswith("Y") and int(age[:3]) > OLDEST else age


def _vendor(stated: str) -> str:
    words = set(re.findall(r"[a-z]+", stated.lower()))
    return next((vendor for vendor in RULES["vendors"] if vendor.lower() in words), "")


def _state_method(made: Dataset) -> None:
    """PS3.3 C.7.1.1: that, how, and that dates were moved."""
    made.PatientIdentityRemoved = "YES"
    made.DeidentificationMethod = "lucency deid: allow-list, keyed hash"
    made.DeidentificationMethodCodeSequence = Sequence(
        [_code(value, "DCM", meaning) for value, meaning in RULES["profile"].items()]
    )
    made.LongitudinalTemporalInformationModified = "MODIFIED"


@dataclass(frozen=True)
class Cleaned:
    """A film that may be given away."""

    patient: str
    """The pseudonym."""
    uid: str
    """The new SOP Instance UID."""
    content: bytes
    """The DICOM file, uncompressed."""


def deidentify(data: bytes, pseudonyms: Pseudonyms, name: str = "film", seen: bool = False) -> Cleaned:
    """Write a film anew with nothing in it that says who it is of.

    Pixels are decoded and written plainly: neither unused bits, nor overlays, nor comments of a compressed stream stay.

    Args:
        data: a DICOM file of one frame: CR, DX, SC, or one of PHOTOGRAPHS, gray or in colour.
        pseudonyms: of the key.
        name: what messages call it.
        seen: a person has looked at the pixels and found neither text nor face: do not search them.

    Raises:
        FilmError: no such film; or text is, or may be, burnt into it.
    """
    opened, label = open_dicom(data, name, colour=True), printable(name)
    try:
        with quiet, quiet_dicom:
            _check(opened, label, seen)
            made = cleaned(opened.dataset, pseudonyms)
            _copy_pixels(opened, made)
            return Cleaned(str(made.PatientID), str(made.SOPInstanceUID), file_bytes(made))
    except FilmError:
        raise
    except Exception as error:  # pydicom raises nearly anything on a damaged header
        raise damaged("DICOM", error).prefixed(label) from error


def _check(opened: DicomFilm, label: str, seen: bool) -> None:
    source = opened.dataset
    if source.get("SOPClassUID") not in RULES["words"]["SOPClassUID"]:
        slices = SLICES.get(str(source.get("SOPClassUID")))
        found = f"a slice of {slices}: those of a head together show the face" if slices else "another kind of file"
        what_to_do = "remove the face from the whole series with a tool made for that" if slices else "leave it out"
        raise _refusal(label, found, "CR, DX, SC or a photograph of 8 bits", what_to_do)
    if not all(source.get(keyword) for keyword in RULES["uids"]):
        raise _refusal(label, "no study, series or instance UID", "all three", "leave it out")
    clean = "a film without text in its pixels"
    stated = str(source.get("BurnedInAnnotation") or "").strip().upper()
    if stated not in ("", "NO"):
        raise _refusal(label, "BurnedInAnnotation YES", clean, "cut the text away first")
    if seen:
        return
    if source.SOPClassUID == SecondaryCaptureImageStorage and not stated:
        found = "a secondary capture that does not say if text is burnt in"
        raise _refusal(label, found, clean, "look; then --seen")
    if source.SOPClassUID == VLPhotographicImageStorage or (
        source.SOPClassUID == SecondaryCaptureImageStorage and "colour" in opened.film.facts
    ):
        found = "a photograph, on which a face or a tattoo may be"
        raise _refusal(label, found, "one on which nobody can be recognised", "look; then --seen")
    if lines := find_text(opened.film, opened.stored):
        boxes = list(dict.fromkeys(line.box for line in lines))[:3]
        places = ", ".join("rows {}-{} columns {}-{}".format(*box) for box in boxes)
        raise _refusal(label, f"what looks like text at {places}", clean, "look; if there is none, use --seen")


def _refusal(label: str, found: str, expected: str, advice: str) -> FilmError:
    return FilmError(f"{label}: found {found}; expected {expected}; {advice}", code=FILM_UNSUPPORTED, found=found)


def _copy_pixels(opened: DicomFilm, made: Dataset) -> None:
    if "colour" in opened.film.facts:
        _state_layout(made, 3)
        assert opened.stored.colour is not None
        _set_pixels(made, opened.stored.colour)
        return
    stored, codes = opened.stored, opened.stored.codes
    if stored.colour is not None:  # three equal channels
        _state_layout(made, 1)
    if stored.signed:
        sign = 1 << (stored.bits - 1)
        codes = ((codes.astype(np.int32) ^ sign) - sign).astype(np.int16).view(np.uint16)
    made.HighBit = stored.bits - 1
    _set_pixels(made, codes.astype(np.uint8) if made.BitsAllocated == 8 else codes.astype("<u2"))


def _state_layout(made: Dataset, samples: int) -> None:
    """Of a picture that was stored in colour, and is now RGB or gray, of 8 bits."""
    made.SamplesPerPixel = samples
    made.PhotometricInterpretation = "RGB" if samples == 3 else "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    if samples == 3:
        made.PlanarConfiguration = 0


def _set_pixels(made: Dataset, values: NDArray[Any]) -> None:
    content = values.tobytes()
    made.add_new("PixelData", "OB" if values.itemsize == 1 else "OW", content + b"\0" * (len(content) % 2))
