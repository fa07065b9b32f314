"""DICOM, read by pydicom: one gray frame, made for presentation, in the gray its header prescribes."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from lucency.errors import FilmError
from lucency.film.codestream import check_coded
from lucency.film.film import Decoded, Film, kind_of
from lucency.film.gray import gray_table
from lucency.film.limits import check_size, damaged, printable, refusal
from lucency.native_output import quiet, quiet_dicom

FACTS = {
    "modality": "Modality",
    "view": "ViewPosition",
    "body_part": "BodyPartExamined",
    "laterality": "ImageLaterality",
    "orientation": "PatientOrientation",
    "patient": "PatientID",
    "sex": "PatientSex",
    "age": "PatientAge",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
    "sop_class": "SOPClassUID",
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "photometric": "PhotometricInterpretation",
    "burned_in": "BurnedInAnnotation",
}
"""What is kept of the header, by the name that `Film.facts` gives it."""

_REQUIRED = ("Rows", "Columns", "BitsAllocated", "BitsStored")

_FOR_PROCESSING = {
    "1.2.840.10008.5.1.4.1.1.1.1.1": "Digital X-Ray",
    "1.2.840.10008.5.1.4.1.1.1.2.1": "Digital Mammography",
    "1.2.840.10008.5.1.4.1.1.1.3.1": "Digital Intra-Oral X-Ray",
}

_DEFLATED = re.compile(rb"\x02\x00\x10\x00.{4}\s?" + re.escape(DeflatedExplicitVRLittleEndian.encode()), re.DOTALL)
"""In Transfer Syntax UID (0002,0010). Such a data set is inflated whole and without limit, before it can be checked."""


@dataclass(frozen=True)
class Stored:
    """The pixels of a DICOM as they are stored."""

    codes: NDArray[np.uint16]
    """(h, w): the bits that count."""
    bits: int
    signed: bool


@dataclass(frozen=True)
class DicomFilm:
    """A DICOM that was parsed and decoded once."""

    film: Film
    dataset: Dataset
    """The whole header, with the coded pixels."""
    stored: Stored


def open_dicom(data: bytes, name: str = "film") -> DicomFilm:
    """Open a DICOM film with its header.

    Args:
        data: the content of a file.
        name: what messages call the film.

    Raises:
        FilmError: see `open_film`; or it is another kind of file.
    """
    label = printable(name)
    try:
        if (kind := kind_of(data)) != "DICOM":
            raise refusal(kind if kind.startswith("a") else f"a {kind}", "read it with: lucency read")
        dataset, stored, (pixels, facts) = _decode(data)
    except FilmError as error:
        raise error.prefixed(label) from None
    return DicomFilm(Film(pixels, name, {"format": "DICOM", **facts}), dataset, stored)


def read_dicom(data: bytes) -> Decoded:
    """Decode a DICOM film; see `open_film`."""
    return _decode(data)[2]


def _decode(data: bytes) -> tuple[Dataset, Stored, Decoded]:
    if _DEFLATED.search(data):
        raise refusal("a deflated DICOM", "store it with another transfer syntax (dcmconv +te)")
    try:
        with quiet, quiet_dicom:
            dataset = dcmread(io.BytesIO(data), force=True)
            _check_header(dataset)
            stored = stored_codes(dataset)
            table, voi = gray_table(dataset, stored.bits, stored.signed)
            return dataset, stored, (table[stored.codes], _facts(dataset) | {"bits": str(stored.bits), "voi": voi})
    except FilmError:
        raise
    except Exception as error:  # pydicom and its decoders raise nearly anything on a damaged file
        raise damaged("DICOM", error) from error


def _check_header(dataset: Dataset) -> None:
    """Refuse, before anything is decoded, what is no single gray frame for presentation."""
    if "PixelData" not in dataset:
        kind = UID(str(dataset.get("SOPClassUID") or "")).name or "unknown kind"
        raise refusal(f"a DICOM object without integer pixels ({kind})", "choose the object that holds the film")
    intent = str(dataset.get("PresentationIntentType") or "").strip().upper()
    if intent == "FOR PROCESSING" or dataset.get("SOPClassUID") in _FOR_PROCESSING:
        raise refusal("a raw detector image (FOR PROCESSING)", "send its FOR PRESENTATION twin")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise refusal(f"a DICOM of {frames} frames", "send the film as an object of its own")
    photometric = str(dataset.get("PhotometricInterpretation") or "nothing").strip()
    if dataset.get("SamplesPerPixel", 1) != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise refusal(f"a DICOM in colour or without stated gray ({photometric})", "send the original gray film")
    missing = [keyword for keyword in _REQUIRED if dataset.get(keyword) is None]
    if missing:
        raise refusal(f"a DICOM without {' and '.join(missing)}", "its header is incomplete; export it again")
    check_size(int(dataset.Rows), int(dataset.Columns))


def stored_codes(dataset: Dataset) -> Stored:
    """Decode the pixels.

    Raises:
        FilmError: a layout or compression that is not read.
    """
    allocated, bits = int(dataset.BitsAllocated), int(dataset.BitsStored)
    high = int(dataset.get("HighBit", bits - 1))
    if allocated not in (8, 16) or not 1 < bits <= allocated or not bits - 1 <= high < allocated:
        raise refusal(f"a DICOM of {bits} bits stored in {allocated}", "export it with 8 or 16 bits allocated")
    syntax = _decodable(dataset)
    raw = np.asarray(pixel_array(dataset, raw=True, correct_unused_bits=False))
    size = int(dataset.Rows), int(dataset.Columns)
    if raw.shape != size:
        raise refusal(f"a DICOM whose pixels {raw.shape} are not those of its header {size}", "export it again")
    # Overlays and rubbish may lie in the bits that do not count. Compressed values always start at bit 0.
    below = 0 if syntax.is_compressed else high + 1 - bits
    codes: NDArray[np.uint16] = raw.astype(np.uint16)
    codes >>= np.uint16(below)
    codes &= np.uint16(2**bits - 1)
    return Stored(codes, bits, bool(dataset.get("PixelRepresentation", 0)))


def _decodable(dataset: Dataset) -> UID:
    """The transfer syntax, which must be one that an installed decoder reads and whose coded size is the header's."""
    syntax = _transfer_syntax(dataset)
    if syntax.is_compressed:
        if not get_decoder(syntax).is_available:
            raise refusal(f"a DICOM compressed as {syntax.name}", "decompress it first (dcmdjpeg, or gdcmconv --raw)")
        check_coded(get_frame(dataset.PixelData, 0, number_of_frames=1))
    return syntax


def _transfer_syntax(dataset: Dataset) -> UID:
    """The one stated, or for a bare data set without file header the one pydicom recognised, which is then stated."""
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return UID(dataset.file_meta.TransferSyntaxUID)


def _facts(dataset: Dataset) -> dict[str, str]:
    facts = {name: _text(dataset.get(keyword)) for name, keyword in FACTS.items()}
    # Digital radiographs state both in codes instead.
    facts["view"] = facts["view"] or _meaning(dataset, "ViewCodeSequence")
    facts["body_part"] = facts["body_part"] or _meaning(dataset, "AnatomicRegionSequence")
    return {name: value for name, value in facts.items() if value}


def _meaning(dataset: Dataset, keyword: str) -> str:
    """The words of the first code in a sequence of codes."""
    codes = dataset.get(keyword)
    return _text(codes[0].get("CodeMeaning")) if codes else ""


def _text(value: object) -> str:
    if value is None or isinstance(value, bytes):
        return ""
    if isinstance(value, str):
        return value.strip()
    return "\\".join(str(part) for part in value) if hasattr(value, "__iter__") else str(value).strip()
