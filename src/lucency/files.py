"""Files written whole or not at all, and recognised by their content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lucency.errors import OutputError


@contextlib.contextmanager
def beside(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary file next to `path`; rename it onto `path` if the block succeeds, else remove it.

    Until it is renamed its owner alone may read it; then `mode` holds.

    Raises:
        OutputError: the folder cannot be made or written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
    except OSError as error:
        raise unwritable(path, error) from error
    draft = Path(name)
    try:
        yield draft
        draft.chmod(mode)
        draft.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        draft.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with beside(path) as draft:
        draft.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def unwritable(path: Path, error: OSError) -> OutputError:
    """The one line a person reads when `path` cannot be written."""
    reason = error.strerror or str(error)
    return OutputError(f"{path}: cannot be written ({reason}); free some space or choose another place with --out")


def sha256_bytes(content: bytes) -> str:
    """SHA-256 of `content`, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal; memory use does not grow with the file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
