"""Keep what native libraries chatter on stderr from the person who reads films, without hiding an error."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import BinaryIO

STDERR = 2
"""Where native code writes, wherever Python's own stderr may have been sent."""
_ONE_AT_A_TIME = threading.RLock()
"""Two threads that overlap would give each other's file back as stderr, and what follows would be lost for good."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what is written to the process's stderr, also by C++; write it all out if the block raises."""
    with _ONE_AT_A_TIME:
        try:
            kept = os.dup(STDERR)
        except OSError:  # closed: nothing can be written anyway
            yield
        else:
            with tempfile.TemporaryFile() as chatter:
                yield from _held_back(kept, chatter)


def _held_back(kept: int, chatter: BinaryIO) -> Iterator[None]:
    _flush()
    os.dup2(chatter.fileno(), STDERR)
    failed = True
    try:
        yield
        failed = False
    finally:
        _flush()
        os.dup2(kept, STDERR)
        os.close(kept)
        if failed:
            chatter.seek(0)
            os.write(STDERR, chatter.read())


def _flush() -> None:
    if sys.stderr is not None:  # pythonw has none
        sys.stderr.flush()
