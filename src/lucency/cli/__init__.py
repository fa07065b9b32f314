"""The command line: a row a command, imported when called so that help is instant; terminal output, and Ctrl-C."""

from __future__ import annotations

import codecs
import difflib
import errno
import importlib
import os
import re
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from lucency import __version__
from lucency.errors import INTERRUPTED, ExtraError, LucencyError, OutputError
from lucency.interruption import end_on_interrupt

COMMANDS: dict[str, tuple[str, str]] = {
    "audit": ("lucency.cli.audit:audit", "Check a data set before training: leaks, duplicates, odd films, shortcuts"),
    "read": ("lucency.cli.read:read", "Read films: probability, verdict, map"),
    "score": ("lucency.cli.read:score", "Read millions of films: a manifest in, Parquet out; resumable"),
    "train": ("lucency.cli.train:train", "Train a reader on a folder of films, by a recipe"),
    "recipes": ("lucency.cli.train:recipes", "List the recipes that ship, or print one to start your own from"),
    "import": ("lucency.cli.export:import_model", "Import a network: Keras, ONNX or TFLite"),
    "tune": ("lucency.cli.train:tune", "Search for a better recipe: pre-registered, resumable, every trial recorded"),
    "evaluate": (
        "lucency.cli.evaluate:evaluate",
        "Evaluate a reader on labelled films, with intervals by patient",
    ),
    "compare": ("lucency.cli.evaluate:compare", "Compare two readers on the same films: DeLong, McNemar, power"),
    "report": ("lucency.cli.evaluate:report", "Write a page to read, a model card and the reporting checklists"),
    "explain": ("lucency.cli.explain:explain", "Show where a reader looked: ten explainers, painted beside the film"),
    "lungs": ("lucency.cli.read:lungs", "Find the lungs on films: masks, outlines, doubts"),
    "faith": ("lucency.cli.faith:faith", "Measure whether the maps can be trusted, with intervals"),
    "export": ("lucency.cli.export:export", "Write a run as one small file for the phone, with its bundle"),
    "parity": ("lucency.cli.export:parity", "Compare an export with its run, film by film"),
    "bundle": ("lucency.cli.bundle:bundle", "Show, verify, sign, pack and share a bundle"),
    "gate": ("lucency.cli.train:gate", "Fit checks that refuse films unlike the training films"),
    "recalibrate": ("lucency.cli.recalibrate:recalibrate", "Fit calibration, threshold and abstention to a site"),
    "drift": ("lucency.cli.audit:drift", "Test whether recent films still look and read like those of a reference"),
    "shift": ("lucency.cli.audit:shift", "Test whether a reader depends on how films were acquired"),
    "leave-out": ("lucency.cli.audit:leave_out", "Train without each block of films in turn and name the worst"),
    "serve": ("lucency.cli.serve:serve", "Serve a reader over HTTP"),
    "web": ("lucency.cli.serve:web", "Write the page that reads films in the browser, on the device"),
    "dicom": ("lucency.cli.dicom:dicom", "Answer DICOM films with a structured report and an overlay, as files"),
    "pacs": ("lucency.cli.dicom:pacs", "Run a DICOM node: films in, reports and overlays out"),
    "deid": ("lucency.cli.dicom:deid", "De-identify DICOM films"),
    "models": ("lucency.cli.models:models", "List the networks: layers, parameters, multiply-adds, published accuracy"),
    "bench": ("lucency.cli.models:bench", "Measure a bundle: latency by stage, films per second, memory, cold start"),
    "phantom": ("lucency.cli.audit:phantom", "Write drawn chest films with known lesions"),
}
"""Name -> (where the function is, what it does in a line)."""

COMMAND_EXTRAS = {"train": "train", "import": "keras", "tune": "tune", "export": "export", "deid": "deid"}
"""Commands whose extra contains lucency[evaluate] or a part of it."""
UNWRITABLE = (errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS, errno.EDQUOT)
UNUSABLE = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EIO, errno.EMFILE, errno.ENXIO)
"""What the system says of files and disks where nothing in the program is wrong."""
BadUsage: type[Any] = typer.BadParameter.__base__ or typer.BadParameter
"""What typer raises for an unknown command or option; it has no public name of its own."""


class Commands(TyperGroup):
    """The table above as a command group."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, its module imported now; its help line only while help is listed."""
        if cmd_name not in COMMANDS:
            return None
        where, short = COMMANDS[cmd_name]
        if _listing_help(ctx.find_root().obj or []):
            return TyperCommand(cmd_name, help=short, short_help=short)
        module, function = where.split(":")
        app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        target = getattr(importlib.import_module(module), function)
        if isinstance(target, typer.Typer):
            app = target
        else:
            app.command(name=cmd_name, short_help=short)(target)
        return typer.main.get_command(app)


def _listing_help(arguments: list[str]) -> bool:
    return not any(name in arguments for name in COMMANDS)


app = typer.Typer(cls=Commands, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        echo(f"lucency {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Read chest films for pneumonia: train, evaluate, explain, export. Research use only, not a medical device.

    Example: lucency train phantom --data phantom:600 --out runs/phantom
    """


def _way_out(first: str) -> str:
    if first in COMMANDS:
        return f"See: lucency {first} --help"
    near = difflib.get_close_matches(first, COMMANDS, n=1)
    return f"Did you mean: lucency {near[0]}?" if near else "See: lucency --help"


def run(arguments: list[str]) -> int:
    """Run a command and give its exit code."""
    try:
        outcome: Any = app(arguments or ["--help"], standalone_mode=False, obj=arguments)
    except BadUsage as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # of typer's own, which lucency pacs alone ends in; not public
            echo(error.format_message())
            return 0
        echo(f"lucency: {error.format_message()} {_way_out(arguments[0])}", err=True)
        return 2
    except KeyboardInterrupt:
        outcome = INTERRUPTED
    except typer.Abort as abort:  # typer's answer to EOFError, which a file cut short raises: no wish to stop
        raise abort.__cause__ or abort from None
    except LucencyError as error:
        echo(f"lucency: {error}", err=True)
        return error.exit_code
    except ModuleNotFoundError as error:
        missing = ExtraError.for_module(error.name, COMMAND_EXTRAS.get(arguments[0]))
        if missing is None:
            raise
        echo(f"lucency: {missing}", err=True)
        return missing.exit_code
    except SystemExit as end:  # typer's answer where the reader of a pipe has gone, such as `head -1`
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in (*UNWRITABLE, *UNUSABLE):
            raise
        what = "written" if error.errno in UNWRITABLE else "opened"
        echo(f"lucency: {one_line(error.filename or 'output')}: cannot be {what} ({error.strerror})", err=True)
        return OutputError.exit_code
    if outcome == INTERRUPTED:  # typer, too, answers Ctrl-C with it
        echo(f"\nlucency: {STOPPED}", err=True)
    return outcome if isinstance(outcome, int) else 0


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
