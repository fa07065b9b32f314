"""Silence for the libraries that decode films and run networks; what matters of their output is raised as an error.

Warnings, log levels and the descriptor of stderr belong to the whole process. Threads that each saved and restored
them would restore in the wrong order and leave the program silent for good, so all threads share one guard per
resource: the first in begins it, the last out ends it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType

PILLOW = ("PIL",)
DICOM = ("pydicom", "pylibjpeg", "openjpeg", "jpeg_ls")
"""They log header values, which name patients."""
CONVERTER = ("torchao", "torch.utils._pytree")
"""They log what the machine lacks and what later versions will change."""
STDERR = 2
"""Where native code writes, wherever Python's own stderr may have been sent."""


class Shared:
    """A context that any number of threads may be in at once."""

    def __init__(self, begin: Callable[[contextlib.ExitStack], None]) -> None:
        """`begin` starts it and pushes onto the stack what ends it."""
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


def _no_converter(undo: contextlib.ExitStack) -> None:
    _no_logs(undo, CONVERTER)


def _no_logs(undo: contextlib.ExitStack, names: tuple[str, ...]) -> None:
    for name in names:
        logger = logging.getLogger(name)
        undo.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL + 1)


quiet = Shared(_no_warnings_nor_pillow)
"""No Python warnings, nothing logged by Pillow."""

quiet_dicom = Shared(_no_dicom)
"""Nothing logged by pydicom and its decoders. Apart from `quiet`, because setting a level is slow."""


quiet_converter = Shared(_no_converter)
"""Nothing logged by what litert-torch imports. A notebook's stderr is not the descriptor that `held_stderr` holds."""


class _HeldStderr:
    """The one redirection of the descriptor: to a file while any thread is inside."""

    def __init__(self) -> None:
        self._shared = Shared(self._redirect)
        self._kept = self._file = -1

    @contextlib.contextmanager
    def __call__(self, replay: bool = True) -> Iterator[None]:
        """Hold back what is written to stderr, also by C and C++.

        Args:
            replay: write out what was held back since the block began if the block raises.
        """
        with self._shared:
            begun = self._size()
            try:
                yield
            except BaseException:
                if replay and self._file >= 0:
                    self._replay(begun)
                raise

    def _replay(self, begun: int) -> None:
        _flush()
        os.lseek(self._file, begun, os.SEEK_SET)
        os.write(self._kept, os.read(self._file, self._size() - begun))

    def _size(self) -> int:
        return os.fstat(self._file).st_size if self._file >= 0 else 0

    def _redirect(self, undo: contextlib.ExitStack) -> None:
        _flush()
        try:
            self._kept = os.dup(STDERR)
        except OSError:
            return  # a service without stderr has nothing to hold back
        undo.callback(os.close, self._kept)
        held = undo.enter_context(tempfile.TemporaryFile("a+b"))  # noqa: SIM115
        self._file = held.fileno()
        undo.callback(self._restore)
        os.dup2(self._file, STDERR)

    def _restore(self) -> None:
        _flush()
        os.dup2(self._kept, STDERR)
        self._file = -1


held_stderr = _HeldStderr()
"""`with held_stderr():` around native code that chatters, such as libtiff and LiteRT. What other threads write to
stderr meanwhile is held back too."""


def _flush() -> None:
    if sys.stderr is not None:  # pythonw has none
        sys.stderr.flush()


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Raise KeyboardInterrupt when the block ends, not in it: raised in a callback of native code it is a crash.

    The program lucency raises none; this is for notebooks.
    """
    before = signal.default_int_handler
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not before:
        yield
        return
    pressed: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        pressed.append(number)

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is hold:
            signal.signal(signal.SIGINT, before)
        if pressed:
            raise KeyboardInterrupt
