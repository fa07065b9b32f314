"""A film without who it is of: PS3.15 basic profile by a list of what may stay; pixels written anew."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from lucency.dicom.deid import rules
from lucency.dicom.deid.burnt import text_lines
from lucency.dicom.deid.pseudonyms import Pseudonyms
from lucency.dicom.uids import IMPLEMENTATION
from lucency.errors import RadiographError
from lucency.film import Film, open_film
from lucency.film.dicom import stored_codes
from lucency.film.quiet import dicom_quiet, quiet
from lucency.film.refuse import damaged, printable


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
        data: a DICOM file: one gray frame, CR, DX or SC.
        pseudonyms: of the key.
        name: what messages call it.
        seen: a person has looked at the pixels and found no text: do not search them.

    Raises:
        RadiographError: no such film; or text is, or may be, burnt into it.
    """
    label = printable(name)
    film = open_film(data, name)
    try:
        with quiet, dicom_quiet:
            source = dcmread(io.BytesIO(data), force=True)
            _check(source, film, label, seen)
            made = cleaned(source, pseudonyms)
            _copy_pixels(source, made)
            return Cleaned(str(made.PatientID), str(made.SOPInstanceUID), _file(made))
    except RadiographError:
        raise
    except Exception as error:  # pydicom raises nearly anything on a damaged header
        raise RadiographError(f"{label}: {damaged('DICOM', error)}") from error


def _check(source: Dataset, film: Film, label: str, seen: bool) -> None:
    if film.facts["format"] != "DICOM" or source.get("SOPClassUID") not in rules.WORDS["SOPClassUID"]:
        raise _refusal(label, "another kind of file", "a gray CR, DX or SC film", "leave it out")
    if not all(source.get(keyword) for keyword in rules.UIDS):
        raise _refusal(label, "no study, series or instance UID", "all three", "leave it out")
    stated = str(source.get("BurnedInAnnotation") or "").strip().upper()
    if stated not in ("", "NO"):
        raise _refusal(label, "BurnedInAnnotation YES", "a film without text in its pixels", "cut the text away first")
    if seen:
        return
    clean, silent = "a film without text in its pixels", "a secondary capture that does not say if text is burnt in"
    if source.SOPClassUID == SecondaryCaptureImageStorage and not stated:
        raise _refusal(label, silent, clean, "look; then --seen")
    lines = text_lines(film.gray8())
    if lines:
        places = ", ".join(f"rows {line.top}-{line.bottom} columns {line.left}-{line.right}" for line in lines[:3])
        raise _refusal(label, f"what looks like text at {places}", clean, "look; if there is none, use --seen")


def _refusal(label: str, found: str, expected: str, advice: str) -> RadiographError:
    return RadiographError(f"{label}: found {found}; expected {expected}; {advice}")


def cleaned(source: Dataset, pseudonyms: Pseudonyms) -> Dataset:
    """The header alone, made of nothing but what `rules` lets through."""
    identity = str(source.get("PatientID") or "").strip() or f"study {source.StudyInstanceUID}"
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 100"
    made.PatientID = made.PatientName = pseudonyms.patient(identity)
    for keyword in rules.UIDS:
        setattr(made, keyword, pseudonyms.uid(str(source.get(keyword))))
    for keyword in rules.EMPTY:
        setattr(made, keyword, "")
    for keyword in rules.DATES:
        if source.get(keyword) or keyword == "StudyDate":
            setattr(made, keyword, pseudonyms.date(identity, str(source.get(keyword) or "")))
    _copy_words(source, made)
    _copy_numbers(source, made)
    _copy_sequences(source, made)
    _state_method(made)
    return made


def _copy_words(source: Dataset, made: Dataset) -> None:
    for keyword, allowed in rules.WORDS.items():
        word = str(source.get(keyword) or "").strip().upper()
        if word in allowed:
            setattr(made, keyword, word)
    for keyword, allowed in rules.LISTS.items():
        words = [word for word in map(str, _values(source.get(keyword))) if word in allowed]
        if words:
            setattr(made, keyword, words)
    for keyword in rules.STATED:
        setattr(made, keyword, made.get(keyword, ""))
    made.PatientAge = _age(str(source.get("PatientAge") or "").strip())
    made.Manufacturer = _vendor(str(source.get("Manufacturer") or ""))


def _copy_numbers(source: Dataset, made: Dataset) -> None:
    for keyword, (low, high) in rules.NUMBERS.items():
        numbers = _values(source.get(keyword))
        if numbers and all(_is_between(number, low, high) for number in numbers):
            plain = [float(number) for number in numbers]
            whole = [int(number) if number.is_integer() else float(f"{number:.8g}") for number in plain]
            setattr(made, keyword, whole if len(whole) > 1 else whole[0])
    made.InstanceNumber = made.get("InstanceNumber", 1)
    made.SeriesNumber = made.get("SeriesNumber", 1)


def _copy_sequences(source: Dataset, made: Dataset) -> None:
    for keyword in rules.TABLES:
        if source.get(keyword):
            setattr(made, keyword, Sequence([_table(item) for item in source.get(keyword)]))
    for keyword, known in rules.CODES.items():
        for item in source.get(keyword) or ():
            code = str(item.get("CodeValue") or ""), str(item.get("CodingSchemeDesignator") or "")
            if code in known:
                setattr(made, keyword, Sequence([_code(*code, known[code])]))


def _table(item: Dataset) -> Dataset:
    """Descriptor and as many entries as it announces: what lies behind them could be anything."""
    made = Dataset()
    made["LUTDescriptor"] = item["LUTDescriptor"]
    entries, data = int(item.LUTDescriptor[0]) or 65536, item.LUTData
    kept = data[: 2 * entries] if isinstance(data, bytes) else list(data)[:entries]
    made.add_new("LUTData", "OW" if isinstance(data, bytes) else "US", kept)
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
    if not rules.AGE.fullmatch(age):
        return ""
    return "090Y" if age.endswith("Y") and int(age[:3]) > rules.OLDEST else age


def _vendor(stated: str) -> str:
    words = set(re.findall(r"[a-z]+", stated.lower()))
    return next((vendor for vendor in rules.VENDORS if vendor.lower() in words), "")


def _state_method(made: Dataset) -> None:
    """PS3.3 C.7.1.1: that, how, and that dates were moved."""
    made.PatientIdentityRemoved = "YES"
    made.DeidentificationMethod = "lucency deid: allow-list, keyed hash"
    made.DeidentificationMethodCodeSequence = Sequence(
        [_code(value, "DCM", meaning) for value, meaning in rules.PROFILE]
    )
    made.LongitudinalTemporalInformationModified = "MODIFIED"


def _copy_pixels(source: Dataset, made: Dataset) -> None:
    codes, bits, signed = stored_codes(source)
    if signed:
        sign = 1 << (bits - 1)
        codes = ((codes.astype(np.int32) ^ sign) - sign).astype(np.int16).view(np.uint16)
    small = made.BitsAllocated == 8
    made.HighBit = bits - 1
    content = (codes.astype(np.uint8) if small else codes.astype("<u2")).tobytes()
    made.add_new("PixelData", "OB" if small else "OW", content + b"\0" * (len(content) % 2))


def _file(made: Dataset) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = made.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION
    made.file_meta = meta
    stream = io.BytesIO()
    dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()
