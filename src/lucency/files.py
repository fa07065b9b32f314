"""Atomic writes, locks, hashes, and listing files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from lucency.errors import OUTPUT_LOCKED, OutputError
from lucency.interruption import undone

if sys.platform != "win32":
    import fcntl

MAX_DEPTH = 64
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def beside(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary file next to `path`; rename it onto `path` if the block succeeds, else remove it.

    Until it is renamed only its owner may read it; then it has `mode`.

    Raises:
        OutputError: the folder cannot be made or written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft_name(path, path.suffix)
        with undone(partial(draft.unlink, missing_ok=True)):
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL, 0o600))
            yield draft
            with draft.open("rb") as stream:
                os.fsync(stream.fileno())  # otherwise a power cut may leave an empty file
            draft.chmod(mode)
            draft.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error


@contextlib.contextmanager
def scratch(beside: Path | None = None) -> Iterator[Path]:
    """Yield a new folder, next to a path or where the system keeps such; removed at the end with all that it holds.

    Raises:
        OSError: it cannot be made.
    """
    folder = _draft_name(beside or Path(tempfile.gettempdir(), "lucency"))
    with undone(partial(shutil.rmtree, folder, ignore_errors=True)):
        folder.mkdir(mode=0o700)
        yield folder


def _draft_name(path: Path, suffix: str = "") -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{suffix}")


@contextlib.contextmanager
def locked(path: Path, shared: bool = False, wait: bool = False) -> Iterator[None]:
    """Keep other processes of lucency from writing to a folder or file; the lock ends with the process.

    Windows and some network file systems have no such locks; there the block runs without one.

    Args:
        path: an existing folder or file.
        shared: let others in that also ask for a shared lock.
        wait: until the lock is free.

    Raises:
        OutputError: another process holds the lock, and `wait` is not set.
    """
    if sys.platform == "win32":
        yield
        return
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise unwritable(path, error) from error
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(handle, kind | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as error:
        os.close(handle)
        raise OutputError(
            f"{path}: another lucency process is writing there; wait until it ends, or choose another place with --out",
            code=OUTPUT_LOCKED,
        ) from error
    except OSError:
        pass  # a file system without locks
    try:
        yield
    finally:
        os.close(handle)


def walk_files(root: Path) -> Iterator[Path]:
    """All files below a folder, folder by folder, sorted; hidden folders are skipped.

    Linked folders are entered, except for links to a folder above.
    """
    yield from _walk(root, frozenset())


def _walk(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    status = folder.stat()
    inside = above | {(status.st_dev, status.st_ino)}
    if inside == above:
        return
    with os.scandir(folder) as entries:
        every = sorted(entries, key=lambda entry: entry.name)
    folders = dict.fromkeys(entry.name for entry in every if _is_folder(entry))
    yield from (folder / entry.name for entry in every if entry.name not in folders)
    for name in folders:
        if not name.startswith("."):
            yield from _walk(folder / name, inside)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: as one to nothing
        return False


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with beside(path) as draft:
        draft.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8, whole or not at all; surrogates of undecodable file names are escaped."""
    write_bytes(path, content.encode(errors="backslashreplace"))


def parse_json(content: str | bytes) -> Any:
    """`json.loads` that raises ValueError only, also for more than MAX_DEPTH nested brackets."""
    try:
        found = json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [found]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _inside(outer)]
        if not level:
            return found
    raise ValueError("nested too deeply")


def _inside(outer: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return outer.values() if isinstance(outer, dict) else outer


def unwritable(path: Path, error: OSError) -> OutputError:
    """The error for a `path` that cannot be written."""
    reason = error.strerror or str(error)
    return OutputError(f"{path}: cannot be written ({reason}); {remedy(error)} or choose another place with --out")


def remedy(error: OSError) -> str:
    """What to do where something cannot be written."""
    if error.errno in FULL:
        return "free some space"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "put its folder back where it was"
    return "allow this user to write there"


def sha256_bytes(content: bytes) -> str:
    """SHA-256 of `content`, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal; memory use does not grow with the file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
