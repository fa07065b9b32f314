"""Measurements of films: each is decoded once and leaves one row.

A row takes 1.2 kB whatever the film's size: a million films need 1.2 GB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

from lucency.data.dataset import Dataset, decode_each, require_readable
from lucency.errors import FilmError
from lucency.film import Film
from lucency.preprocess import Preprocess
from lucency.progress import track

SIDE = 224
"""Side in pixels of the square on which tone, sharpness, borders and letters are measured, as large as a network's."""
THUMB = 32
"""Side of the thumbnail; each of its pixels is the mean of 7 × 7 pixels of the square."""
BORDER, BLACK = 8, 12
"""Width of the border on the square, in pixels, and the gray level up to which a pixel is black."""
STROKE, CONTRAST = 9, 60
"""Letters are strokes thinner than 9 pixels and at least 60 gray levels brighter than their surroundings."""
CELLS = ("top left", "top", "top right", "left", "right", "bottom left", "bottom", "bottom right")
"""Regions searched for letters: the square in 3 × 3 parts without the centre."""
CHUNK = 1024
"""Thumbnails processed at once."""

ROW = np.dtype(
    [
        ("width", np.int32),
        ("height", np.int32),
        ("mean", np.float32),
        ("spread", np.float32),
        ("sharpness", np.float32),
        ("balance", np.float32),
        ("border", np.float32, (4,)),
        ("letters", np.float32, (len(CELLS),)),
        ("digest", "S32"),
        ("thumb", np.uint8, (THUMB, THUMB)),
    ]
)
"""One film: size in pixels; mean and standard deviation of its gray levels; mean absolute Laplacian; left half minus
right half; black share of the top, bottom, left and right border; share of strokes in each of CELLS; SHA-256 of the
decoded pixels; thumbnail."""

