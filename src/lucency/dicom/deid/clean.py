"""A film without who it is of: its header by a list of what may stay, its pixels written anew."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from lucency.dicom.deid import rules
from lucency.dicom.deid.burnt import text_lines
from lucency.dicom.deid.header import cleaned
from lucency.dicom.deid.pseudonyms import Pseudonyms
from lucency.dicom.uids import IMPLEMENTATION
from lucency.errors import FILM_UNSUPPORTED, FilmError
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
        FilmError: no such film; or text is, or may be, burnt into it.
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
    except FilmError:
        raise
    except Exception as error:  # pydicom raises nearly anything on a damaged header
        raise damaged("DICOM", error).prefixed(label) from error


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


def _refusal(label: str, found: str, expected: str, advice: str) -> FilmError:
    return FilmError(f"{label}: found {found}; expected {expected}; {advice}", code=FILM_UNSUPPORTED, found=found)


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
