"""What a terminal can show, and how Ctrl-C ends the program: at any moment, soon, and without a traceback."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, NoReturn

import typer

from lucency.errors import INTERRUPTED

GRACE_S = 4.0
"""After Ctrl-C, for what is half-written to be removed; whatever still runs then is ended."""
STOPPED = "stopped; nothing half-written is left, and --resume goes on where a command offers it"

PLAIN = {"→": "->", "–": "-", "−": "-", "…": "...", "×": "x", "·": "-", "²": "^2", "’": "'"}
"""How a terminal that lacks these characters shows them; any other is shown as its escape."""
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Moves the cursor, changes colours, or turns the writing direction: a file name may hold them."""


def echo(text: object = "", err: bool = False) -> None:
    """Print lines of text. Control characters in it, which come from file names and labels, are shown as escapes."""
    typer.echo(CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", str(text)), err=err)


def one_line(name: object) -> str:
    """A name as part of a line: a line break in it is shown as an escape, too."""
    return str(name).replace("\n", "\\n").replace("\t", "\\t")


def run_program(work: Callable[[], int]) -> NoReturn:
    """Run the program's work and exit with its code; 130, within GRACE_S, after Ctrl-C."""
    _spell_what_is_lacking()
    interrupted = threading.Event()
    listening = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN  # as in a shell's background
    if listening:
        signal.signal(signal.SIGINT, partial(_interrupt, interrupted))
        sys.unraisablehook = _unraisable
    try:
        code = work()
        if code and interrupted.is_set():  # a library took the KeyboardInterrupt for an error of its own, say of import
            code = INTERRUPTED
    except BaseException as error:
        if not interrupted.is_set():
            raise
        code = INTERRUPTED
        if not (isinstance(error, SystemExit) and error.code == code):  # else another process has said it
            echo(f"\nlucency: {STOPPED}", err=True)
    if listening:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    if code == INTERRUPTED:
        os._exit(code)  # threads and exit handlers of libraries would be waited for
    sys.exit(code)


def leave(_number: int = 0, _frame: FrameType | None = None) -> NoReturn:
    """End the process now."""
    os._exit(INTERRUPTED)


def _interrupt(interrupted: threading.Event, _number: int, _frame: FrameType | None) -> None:
    interrupted.set()
    signal.signal(signal.SIGINT, leave)  # a second Ctrl-C does not wait
    threading.Thread(target=_leave_later, daemon=True).start()
    raise KeyboardInterrupt


def _leave_later() -> None:
    time.sleep(GRACE_S)
    with contextlib.suppress(OSError, ValueError):
        os.write(2, f"\nlucency: {STOPPED}\n".encode())
    leave()


def _unraisable(found: Any) -> None:
    """As Python's own, but silent of a Ctrl-C that met a finaliser, where it can only be printed."""
    if not isinstance(found.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(found)


def _spell_what_is_lacking() -> None:
    """Let output to a terminal or file of any encoding succeed: cp1252, ASCII, names that are no valid UTF-8."""
    codecs.register_error("lucency", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="lucency")


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(one) or one.encode("ascii", "backslashreplace").decode() for one in lacking), error.end
