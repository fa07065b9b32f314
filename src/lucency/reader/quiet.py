"""Keep what native libraries chatter on stderr from the person who reads films, without hiding an error."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what is written to the process's stderr, also by C++; write it all out if the block raises."""
    try:
        stderr = sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):  # stderr is not a file here: pytest, a notebook, pythonw
        stderr = 2
    try:
        kept = os.dup(stderr)
    except OSError:  # closed: nothing can be written anyway
        yield
        return
    with tempfile.TemporaryFile() as chatter:
        sys.stderr.flush()
        os.dup2(chatter.fileno(), stderr)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(kept, stderr)
            os.close(kept)
            if failed:
                chatter.seek(0)
                os.write(stderr, chatter.read())
