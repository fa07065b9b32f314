"""Opens one film, or many, going on past the bad ones."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lucency.errors import FILM_MISSING, FILM_TOO_LARGE, FilmError
from lucency.film.film import Film
from lucency.film.kinds import kind_of
from lucency.film.raster import read_jpeg, read_png, read_tiff
from lucency.film.refuse import ACCEPTED, MAX_BYTES, printable, refusal

Decoded = tuple[NDArray[np.uint8] | NDArray[np.uint16], dict[str, str]]


def _read_dicom(data: bytes) -> Decoded:
    """`read_dicom`, imported for the first DICOM only: pydicom takes longer to start than most films to read."""
    from lucency.film.dicom import read_dicom

    return read_dicom(data)


READERS: dict[str, Callable[[bytes], Decoded]] = {
    "PNG": read_png,
    "JPEG": read_jpeg,
    "TIFF": read_tiff,
    "DICOM": _read_dicom,
}


def open_film(source: Path | str | bytes, name: str = "") -> Film:
    """Open a film from a file or from a file's bytes; its content says what it is, never its extension.

    Args:
        source: a path, or the whole content of a file.
        name: what messages call the film; the path where not given.

    Raises:
        FilmError: one line: which file, what was found, what would be accepted.
    """
    label = printable(name or ("film" if isinstance(source, bytes) else os.fspath(source)))
    try:
        data = source if isinstance(source, bytes) else read_file(Path(source))
        kind = kind_of(data)
        if kind not in READERS:
            raise refusal(kind)
        pixels, facts = READERS[kind](data)
    except FilmError as error:
        raise error.prefixed(label) from None
    return Film(pixels, name or label, {"format": kind, **facts})


def open_films(paths: Iterable[Path | str]) -> Iterator[tuple[Path, Film | FilmError]]:
    """Yield each path with its film, or with the error that says why there is none; never stops at a bad one."""
    for path in paths:
        try:
            yield Path(path), open_film(path)
        except FilmError as error:
            yield Path(path), error


def read_file(path: Path) -> bytes:
    """The bytes of a regular file of bounded size.

    Raises:
        FilmError: nothing there, no regular file, too large, or not to be read; without the path in front.
    """
    try:
        # Asked before opening, because opening a pipe would wait for ever.
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise refusal("a folder", "name the films in it one by one")
        if not stat.S_ISREG(status.st_mode):
            raise refusal("a device or pipe instead of a file")
        if status.st_size > MAX_BYTES:
            raise refusal(
                f"a file of {status.st_size / 2**20:.0f} MiB",
                f"at most {MAX_BYTES // 2**20} MiB are read",
                FILM_TOO_LARGE,
            )
        with path.open("rb") as stream:
            return stream.read(status.st_size)
    except FileNotFoundError:
        raise FilmError(f"found no such file; expected {ACCEPTED}; check the path", code=FILM_MISSING) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FilmError(
            f"cannot be read ({reason}); expected {ACCEPTED}; check the path and permissions", code=FILM_MISSING
        ) from None
