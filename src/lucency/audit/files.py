"""What a film's file tells before its pixels are looked at: bytes, kind, JPEG quality, colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lucency.data.record import Films

NAMED = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".dcm": "DICOM",
    ".dicom": "DICOM",
}
"""What a suffix promises."""
GRAY_MODES = frozenset({"1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
"""Pillow's names for pictures that cannot have colour."""
LUMINANCE_SUM = 3688
"""Sum of the luminance quantisation table of ITU-T T.81, table K.1: quality 50 of the Independent JPEG Group."""
COLOUR_SIDE = 64
"""Pixels along the copy on which colour is measured."""

ROW = np.dtype(
    [("bytes", np.float64), ("quality", np.float32), ("chroma", np.float32), ("kind", "U5"), ("named", "U5")]
)
"""One file: its bytes; JPEG quality, 1 to 100; largest minus smallest channel, mean gray levels; what it is; what its
name says. NaN or empty where there is no file of its own, or no JPEG."""
NOTHING = (np.nan, np.nan, 0.0, "", "")


def file_facts(films: Films) -> NDArray[np.void]:
    """(n,) of ROW: the file behind each film."""
    return np.array([NOTHING if record.path is None else of_file(record.path) for record in films.records], dtype=ROW)


def of_file(path: Path) -> tuple[float, float, float, str, str]:
    """One file's row, in the order of ROW."""
    named = NAMED.get(path.suffix.lower(), "")
    size = float(path.stat().st_size)
    try:
        with Image.open(path) as image:
            kind = "JPEG" if image.format == "MPO" else image.format or ""
            return size, quality(getattr(image, "quantization", None)), chroma(image), kind, named
    except (UnidentifiedImageError, OSError, ValueError):
        return size, np.nan, 0.0, "DICOM" if is_dicom(path) else "", named


def quality(tables: Mapping[int, Sequence[int]] | None) -> float:
    """JPEG quality as the Independent JPEG Group counts it, from how coarse the luminance table is.

        coarseness s = 100 · Σ table / Σ K.1;  quality = 5000 / s  where s > 100, else 100 - s / 2

    libjpeg 9, jcparam.c, solved for the quality. Good to ±1 where the tables are libjpeg's, an equivalent where not.

    Args:
        tables: quantisation tables by number, 64 values each; None where the file is no JPEG.

    Returns:
        1 to 100, or NaN.
    """
    if not tables:
        return np.nan
    coarse = 100 * sum(tables[min(tables)]) / LUMINANCE_SUM
    return float(np.clip(5000 / coarse if coarse > 100 else 100 - coarse / 2, 1, 100))


def chroma(image: Image.Image) -> float:
    """How coloured a picture is: largest minus smallest channel, mean over its pixels, in gray levels."""
    if image.mode in GRAY_MODES:
        return 0.0
    image.draft("RGB", (2 * COLOUR_SIDE, 2 * COLOUR_SIDE))  # a JPEG is decoded at an eighth of its size
    small = np.asarray(image.convert("RGB").resize((COLOUR_SIDE, COLOUR_SIDE)), dtype=np.int16)
    return float((small.max(axis=2) - small.min(axis=2)).mean())


def is_dicom(path: Path) -> bool:
    """Whether a file carries the mark of DICOM part 10."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"
