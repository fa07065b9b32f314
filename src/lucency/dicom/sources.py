"""Which DICOM objects are answered, and what an answer takes over from them."""

from __future__ import annotations

import io

from pydicom import Dataset, dcmread
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
)

from lucency.dicom.values import fitting, is_one, is_uid
from lucency.errors import FILM_UNSUPPORTED, FilmError
from lucency.film import Film, open_film
from lucency.film.quiet import dicom_quiet, quiet
from lucency.film.refuse import printable
from lucency.reader.doubts import CHESTS, FRONTAL

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
    with quiet, dicom_quiet:
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
