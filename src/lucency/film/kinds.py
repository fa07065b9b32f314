"""Tells by its first bytes what a file is."""

from __future__ import annotations

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (128, b"DICM", "DICOM"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    # Known, and not read: the message can then say what was found.
    (0, b"GIF8", "a GIF image"),
    (0, b"BM", "a BMP image"),
    (8, b"WEBP", "a WebP image"),
    (4, b"ftypavif", "an AVIF image"),
    (4, b"ftyphei", "a HEIC photograph"),
    (4, b"ftypmif1", "a HEIC photograph"),
    (4, b"ftyp", "a video"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image outside DICOM"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image outside DICOM"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (0, b"\xff\x0a", "a JPEG XL image"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"%PDF", "a PDF"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (344, b"n+1\0", "a NIfTI volume"),
    (0, b"NRRD", "an NRRD volume"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"{\\rtf", "a text document"),
)

_BARE_DICOM = (b"\x02\x00\x00\x00", b"\x08\x00\x00\x00", b"\x08\x00\x05\x00", b"\x08\x00\x08\x00", b"\x08\x00\x16\x00")
"""The first elements of a data set stored without preamble: (0002,0000), (0008,0000), (0008,0005)…"""


def kind_of(data: bytes) -> str:
    """One of "PNG", "JPEG", "TIFF" and "DICOM"; for anything else words for what it is.

    >>> kind_of(b"GIF89a")
    'a GIF image'
    """
    if not data:
        return "an empty file"
    for offset, signature, kind in _SIGNATURES:
        if data.startswith(signature, offset):
            return kind
    if data.startswith(_BARE_DICOM):
        return "DICOM"
    return _unknown(data[:512])


def _unknown(head: bytes) -> str:
    if not head.strip(b"\0"):
        return "a file of zeros"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<svg")):
        return "a web page or XML"
    try:
        head.decode("ascii")
    except UnicodeDecodeError:
        return "a file of an unknown kind"
    return "a text file"
