"""Silence for the libraries that decode films; what matters of what they say is raised as an error instead.

All of it is state of the whole process, and threads that overlap would undo theirs in the wrong order and leave the
program silent for good. So they share one silence: the first in begins it, the last out ends it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import warnings
from collections.abc import Callable

PILLOW = ("PIL",)
DICOM = ("pydicom", "pylibjpeg", "openjpeg", "jpeg_ls")
"""They log header values, which name patients."""

STDERR = 2


class Shared:
    """A context that any number of threads may be in at once."""

    def __init__(self, begin: Callable[[contextlib.ExitStack], None]) -> None:
        """`begin` starts it and leaves on the stack what ends it."""
        self._begin = begin
        self._undo = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._begin(self._undo)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._undo.close()


def _no_warnings_nor_pillow(undo: contextlib.ExitStack) -> None:
    undo.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    _no_logs(undo, PILLOW)


def _no_dicom(undo: contextlib.ExitStack) -> None:
    _no_logs(undo, DICOM)


def _no_logs(undo: contextlib.ExitStack, names: tuple[str, ...]) -> None:
    for name in names:
        logger = logging.getLogger(name)
        undo.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL + 1)


def _close_stderr(undo: contextlib.ExitStack) -> None:
    try:
        kept = os.dup(STDERR)
    except OSError:
        return  # a service without stderr has nothing to silence
    undo.callback(os.close, kept)
    undo.callback(os.dup2, kept, STDERR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    os.close(nowhere)


quiet = Shared(_no_warnings_nor_pillow)
"""No Python warnings, nothing logged by Pillow."""

dicom_quiet = Shared(_no_dicom)
"""Nothing logged by pydicom and its decoders. Apart from `quiet`, because setting a level is slow."""

mute = Shared(_close_stderr)
"""Nothing on stderr: libtiff, in C, prints its errors there. What other threads write meanwhile is lost too."""
