"""What a terminal can show, and how Ctrl-C ends the program: at any moment, soon, and without a traceback."""

from __future__ import annotations

import codecs
import os
import re
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import typer

from lucency.interruption import end_on_interrupt

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
    """Run the program's work and exit with its code; with 130 after Ctrl-C."""
    _open_what_is_closed()
    _spell_what_is_lacking()
    heeded = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN  # it is ignored in a shell's background
    if heeded:
        end_on_interrupt(partial(os.write, _copy_of_stderr(), f"\nlucency: {STOPPED}\n".encode()))
    code = work()
    if heeded:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def _copy_of_stderr() -> int:
    """The descriptor itself is turned away while native code chatters."""
    try:
        return os.dup(2)
    except OSError:
        return -1  # a service without stderr


def _open_what_is_closed() -> None:
    """A service may start without stdout or stderr: what would be written there is dropped."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


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
