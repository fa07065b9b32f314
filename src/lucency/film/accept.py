"""A film from whatever holds one: a path, bytes, an open file, a PIL image, an array, a pydicom data set."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from PIL import ExifTags, Image

from lucency.errors import FilmError
from lucency.film.film import Film, open_film
from lucency.film.limits import MAX_BYTES, check_size, damaged, refusal
from lucency.film.raster import REFUSED_MODES, orientation

if TYPE_CHECKING:
    from pydicom import Dataset

    FilmLike = Film | Path | str | bytes | IO[bytes] | Image.Image | np.ndarray[Any, Any] | Dataset
    """What `as_film` takes."""

EXPECTED = "a path, bytes, an open file, a PIL image, a uint8 or uint16 array, a pydicom data set or a Film"


def as_film(source: FilmLike) -> Film:
    """Open a film from anything that holds one.

    >>> as_film(np.full((3, 2), 128, dtype=np.uint8))
    Film(3x2, uint8)

    Args:
        source: a path; a file's bytes, or a file open for reading bytes; a PIL image; an array of uint8 or uint16,
            (h, w), or (h, w, 3) of uint8, over the full range of its type, bright = dense; a pydicom data set.

    Raises:
        FilmError: as `open_film`; or none of these.
    """
    if isinstance(source, Film):
        return source
    if isinstance(source, str | os.PathLike | bytes):
        return open_film(source if isinstance(source, bytes) else Path(source))
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        return _from_picture(source)
    pydicom = sys.modules.get("pydicom")  # imported already if `data` is a data set
    if pydicom is not None and isinstance(source, pydicom.Dataset):
        return _from_dataset(source)
    if hasattr(source, "read"):
        return _from_file(cast("IO[bytes]", source))
    raise FilmError(f"expected {EXPECTED}, got {type(source).__name__}")


def _from_array(pixels: np.ndarray[Any, Any]) -> Film:
    if pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size:
        return _from_picture(Image.fromarray(np.ascontiguousarray(pixels)))
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim != 2 or not pixels.size:
        raise FilmError(
            f"expected an array (h, w) of uint8 or uint16, or (h, w, 3) of uint8, got {pixels.dtype} {pixels.shape}; "
            "scale it to the full range of one of these, bright = dense"
        )
    check_size(*pixels.shape)
    return Film(pixels.copy(), "film", {"format": "array", "bits": str(8 * pixels.dtype.itemsize)})


def _from_picture(picture: Image.Image) -> Film:
    """By the way of a PNG, so that an image in memory and in a file read alike."""
    check_size(picture.height, picture.width)
    if picture.mode in REFUSED_MODES:
        raise refusal(f"{REFUSED_MODES[picture.mode]} (PIL image)", "convert it to 8- or 16-bit gray")
    stream, exif = io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation(picture)
    try:
        picture.save(stream, "PNG", compress_level=1, exif=exif)
    except Exception as error:  # it may be an unread file, on which Pillow raises nearly anything
        raise damaged(f"PIL image of mode {picture.mode}", error) from error
    return open_film(stream.getvalue())


def _from_dataset(dataset: Dataset) -> Film:
    stream = io.BytesIO()
    try:
        dataset.save_as(stream, enforce_file_format=bool(getattr(dataset, "file_meta", None)))
    except Exception as error:  # pydicom raises nearly anything on a data set that is incomplete
        raise damaged("pydicom data set", error) from error
    return open_film(stream.getvalue())


def _from_file(file: IO[bytes]) -> Film:
    content = file.read(MAX_BYTES + 1)
    if not isinstance(content, bytes):
        raise FilmError("expected a file open for bytes, got one open for text; open it with mode 'rb'")
    if len(content) > MAX_BYTES:
        raise refusal("a file of more than 256 MiB", "at most 256 MiB are read")
    return open_film(content)
