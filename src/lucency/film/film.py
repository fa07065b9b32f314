"""A film, and how one is opened, from a file or whatever holds it: its content says what it is, never its extension."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from lucency.errors import FILM_MISSING, FILM_TOO_LARGE, FilmError
from lucency.film.limits import ACCEPTED, MAX_BYTES, check_size, damaged, printable, refusal
from lucency.film.raster import REFUSED_MODES, orientation, read_jpeg, read_png, read_tiff

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True, eq=False, repr=False)
class Film:
    """One radiograph, as faithful as its file: nothing is resized, stretched or equalised here.

    Raises:
        ValueError: `pixels` is not a non-empty 2-D array of uint8 or uint16, or `colour` is not uint8 (h, w, 3).
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    """(h, w), over the full range of its type, bright = dense; of a picture in colour its luma; read-only."""
    name: str = ""
    """What the messages to its user call it: the path it came from."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the file states; see `docs/preprocessing.md`. May identify a patient: for memory, not for logs."""
    colour: NDArray[np.uint8] | None = None
    """(h, w, 3), red, green, blue, as stored; None where the file is gray; read-only."""

    def __post_init__(self) -> None:
        pixels = np.asarray(self.pixels)
        if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
            raise ValueError(f"expected uint8 or uint16 pixels (h, w), came {pixels.dtype} {pixels.shape}")
        object.__setattr__(self, "pixels", _read_only(pixels))
        if self.colour is not None:
            if self.colour.shape != (*pixels.shape, 3) or self.colour.dtype != np.uint8:
                raise ValueError(f"expected uint8 colour (h, w, 3), came {self.colour.dtype} {self.colour.shape}")
            object.__setattr__(self, "colour", _read_only(self.colour))

    @classmethod
    def of_rgb(cls, rgb: NDArray[np.uint8], name: str = "") -> Film:
        """A picture in colour, uint8 (h, w, 3); its gray is the luma of docs/preprocessing.md, section 2."""
        return cls(np.asarray(Image.fromarray(rgb).convert("L")), name, colour=rgb)

    def __repr__(self) -> str:
        # A repr ends up in logs and tracebacks, so neither name nor facts are in it.
        return f"Film({self.height}x{self.width}, {self.pixels.dtype})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Through the constructor, because a pickled array forgets that it is read-only.
        return Film, (self.pixels, self.name, dict(self.facts), self.colour)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    def gray8(self) -> NDArray[np.uint8]:
        """uint8 (h, w): 8 bits as they are; 16 bits by (v * 255 + 32767) // 65535, the nearest of 256 levels."""
        if self.pixels.dtype == np.uint8:
            return self.pixels.view(np.uint8)
        return _NEAREST_OF_256[self.pixels]

    def rgb8(self) -> NDArray[np.uint8]:
        """uint8 (h, w, 3): the colour as stored, or the 8-bit gray three times."""
        return np.repeat(self.gray8()[:, :, None], 3, axis=2) if self.colour is None else self.colour


def _read_only(pixels: NDArray[Any]) -> NDArray[Any]:
    pixels = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("=")).view()
    pixels.flags.writeable = False
    return pixels


_NEAREST_OF_256: NDArray[np.uint8] = ((np.arange(65536, dtype=np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


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


Decoded = tuple[NDArray[np.uint8] | NDArray[np.uint16], dict[str, str], NDArray[np.uint8] | None]
"""Gray (h, w), what the file states, and colour (h, w, 3) where the file has three channels."""


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
        pixels, facts, colour = READERS[kind](data)
    except FilmError as error:
        raise error.prefixed(label) from None
    return Film(pixels, name or label, {"format": kind, **facts}, colour)


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


if TYPE_CHECKING:
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