SUFFIXES = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".dcm": "DICOM",
    ".dicom": "DICOM",
}
GRAY_MODES = frozenset({"1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
"""Pillow's modes without colour."""
LUMINANCE_SUM = 3688
"""Sum of the luminance quantisation table of ITU-T T.81, table K.1: quality 50 of the Independent JPEG Group."""
COLOUR_SIDE = 64

FILE_ROW = np.dtype(
    [("bytes", np.float64), ("quality", np.float32), ("chroma", np.float32), ("kind", "U5"), ("named", "U5")]
)
"""One file: size; JPEG quality, 1 to 100; mean of the largest minus the smallest channel, in gray levels; format;
format by its suffix. NaN or empty if the film has no file of its own, or is no JPEG."""
NO_FILE = (np.nan, np.nan, 0.0, "", "")

Pixels = NDArray[np.uint8]
Number = TypeVar("Number", np.bool_, np.float32, np.float64)


@dataclass(frozen=True)
class Measurements:
    """The measurements of a data set."""

    films: Dataset
    """The readable films; row i is record i."""
    rows: NDArray[np.void]
    """(n,) of ROW."""
    files: NDArray[np.void]
    """(n,) of FILE_ROW."""
    unreadable: tuple[tuple[str, str], ...]
    """Name and reason of each film that cannot be read."""

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def thumbs(self) -> Pixels:
        """uint8 (n, THUMB, THUMB)."""
        return np.ascontiguousarray(self.rows["thumb"])


def measure_films(films: Dataset) -> Measurements:
    """Measure every film of a data set.

    Raises:
        SourceError: no film can be read.
    """
    rows = np.zeros(len(films), dtype=ROW)
    good: list[int] = []
    unreadable: list[tuple[int, FilmError]] = []
    for index, outcome in enumerate(track(decode_each(films, measure), "measuring films", total=len(films))):
        if isinstance(outcome, FilmError):
            unreadable.append((index, outcome))
        else:
            rows[len(good)] = outcome
            good.append(index)
    require_readable(films, len(good), [error for _, error in unreadable])
    kept = films.subset(good)
    reasons = tuple((films.samples[index].name, str(error)) for index, error in unreadable)
    return Measurements(kept, rows[: len(good)], measure_files(kept), reasons)


def measure(film: Film) -> tuple[object, ...]:
    """One film's ROW."""
    square = Preprocess(SIDE)(film)
    return (
        film.width,
        film.height,
        float(square.mean()),
        float(square.std()),
        sharpness(square),
        float(square[:, : SIDE // 2].mean() - square[:, SIDE // 2 :].mean()),
        black_border(square),
        letters(square),
        pixel_digest(film.pixels),
        thumbnail(square),
    )


def sharpness(square: Pixels) -> float:
    """Mean absolute Laplacian, in gray levels: |4 p - up - down - left - right|."""
    p = square.astype(np.int16)
    inner = 4 * p[1:-1, 1:-1] - p[:-2, 1:-1] - p[2:, 1:-1] - p[1:-1, :-2] - p[1:-1, 2:]
    return float(np.abs(inner).mean())


def black_border(square: Pixels) -> tuple[float, ...]:
    """Black share of the top, bottom, left and right border."""
    sides = square[:BORDER], square[-BORDER:], square[:, :BORDER], square[:, -BORDER:]
    return tuple(float((side <= BLACK).mean()) for side in sides)


def letters(square: Pixels) -> tuple[float, ...]:
    """Share of strokes in each of CELLS: thin and bright, so a morphological opening removes them."""
    strokes = square - ndimage.grey_opening(square, size=(STROKE, STROKE)) > CONTRAST
    rows, columns = (np.array_split(np.arange(length), 3) for length in square.shape)
    shares = [float(strokes[np.ix_(row, column)].mean()) for row in rows for column in columns]
    return tuple(shares[:4] + shares[5:])


def thumbnail(square: Pixels) -> Pixels:
    """uint8 (THUMB, THUMB): means of blocks."""
    return np.asarray(Image.fromarray(square).reduce(SIDE // THUMB))


def in_chunks(function: Callable[[Pixels], NDArray[Number]], thumbs: Pixels) -> NDArray[Number]:
    """`function` of all thumbnails, CHUNK at a time, to bound its working memory."""
    return np.concatenate([function(thumbs[start : start + CHUNK]) for start in range(0, max(1, len(thumbs)), CHUNK)])


def pixel_digest(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """SHA-256 of decoded pixels with shape and depth: equal for equal pictures in any format."""
    digest = hashlib.sha256(repr((pixels.shape, pixels.dtype.str)).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def measure_files(films: Dataset) -> NDArray[np.void]:
    """(n,) of FILE_ROW: the file behind each film."""
    rows = [NO_FILE if record.path is None else measure_file(record.path) for record in films.samples]
    return np.array(rows, dtype=FILE_ROW)


def measure_file(path: Path) -> tuple[float, float, float, str, str]:
    """One file's FILE_ROW."""
    named = SUFFIXES.get(path.suffix.lower(), "")
    size = float(path.stat().st_size)
    try:
        with Image.open(path) as image:
            kind = "JPEG" if image.format == "MPO" else image.format or ""
            return size, jpeg_quality(getattr(image, "quantization", None)), chroma(image), kind, named
    except (UnidentifiedImageError, OSError, ValueError):
        with path.open("rb") as stream:
            dicom = stream.read(132)[128:] == b"DICM"
        return size, np.nan, 0.0, "DICOM" if dicom else "", named


def jpeg_quality(tables: Mapping[int, Sequence[int]] | None) -> float:
    """JPEG quality, 1 to 100 or NaN, from how coarse the luminance table is (libjpeg 9, jcparam.c, inverted).

        coarseness s = 100 · Σ table / Σ K.1;  quality = 5000 / s  where s > 100, else 100 - s / 2

    Exact to ±1 for libjpeg's tables, an equivalent for others.

    Args:
        tables: quantisation tables by number, 64 values each; None where the file is no JPEG.
    """
    if not tables:
        return np.nan
    coarse = 100 * sum(tables[min(tables)]) / LUMINANCE_SUM
    return float(np.clip(5000 / coarse if coarse > 100 else 100 - coarse / 2, 1, 100))


def chroma(image: Image.Image) -> float:
    """Mean of the largest minus the smallest channel, in gray levels."""
    if image.mode in GRAY_MODES:
        return 0.0
    image.draft("RGB", (2 * COLOUR_SIDE, 2 * COLOUR_SIDE))  # a JPEG is decoded at an eighth of its size
    small = np.asarray(image.convert("RGB").resize((COLOUR_SIDE, COLOUR_SIDE)), dtype=np.int16)
    return float((small.max(axis=2) - small.min(axis=2)).mean())
