"""The command line as a whole: the table, the way out of a mistake, exit codes, what Ctrl-C says."""

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
def test_every_row_leads_to_a_command_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"lucency {name}" in said.split("Example", 1)[-1], "help ends with an example"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in COMMANDS)


@pytest.mark.parametrize("name", ["pacs", "bundle"])
def test_a_command_of_commands_alone_is_helped(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name]) == 0
    told = capsys.readouterr()
    assert f" {name} [OPTIONS] COMMAND" in told.out
    assert told.err == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"lucency {__version__}\n"


def test_a_mistyped_command_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
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
def test_what_goes_wrong_is_one_line_and_an_exit_code(
    raised: BaseException, code: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        """Example: none."""
        raise raised

    monkeypatch.setattr(lucency.cli.models, "models", fail)
    assert run(["models"]) == code
    said = capsys.readouterr().err.strip()
    assert words in said
    assert len(said.splitlines()) == 1


def test_an_unforeseen_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_every_module_is_named_in_the_table_once() -> None:
    places = [where for where, _ in COMMANDS.values()]
    assert len(set(places)) == len(places)
    for where in places:
        module, function = where.split(":")
        assert callable(getattr(importlib.import_module(module), function))
        assert Path(str(importlib.import_module(module).__file__)).parent.name == "cli"
