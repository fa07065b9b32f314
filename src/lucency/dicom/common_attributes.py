"""What both objects of an answer have in common: their UIDs, times and notice."""

from __future__ import annotations

import uuid
from datetime import datetime

from pydicom import Dataset
from pydicom.uid import UID

from lucency import __version__

NOTICE = "Research use only, not for diagnosis"
SERIES = {"report": 9001, "overlay": 9002}
"""Series numbers, far from those that an acquisition uses."""


def set_common_attributes(made: Dataset, header: Dataset, at: datetime) -> Dataset:
    """Write into an object when and by what it was made, and the film's identity in full.

    UTF-8 holds whatever character set the film came in. Times are of the machine that reads.
    """
    day, clock = at.strftime("%Y%m%d"), at.strftime("%H%M%S")
    made.SpecificCharacterSet = "ISO_IR 192"
    for keyword in ("InstanceCreationDate", "ContentDate", "SeriesDate"):
        setattr(made, keyword, day)
    for keyword in ("InstanceCreationTime", "ContentTime", "SeriesTime"):
        setattr(made, keyword, clock)
    made.Manufacturer = "lucency"
    made.ManufacturerModelName = "lucency"
    made.SoftwareVersions = __version__
    for keyword in ("IssuerOfPatientID", "StudyDescription"):
        if header.get(keyword):
            setattr(made, keyword, header.get(keyword))
    return made


_NAMESPACE = uuid.UUID("5f0a3c1e-7c4b-5d0e-9b57-6c7563656e63")
"""Ours, drawn once; it ends in the bytes of "lucenc"."""

IMPLEMENTATION = UID(f"2.25.{_NAMESPACE.int}")
"""Implementation Class UID (0002,0012) of the files and associations that are ours."""


def named(*parts: str) -> UID:
    """2.25 and the name-based UUID (RFC 9562, version 5) of `parts`, as PS3.5 B.2 makes a UID of a UUID."""
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, chr(10).join(parts)).int}")


def answer_uid(source: str, digest: str, what: str) -> UID:
    """The UID of one part of an answer.

    Args:
        source: SOP Instance UID of the film.
        digest: of the bundle that reads it.
        what: which part: the report, its series...
    """
    return named(source, digest, __version__, what)
