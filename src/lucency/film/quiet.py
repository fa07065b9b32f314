"""Silence for the libraries that decode films."""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator

LOGGERS = ("PIL", "pydicom", "pylibjpeg", "openjpeg")
"""They log header values, which name patients."""

_lock = threading.Lock()
_inside = 0
_undo = contextlib.ExitStack()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Neither warn nor log while a film is decoded; what matters is raised as an error instead.

    `warnings.catch_warnings` and logger levels are state of the whole process, and threads that overlap would undo
    theirs in the wrong order and leave the program silent for good. So all share one silence: the first in begins it,
    the last out ends it.
    """
    global _inside
    with _lock:
        _inside += 1
        if _inside == 1:
            _begin()
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _undo.close()


def _begin() -> None:
    _undo.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    for name in LOGGERS:
        logger = logging.getLogger(name)
        _undo.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL + 1)
