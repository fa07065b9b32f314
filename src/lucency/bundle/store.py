"""Where a bundle's files are read from: a directory or a zip; nothing outside it, nothing through a link."""

from __future__ import annotations

import stat
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from lucency.errors import BundleError

LARGEST = 1 << 30
"""Bytes that one file of a bundle may have: a zip that swells without end is refused."""
LONGEST = 1 << 26
"""The same for text, which takes many times its size once it is parsed."""
TEXT = (".json", ".sha256")

Load = Callable[[str], bytes]


def open_store(path: Path) -> Load:
    """A function that loads a file of the bundle at `path` by its name.

    Raises:
        BundleError: nothing is there, or it is neither a directory nor a zip. Calling the function raises it for a
            file that is missing, is a link, leads out of the bundle, or is too large.
    """
    if path.is_dir():
        return lambda name: _from_directory(path, name)
    if not path.exists():
        raise BundleError(f"{path}: expected a bundle (a directory or .zip with card.json), found nothing")
    if not zipfile.is_zipfile(path):
        raise BundleError(f"{path}: expected a bundle (a directory or .zip with card.json), found another file")
    root = _root(path)
    return lambda name: _from_zip(path, root, name)


def _from_directory(folder: Path, name: str) -> bytes:
    place = folder
    for part in _parts(folder, name):
        place = place / part
        if place.is_symlink():
            raise BundleError(f"{folder}: {name} is a link; a bundle holds its own files, copy the file in its place")
    try:
        _check_size(folder, name, place.stat().st_size)
        return place.read_bytes()
    except FileNotFoundError as error:
        raise _missing(folder, name) from error
    except OSError as error:
        raise BundleError(f"{folder}: {name} cannot be read ({error.strerror or error})") from error


def _from_zip(path: Path, root: str, name: str) -> bytes:
    inside = root + "/".join(_parts(path, name))
    try:
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(inside)
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise BundleError(f"{path}: {name} is a link; a bundle holds its own files, zip the file itself")
            _check_size(path, name, entry.file_size)
            return archive.read(entry)
    except KeyError as error:
        raise _missing(path, name) from error
    except (OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path}: {name} cannot be unpacked ({error}); get the bundle again") from error


def _root(path: Path) -> str:
    """The folder inside the zip that holds the card: none, or the one that zipping a directory leaves."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path}: cannot be unpacked ({error}); get the bundle again") from error
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        raise BundleError(f"{path}: expected each file once, found '{name}' twice; do not use it")
    places = [PurePosixPath(name) for name in names if PurePosixPath(name).name == "card.json"]
    shallow = sorted(places, key=lambda place: len(place.parts))
    if not shallow or len(shallow[0].parts) > 2:
        raise BundleError(f"{path}: expected a bundle, the zip holds no card.json")
    return "" if len(shallow[0].parts) == 1 else f"{shallow[0].parts[0]}/"


def _parts(path: Path, name: str) -> tuple[str, ...]:
    parts = PurePosixPath(name).parts
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts or "\\" in name or ":" in name:
        raise BundleError(f"{path}: the file name '{name}' leads out of the bundle; do not use it")
    return parts


def _missing(path: Path, name: str) -> BundleError:
    advice = "not a bundle" if name == "card.json" else "get the bundle again"
    return BundleError(f"{path}: {name} is missing; {advice}")


def _check_size(path: Path, name: str, size: int) -> None:
    most = min(LARGEST, LONGEST) if name.endswith(TEXT) else LARGEST
    if size > most:
        raise BundleError(f"{path}: {name} is larger than {most >> 20} MB; not a bundle of this lucency")
