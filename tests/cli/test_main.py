"""The command line as a whole: the table of commands, suggestions, exit codes."""

from __future__ import annotations

import errno
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import lucency.cli.models
from lucency import __version__
from lucency.cli import COMMANDS, run
from lucency.errors import OutputError


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"lucency {name}" in printed.split("Example", 1)[-1], "help ends with an example"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in COMMANDS)


@pytest.mark.parametrize("name", ["pacs", "bundle"])
def test_command_groups_print_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name]) == 0
    output = capsys.readouterr()
    assert f" {name} [OPTIONS] COMMAND" in output.out
    assert output.err == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"lucency {__version__}\n"


def test_a_mistyped_command_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trian"]) == 2
    assert "Did you mean: lucency train?" in capsys.readouterr().err


def test_a_mistyped_option_points_to_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--widht", "1"]) == 2
    assert "See: lucency models --help" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "nothing half-written is left"),
        (OutputError("there: cannot be written"), OutputError.exit_code, "lucency: there: cannot be written"),
        (OSError(errno.ENOSPC, "No space left on device", "out.csv"), 10, "out.csv: cannot be written (No space left"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    raised: BaseException, code: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        """Example: none."""
        raise raised

    monkeypatch.setattr(lucency.cli.models, "models", fail)
    assert run(["models"]) == code
    printed = capsys.readouterr().err.strip()
    assert words in printed
    assert len(printed.splitlines()) == 1


def test_unexpected_errors_have_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(lucency.cli.models, "models", fail)
    with pytest.raises(ZeroDivisionError):
        run(["models"])


def test_help_and_version_import_nothing_heavy() -> None:
    program = (
        "import sys; from lucency.cli import run; run([]); run(['--version']);"
        "print(sorted({'torch', 'numpy', 'PIL', 'pydantic', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_module_is_in_the_table_once() -> None:
    places = [where for where, _ in COMMANDS.values()]
    assert len(set(places)) == len(places)
    for where in places:
        module, function = where.split(":")
        assert callable(getattr(importlib.import_module(module), function))
        assert Path(str(importlib.import_module(module).__file__)).parent.name == "cli"
