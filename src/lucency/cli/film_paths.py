"""The films that a command line names: files, folders, patterns."""

from __future__ import annotations

import os
from collections.abc import Iterable
from glob import glob, has_magic
from pathlib import Path

from lucency.errors import FILM_MISSING, FilmError
from lucency.film.film import READERS, kind_of

HEAD = 512
"""Bytes that are enough to recognise a film."""


def film_paths(named: Iterable[Path]) -> list[Path]:
    """The films in order: a file as named, those below a folder, those that a pattern matches.

    A folder is searched for files that begin like a film, whatever they are called; hidden ones are left out.

    Raises:
        FilmError: a folder without a film.
    """
    return [film for path in named for film in _films(path)]


def _films(path: Path) -> list[Path]:
    if os.path.isdir(path):  # noqa: PTH112  # Path.is_dir raises of a name that is too long
        found = sorted(file for file in path.rglob("*") if _begins_like_a_film(file, path))
        if not found:
            raise FilmError(f"{path}: expected films below this folder, found none; check the path", code=FILM_MISSING)
        return found
    if has_magic(str(path)) and not os.path.exists(path):  # noqa: PTH110  # as above
        matches = sorted(map(Path, glob(str(path), recursive=True)))  # noqa: PTH207  # Path.glob takes none from the root
        return [film for match in matches for film in _films(match)] or [path]  # reported as missing, with the others
    return [path]


def _begins_like_a_film(file: Path, root: Path) -> bool:
    if any(part.startswith(".") for part in file.relative_to(root).parts) or not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            return kind_of(stream.read(HEAD)) in READERS
    except OSError:
        return True  # its error is reported with the others
