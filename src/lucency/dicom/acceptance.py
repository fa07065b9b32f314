"""Which DICOM objects are answered, by kind of picture, and what an answer takes over from them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DermoscopicPhotographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    MRImageStorage,
    OphthalmicPhotography8BitImageStorage,
    OphthalmicPhotography16BitImageStorage,
    SecondaryCaptureImageStorage,
    VLEndoscopicImageStorage,
    VLMicroscopicImageStorage,
    VLPhotographicImageStorage,
)

from lucency.errors import FILM_CONFLICT, FILM_UNSUPPORTED, FilmError
from lucency.film import Film
from lucency.film.dicom import DicomFilm, open_dicom
from lucency.film.limits import printable
from lucency.modality import MODALITIES
from lucency.native_output import quiet, quiet_dicom
from lucency.reader.input_checks import modality_said, part_said, view_said

OF_THE_IMAGE = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Rows", "Columns", "PatientOrientation"),
    "ImageLaterality",
)
OF_THE_STUDY = (
    *("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyDescription", "StudyInstanceUID"),
    *("StudyID", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
)
"""What files an answer under the patient and study of its film; OF_THE_IMAGE points back at the film."""
REQUIRED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
IDENTITY = ("PatientName", "PatientID")
CONTENT = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "StudyInstanceUID")
"""With the pixels, what makes a film itself: another transfer syntax or description does not make it another."""


@dataclass(frozen=True)
class Accepted:
    """A film that is answered."""

    film: Film
    header: Dataset
    """OF_THE_STUDY and OF_THE_IMAGE alone, empty where the film leaves them out or states an impossible value.

    SpecificCharacterSet is UTF-8; it is left out where the film has letters beyond ASCII and declares no encoding.
    """

    @property
    def uid(self) -> str:
        """SOP Instance UID."""
        return str(self.header.SOPInstanceUID)

    @cached_property
    def content(self) -> str:
        """A hash of what is read and of whom: whatever carries the same UID must have it too."""
        whose = "\n".join(str(self.header.get(keyword) or "").strip() for keyword in CONTENT)
        shape = f"{self.film.pixels.dtype}{self.film.shape}"
        pixels = self.film.pixels if self.film.colour is None or "colour" not in self.film.facts else self.film.colour
        return hashlib.sha256(f"{shape}\n{whose}\n".encode() + pixels.tobytes()).hexdigest()


def accept(data: bytes, name: str = "film", modality: str = "chest_xray") -> Accepted:
    """Open a picture that is answered, with what its answer takes over from it. Parses and decodes once.

    Args:
        data: a DICOM file.
        name: what messages call it.
        modality: the kind of picture that is answered: a row of lucency.modality.

    Raises:
        FilmError: no film, or none that is answered: which one, what was found, what would be accepted.
    """
    opened, label = open_dicom(data, name, colour=MODALITIES[modality].channels == 3), printable(name)
    if found := _other(opened, modality):
        raise _refusal(label, found, modality)
    with quiet, quiet_dicom:
        return Accepted(opened.film, answer_header(opened.dataset, label, modality))


def _other(opened: DicomFilm, modality: str) -> str:
    """What shows a picture to be of another kind; "" where nothing does."""
    facts, kind = opened.film.facts, MODALITIES[modality]
    if facts.get("sop_class") not in kind_of(modality).classes:
        return "another kind of DICOM image"
    if "LOCALIZER" in _values(opened.dataset.get("ImageType")):
        return "a localizer"
    if kind.channels == 3 and "colour" not in facts:
        return "a gray picture"
    said = [("modality", modality_said(facts, kind))]
    said += [("body part", part_said(facts)), ("view", view_said(facts))] if kind.lungs else []
    return next((f"{what} {words}" for what, (answer, words) in said if answer == "no"), "")


def answer_header(dataset: Dataset, name: str = "film", modality: str = "chest_xray") -> Dataset:
    """See `Accepted.header`.

    Raises:
        FilmError: it does not say which study, series or instance it is, or names several patients.
    """
    missing = [keyword for keyword in REQUIRED if not _UID.fullmatch(str(dataset.get(keyword)))]
    if missing:
        raise _refusal(name, f"a film without {' and '.join(missing)}", modality, "its answer could not be filed")
    if any(isinstance(dataset.get(keyword), MultiValue) for keyword in IDENTITY):
        raise _refusal(name, "a film of several patients", modality, "its answer could not be filed")
    header = Dataset()
    for keyword in OF_THE_STUDY + OF_THE_IMAGE:
        setattr(header, keyword, valid(keyword, dataset.get(keyword)))
    header.ImageLaterality = header.ImageLaterality or valid("ImageLaterality", dataset.get("Laterality"))
    header.AccessionNumber = header.AccessionNumber or _requested(dataset)
    undeclared = set(_values(dataset.get("SpecificCharacterSet"))) <= {"", "ISO_IR 6", "ISO 2022 IR 6"}
    if not undeclared or all(str(header.get(keyword) or "").isascii() for keyword in OF_THE_STUDY):
        header.SpecificCharacterSet = "ISO_IR 192"
    return header


def _values(value: Any) -> list[str]:
    return [str(one).strip() for one in (value if isinstance(value, MultiValue) else [value or ""])]


def _requested(dataset: Dataset) -> str:
    """The accession number of the one request that the film fulfils, where machines write it instead (PS3.3 C.7.6)."""
    requests = dataset.get("RequestAttributesSequence") or ()
    numbers = {str(request.get("AccessionNumber") or "").strip() for request in requests} - {""}
    return numbers.pop() if len(numbers) == 1 else ""


def _refusal(name: str, found: str, modality: str, advice: str = "") -> FilmError:
    kind = kind_of(modality)
    expected, advice = f"a {kind.words} ({kind.stored})", advice or f"send {kind.words}s only"
    return FilmError(f"{name}: found {found}; expected {expected}; {advice}", code=FILM_UNSUPPORTED, found=found)


def conflict() -> FilmError:
    """The refusal of a film under the UID of another one."""
    found = "another film under a UID that was received before"
    advice = "the one received first is kept; give this one a UID of its own"
    return FilmError(f"found {found}; expected one UID for each film; {advice}", code=FILM_CONFLICT, found=found)


_UID = re.compile(r"[0-9.]{1,64}")
"""One value. Leading zeros are wrong, and common."""
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
_ORIENTATION = re.compile(r"[AFHLPR]{1,3}")


def valid(keyword: str, value: Any) -> Any:
    """The value as an answer may state it; empty where the standard does not know it.

    >>> valid("PatientSex", "f"), valid("PatientSex", "unknown"), valid("StudyDate", "2024.03.05")
    ('F', '', '20240305')
    """
    return _VALID[keyword](value) if keyword in _VALID and value else value


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
    return text if text in ("F", "M", "O") else ""


def _orientation(value: Any) -> list[str] | str:
    sides = [str(side).strip() for side in value] if isinstance(value, MultiValue) else []
    return sides if len(sides) == 2 and all(map(_ORIENTATION.fullmatch, sides)) else ""


def _side(value: Any) -> str:
    text = str(value).strip().upper()
    return text if text in ("L", "R") else ""


_VALID: dict[str, Callable[[Any], Any]] = {
    "StudyDate": _date,
    "PatientBirthDate": _date,
    "StudyTime": _time,
    "PatientSex": _sex,
    "PatientOrientation": _orientation,
    "ImageLaterality": _side,
}
"""All of these may be empty (type 2)."""


@dataclass(frozen=True)
class Kind:
    """What is received of one kind, and the codes of its report."""

    classes: tuple[UID, ...]
    """SOP classes that are answered."""
    words: str
    """These pictures, in messages: of a PACS, with what they are stored as."""
    stored: str
    asked: tuple[str, ...]
    """Modality (0008,0060) that a server is asked for."""
    procedure: Code
    """Procedure reported."""
    site: Code | None = None
    """Finding site; None where the kind does not tell it."""
    body_part: str = ""
    """BodyPartExamined of the overlay."""
    paired: bool = False
    """Whether the site has a side."""


KINDS: dict[str, Kind] = {
    "chest_xray": Kind(
        (ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation, SecondaryCaptureImageStorage),
        "frontal chest film",
        "CR, DX for presentation or gray secondary capture",
        ("CR", "DX"),
        Code("399208008", "SCT", "Plain chest X-ray"),
        Code("39607008", "SCT", "Lung"),
        "CHEST",
    ),
    "ct_slice": Kind(
        (CTImageStorage, SecondaryCaptureImageStorage),
        "CT slice",
        "CT of one frame, or gray secondary capture",
        ("CT",),
        codes.SCT.ComputedTomography,
    ),
    "mri_slice": Kind(
        (MRImageStorage, SecondaryCaptureImageStorage),
        "MRI slice",
        "MR of one frame, or gray secondary capture",
        ("MR",),
        Code("113091000", "SCT", "Magnetic resonance imaging"),
    ),
    "fundus": Kind(
        (
            OphthalmicPhotography8BitImageStorage,
            OphthalmicPhotography16BitImageStorage,
            SecondaryCaptureImageStorage,
        ),
        "retinal photograph",
        "ophthalmic photography or secondary capture, in colour",
        ("OP",),
        codes.SCT.PhotographyOfPatient,
        codes.SCT.Retina,
        "EYE",
        paired=True,
    ),
    "skin": Kind(
        (DermoscopicPhotographyImageStorage, VLPhotographicImageStorage, SecondaryCaptureImageStorage),
        "skin photograph",
        "dermoscopic or VL photograph or secondary capture, in colour",
        ("DMS", "XC"),
        codes.SCT.DermoscopicPhotography,
        codes.SCT.Skin,
        "SKIN",
    ),
    "photograph": Kind(
        (
            VLPhotographicImageStorage,
            VLEndoscopicImageStorage,
            VLMicroscopicImageStorage,
            SecondaryCaptureImageStorage,
        ),
        "picture",
        "VL photograph, endoscopy, microscopy or secondary capture, in colour",
        ("XC", "ES", "GM"),
        codes.SCT.PhotographyOfPatient,
    ),
}
"""Codes of SNOMED CT, as in PS3.16 where pydicom's dictionary has them."""


def kind_of(modality: str) -> Kind:
    """The row of KINDS; of a kind without one, secondary captures alone are answered, as an imaging procedure."""
    if modality in KINDS:
        return KINDS[modality]
    row = MODALITIES[modality]
    imaging = Code("363679005", "SCT", "Imaging")
    asked = tuple(sorted(row.dicom - {"OT", "SC"}))
    return Kind((SecondaryCaptureImageStorage,), row.noun, "secondary capture", asked, imaging)
