"""How Ctrl-C ends the program: at once, wherever it is; what is half-written is removed first.

No exception is raised in what was going on: in a callback of native code it would be a crash, while a module is
imported an ImportError. Where lucency is used as a library, Ctrl-C stays what Python makes of it, a KeyboardInterrupt.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from lucency.errors import INTERRUPTED

GRACE_S = 4.0
"""For what is half-written to be removed, on a slow disk, say; then the process ends in any case."""
HEAD_START_S = 0.3
"""For the main thread, in which nothing is written meanwhile, to end the program before another thread does."""

_to_undo: dict[object, Callable[[], object]] = {}
_ending = threading.Lock()


@contextlib.contextmanager
def undone(undo: Callable[[], object]) -> Iterator[None]:
    """Call `undo` when the block ends, or when Ctrl-C ends the program in it: then perhaps twice."""
    key = object()
    _to_undo[key] = undo
    try:
        if _ending.locked():
            _wait_for_the_end()
        yield
    finally:
        try:
            undo()
        finally:
            del _to_undo[key]


@dataclass(frozen=True)
class Stop:
    """A handler of SIGINT: ends the process with exit code 130."""

    say: Callable[[], object]
    """Prints why."""

    def __call__(self, _number: int = 0, _frame: FrameType | None = None) -> NoReturn:
        """Undo what is half-done, say so, and end the process, within GRACE_S."""
        if not _ending.acquire(blocking=False):
            _wait_for_the_end()
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGINT, leave)  # a second Ctrl-C does not wait
        last_resort = threading.Timer(GRACE_S, leave)
        last_resort.daemon = True
        last_resort.start()
        for step in (_end_children, *reversed(_to_undo.values()), _flush, self.say):
            with contextlib.suppress(Exception):
                step()
        leave()


def end_on_interrupt(say: Callable[[], object]) -> None:
    """Let Ctrl-C end the program from now on, also while the main thread is in native code."""
    signal.signal(signal.SIGINT, Stop(say))
    if sys.platform == "win32":
        return
    os.register_at_fork(after_in_child=_end_with_the_parent)
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(read,), daemon=True).start()


def say_on_interrupt(say: Callable[[], object]) -> None:
    """Say something else from now on; nothing changes where lucency is used as a library."""
    if isinstance(signal.getsignal(signal.SIGINT), Stop):
        signal.signal(signal.SIGINT, Stop(say))


def leave(_number: int = 0, _frame: FrameType | None = None) -> NoReturn:
    """End the process now; threads and exit handlers of libraries would be waited for."""
    os._exit(INTERRUPTED)


def _watch(signals: int) -> None:
    """Python calls a handler when the main thread is back from native code; this thread need not wait for that."""
    while number := os.read(signals, 1):
        handler = signal.getsignal(signal.SIGINT)
        if number[0] == signal.SIGINT and isinstance(handler, Stop):
            time.sleep(HEAD_START_S)
            handler()


def _end_with_the_parent() -> None:
    _to_undo.clear()
    signal.set_wakeup_fd(-1)
    if isinstance(signal.getsignal(signal.SIGINT), Stop):
        signal.signal(signal.SIGINT, leave)


def _end_children() -> None:
    if (multiprocessing := sys.modules.get("multiprocessing")) is not None:
        for child in multiprocessing.active_children():
            child.kill()


def _flush() -> None:
    sys.stdout.flush()


def _wait_for_the_end() -> NoReturn:
    while True:
        time.sleep(GRACE_S)
