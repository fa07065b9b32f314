"""What a film keeps when it no longer says who it is of. Everything that is not named here goes.

DICOM PS3.15, annex E, lists what must be removed or replaced; a list of what may stay needs no update when a vendor
invents a new place for a name. Values are checked too: a name typed into a code or number field does not pass.
"""

from __future__ import annotations

import re

PROFILE = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)
"""CID 7050, scheme DCM: what is done here, and no more than that."""

UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
"""Replaced by a keyed hash."""

DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
"""Moved back by a number of days that is one patient's own, so that intervals stay."""

EMPTY = ("StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID", "PatientBirthDate")
"""Must be there, may be empty."""

STATED = ("PatientSex", "BodyPartExamined", "ViewPosition", "PatientOrientation")
"""Must be there too, empty where the value does not pass."""

WORDS: dict[str, frozenset[str]] = {
    "SOPClassUID": frozenset({f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("1", "1.1", "7")}),
    "Modality": frozenset({"CR", "DX", "RG", "OT", "SC"}),
    "ConversionType": frozenset({"DV", "DI", "DF", "WSD", "SD", "SI", "DRW", "SYN"}),
    "PresentationIntentType": frozenset({"FOR PRESENTATION"}),
    "PatientSex": frozenset({"F", "M", "O"}),
    "BodyPartExamined": frozenset({"CHEST", "THORAX", "LUNG", "RIBCAGE"}),
    "ViewPosition": frozenset({"AP", "PA", "LL", "RL", "LLD", "RLD", "LLO", "RLO", "LATERAL"}),
    "ImageLaterality": frozenset({"L", "R", "B", "U"}),
    "PhotometricInterpretation": frozenset({"MONOCHROME1", "MONOCHROME2"}),
    "PresentationLUTShape": frozenset({"IDENTITY", "INVERSE"}),
    "VOILUTFunction": frozenset({"LINEAR", "LINEAR_EXACT", "SIGMOID"}),
    "PixelIntensityRelationship": frozenset({"LIN", "LOG"}),
    "RescaleType": frozenset({"US", "OD"}),
    "LossyImageCompression": frozenset({"00", "01"}),
    "BurnedInAnnotation": frozenset({"NO"}),
}
"""Kept where the value is one of these."""

LISTS: dict[str, frozenset[str]] = {
    "ImageType": frozenset({"ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY"}),
    "PatientOrientation": frozenset({"A", "P", "R", "L", "H", "F", "LF", "RF", "LH", "RH"}),
    "LossyImageCompressionMethod": frozenset({"ISO_10918_1", "ISO_14495_1", "ISO_15444_1"}),
}
"""The same with several values; those that are none of these go."""

NUMBERS: dict[str, tuple[float, float]] = {
    "SeriesNumber": (0, 999),
    "InstanceNumber": (0, 999),
    "SamplesPerPixel": (1, 1),
    "Rows": (1, 20_000),
    "Columns": (1, 20_000),
    "BitsAllocated": (8, 16),
    "BitsStored": (2, 16),
    "PixelRepresentation": (0, 1),
    "PixelAspectRatio": (1, 10_000),
    "PixelSpacing": (0, 5),
    "ImagerPixelSpacing": (0, 5),
    "WindowCenter": (-70_000, 70_000),
    "WindowWidth": (0, 140_000),
    "RescaleSlope": (-1_000, 1_000),
    "RescaleIntercept": (-70_000, 70_000),
    "PixelIntensityRelationshipSign": (-1, 1),
    "PixelPaddingValue": (-32_768, 65_535),
    "PixelPaddingRangeLimit": (-32_768, 65_535),
    "LossyImageCompressionRatio": (1, 1_000),
    "KVP": (20, 200),
    "Exposure": (0, 999),
    "ExposureTime": (0, 9_999),
    "XRayTubeCurrent": (0, 2_000),
    "DistanceSourceToDetector": (100, 9_999),
    "DistanceSourceToPatient": (100, 9_999),
}
"""Kept where every value is a number between these."""

TABLES = ("VOILUTSequence", "ModalityLUTSequence")
"""Look-up tables: descriptor and entries stay, explanations go."""

CODES: dict[str, dict[tuple[str, str], str]] = {
    "ViewCodeSequence": {
        ("399348003", "SCT"): "antero-posterior",
        ("272479007", "SCT"): "postero-anterior",
        ("399067008", "SCT"): "lateral",
        ("R-10206", "SRT"): "antero-posterior",
        ("R-10214", "SRT"): "postero-anterior",
    },
    "AnatomicRegionSequence": {
        ("51185008", "SCT"): "Chest",
        ("816094009", "SCT"): "Chest",
        ("T-D3000", "SRT"): "Chest",
    },
}
"""Sequence → (code, scheme) → the standard's words for it, which replace the film's."""

VENDORS = (
    "Agfa",
    "Canon",
    "Carestream",
    "DRTECH",
    "Fujifilm",
    "GE",
    "Hologic",
    "Kodak",
    "Konica",
    "Philips",
    "Samsung",
    "Shimadzu",
    "Siemens",
    "Toshiba",
    "Vieworks",
)
"""Manufacturer becomes the one of these that it names: a data set must be searched for its machines' traces."""

AGE = re.compile(r"\d{3}[DWMY]")
OLDEST = 89
"""Years; whoever is older becomes 090Y, since there are few of them."""
