"""Silence for the libraries that decode films."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

_lock = threading.Lock()
_inside = 0
_saved: warnings.catch_warnings[None] | None = None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Ignore warnings while a film is decoded; what matters of them is raised as an error instead.

    `warnings.catch_warnings` keeps process-wide state and is undone in the wrong order by threads that overlap,
    which would silence the whole program for good. So threads share one: the first in opens it, the last out closes it.
    """
    global _inside, _saved
    with _lock:
        _inside += 1
        if _inside == 1:
            _saved = warnings.catch_warnings()
            _saved.__enter__()
            warnings.simplefilter("ignore")
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _saved is not None:
                _saved.__exit__(None, None, None)
                _saved = None
