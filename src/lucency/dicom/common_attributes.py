"""What the objects that we write have in common: UIDs, times, notice and file header."""

from __future__ import annotations

import io
import uuid
from datetime import datetime

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from lucency import __version__

NOTICE = "Research use only, not for diagnosis"
SERIES = {"report": 9001, "overlay": 9002}
"""Series numbers, far from those that an acquisition uses."""
OURS = ("TextValue", "CodeValue", "CodeMeaning", "SeriesDescription", "DerivationDescription")
"""Attributes of an answer with words of ours or of the bundle, which need not be ASCII."""
_NAMESPACE = uuid.UUID("5f0a3c1e-7c4b-5d0e-9b57-6c7563656e63")
"""Ours, drawn once; it ends in the bytes of "lucenc"."""
IMPLEMENTATION = UID(f"2.25.{_NAMESPACE.int}")
"""Implementation Class UID (0002,0012) of our files and associations."""


def uid_of(*parts: str) -> UID:
    """2.25 and the name-based UUID (RFC 9562, version 5) of `parts`, as PS3.5 B.2 makes a UID of a UUID."""
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, chr(10).join(parts)).int}")


def answer_uid(source: str, digest: str, what: str) -> UID:
    """The UID of one part of an answer: the same film read by the same bundle has the same answer.

    Args:
        source: SOP Instance UID of the film.
        digest: of the bundle that reads it.
        what: which part: the report, its series...
    """
    return uid_of(source, digest, __version__, what)


def set_common_attributes(made: Dataset, header: Dataset, at: datetime) -> Dataset:
    """Write into an object when and by what it was made, and the optional rest of the film's identity.

    UTF-8 holds whatever character set the film came in; of one that declares none, the words keep their bytes.
    Times are of the machine that reads.
    """
    if "SpecificCharacterSet" in header:
        made.SpecificCharacterSet = header.SpecificCharacterSet
    else:
        made.pop("SpecificCharacterSet", None)
        _use_ascii(made)
    for event in ("InstanceCreation", "Content", "Series"):
        setattr(made, f"{event}Date", at.strftime("%Y%m%d"))
        setattr(made, f"{event}Time", at.strftime("%H%M%S"))
    made.Manufacturer = made.ManufacturerModelName = "lucency"
    made.SoftwareVersions = __version__
    for keyword in ("IssuerOfPatientID", "StudyDescription"):
        if header.get(keyword):
            setattr(made, keyword, header.get(keyword))
    return made


def _use_ascii(made: Dataset) -> None:
    """Write our own words, in SR content and descriptions, in the characters that need no declaration."""
    for element in made.iterall():
        if element.VR in ("UT", "LT", "ST", "LO", "SH") and isinstance(element.value, str) and element.keyword in OURS:
            element.value = element.value.replace("×", "x").encode("ascii", "replace").decode()


def file_bytes(made: Dataset) -> bytes:
    """The object as a file, with preamble and header; uncompressed unless it has a header already."""
    if not hasattr(made, "file_meta"):
        made.file_meta = FileMetaDataset()
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.file_meta.ImplementationClassUID = IMPLEMENTATION
    stream = io.BytesIO()
    dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()
