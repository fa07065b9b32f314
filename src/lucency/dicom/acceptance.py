"""Which DICOM objects are answered, and what an answer takes over from them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.multival import MultiValue
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
)

from lucency.errors import FILM_UNSUPPORTED, FilmError
from lucency.film import Film, open_film
from lucency.film.limits import printable
from lucency.native_output import quiet, quiet_dicom
from lucency.reader.input_checks import CHESTS, FRONTAL

CLASSES = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
)
MODALITIES = {"CR", "DX", "RG", "OT", "SC"}
"""What a chest film calls itself; old and captured ones are RG, OT or SC."""

SAYABLE = {
    *("LL", "RL", "LLD", "RLD", "LLO", "RLO", "LATERAL", "OBLIQUE", "AX"),
    *("ABDOMEN", "ANKLE", "ARM", "BREAST", "CSPINE", "ELBOW", "EXTREMITY", "FOOT", "HAND", "HEAD", "HIP", "KNEE"),
    *("LEG", "LSPINE", "NECK", "PELVIS", "SHOULDER", "SKULL", "SPINE", "TSPINE", "WRIST"),
    *("CT", "MG", "MR", "NM", "PT", "RF", "US", "XA"),
}
"""What a refusal, which goes into logs, may quote of a header: people type names into any field."""

COPIED = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyDescription",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "Rows",
    "Columns",
    "PatientOrientation",
)
"""What files an answer under the patient and study of its film, and points back at the film."""
REQUIRED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
WHO = ("PatientName", "PatientID")


def open_chest(data: bytes, name: str = "film") -> tuple[Film, Dataset]:
    """A frontal chest film and what its answer takes over from it.

    Args:
        data: a DICOM file.
        name: what messages call it.

    Raises:
        FilmError: no film, or none that is answered: which one, what was found, what would be accepted.
    """
    film = open_film(data, name)
    _check_kind(film, printable(name))
    with quiet, quiet_dicom:
        return film, copied(dcmread(io.BytesIO(data), stop_before_pixels=True, force=True), printable(name))


def _check_kind(film: Film, name: str) -> None:
    facts = film.facts
    if facts["format"] != "DICOM":
        raise _refusal(name, f"a {facts['format']}", "read it with: lucency read")
    if facts.get("sop_class") not in CLASSES:
        raise _refusal(name, "another kind of DICOM image", "send the CR or DX film itself")
    if facts.get("modality", "OT").upper() not in MODALITIES:
        raise _refusal(name, f"modality {_quoted(facts['modality'])}")
    if facts.get("body_part", "CHEST").upper() not in CHESTS:
        raise _refusal(name, f"body part {_quoted(facts['body_part'])}")
    if facts.get("view", "PA").upper() not in FRONTAL:
        raise _refusal(name, f"view {_quoted(facts['view'])}")


def _quoted(word: str) -> str:
    return word if word.upper() in SAYABLE else "other than that"


def copied(dataset: Dataset, name: str = "film") -> Dataset:
    """The attributes of COPIED alone, empty where the film leaves them out or states what cannot be.

    Raises:
        FilmError: it does not say which study, series or instance it is, or names several patients.
    """
    missing = [keyword for keyword in REQUIRED if not is_uid(dataset.get(keyword))]
    if missing:
        raise _refusal(name, f"a film without {' and '.join(missing)}", "its answer could not be filed")
    if not all(is_one(dataset.get(keyword)) for keyword in WHO):
        raise _refusal(name, "a film of several patients", "its answer could not be filed")
    header = Dataset()
    for keyword in COPIED:
        setattr(header, keyword, fitting(keyword, dataset.get(keyword)))
    return header


def _refusal(name: str, found: str, advice: str = "send frontal chest films only") -> FilmError:
    expected = "a frontal chest film (CR, DX for presentation or gray secondary capture)"
    return FilmError(f"{name}: found {found}; expected {expected}; {advice}", code=FILM_UNSUPPORTED, found=found)


_UID = re.compile(r"[0-9.]{1,64}")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
_ORIENTATION = re.compile(r"[AFHLPR]{1,3}")
SEXES = ("F", "M", "O")


def is_uid(value: Any) -> bool:
    """Whether it can name an object: digits and points, one value. Leading zeros are wrong, and common."""
    return _UID.fullmatch(str(value)) is not None


def is_one(value: Any) -> bool:
    """Whether it is at most one value, as whom a film is of must be."""
    return not isinstance(value, MultiValue)


def fitting(keyword: str, value: Any) -> Any:
    """The value as an answer may state it; empty where it is none that the standard knows.

    >>> fitting("PatientSex", "f"), fitting("PatientSex", "unknown"), fitting("StudyDate", "2024.03.05")
    ('F', '', '20240305')
    """
    return _FITTED[keyword](value) if keyword in _FITTED and value else value


def _date(value: Any) -> str:
    text = str(value).strip().replace(".", "")  # with points, as ACR-NEMA wrote them
    try:
        return text if len(text) == 8 and datetime.strptime(text, "%Y%m%d") else ""
    except ValueError:
        return ""


def _time(value: Any) -> str:
    text = str(value).strip().replace(":", "")
    return text if _TIME.fullmatch(text) else ""


def _sex(value: Any) -> str:
    text = str(value).strip().upper()
    return text if text in SEXES else ""


def _orientation(value: Any) -> list[str] | str:
    sides = [str(side).strip() for side in value] if isinstance(value, MultiValue) else []
    return sides if len(sides) == 2 and all(map(_ORIENTATION.fullmatch, sides)) else ""


_FITTED: dict[str, Callable[[Any], Any]] = {
    "StudyDate": _date,
    "PatientBirthDate": _date,
    "StudyTime": _time,
    "PatientSex": _sex,
    "PatientOrientation": _orientation,
}
"""All of these may be empty (type 2)."""
