"""What both objects of an answer have in common."""

from __future__ import annotations

from datetime import datetime

from pydicom import Dataset

from lucency import __version__

NOTICE = "Research use only, not for diagnosis"
SERIES = {"report": 9001, "overlay": 9002}
"""Series numbers, far from those that an acquisition uses."""


def stamp(made: Dataset, header: Dataset, at: datetime) -> Dataset:
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
