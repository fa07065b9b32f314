"""What DICOM knows of each kind of picture: a row of KINDS, or what follows from its row of lucency.modality."""

from __future__ import annotations

from dataclasses import dataclass

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

from lucency.modality import MODALITIES


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
