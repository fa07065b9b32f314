"""The launcher: processes end together, and errors are printed once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lucency.train import launch

START = "import os, sys, time; rank = os.environ['RANK']\n"
ALONE = f"import sys; sys.path.append({str(Path(launch.__file__).parent)!r}); import launch\n"
"""The module without its package, which takes seconds to import."""
LAUNCH = f"""{ALONE}
launch.COMMAND = (sys.executable, "-c", sys.argv[1])
sys.exit(launch.launch(2, sys.argv[2:]))
"""


def launched(program: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(launch, "COMMAND", (sys.executable, "-c", START + program))
    return launch.launch(2, [])


def test_all_processes_succeed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    assert launched("print('printed by', rank)", monkeypatch) == 0
    assert capfd.readouterr().out == "printed by 0\n"


@pytest.mark.parametrize("rank", [0, 1])
def test_a_failed_process_ends_the_others(
    rank: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "MESSAGE_S", 0.1)
    program = f"if rank == '{rank}': print('epoch 1', file=sys.stderr); sys.exit('lucency: no')\ntime.sleep(600)"
    assert launched(program, monkeypatch) == 1
    assert capfd.readouterr().err.splitlines()[-1 if rank == 0 else 0 :] == ["lucency: no"]


def test_a_common_error_is_printed_once(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    assert launched("time.sleep(0 if rank == '1' else 0.5); sys.exit('lucency: no')", monkeypatch) == 1
    assert capfd.readouterr().err == "lucency: no\n"


def test_an_unexpected_error_prints_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "MESSAGE_S", 0.1)
    assert launched("if rank == '1': 1 / 0\ntime.sleep(600)", monkeypatch) == 1
    error = capfd.readouterr().err
    assert error.startswith("Traceback")
    assert error.endswith("ZeroDivisionError: division by zero\n")


def test_a_killed_process_is_reported(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(launch, "MESSAGE_S", 0.1)
    assert launched("if rank == '1': os.kill(os.getpid(), 9)\ntime.sleep(600)", monkeypatch) == 128 + 9
    assert capfd.readouterr().err == "lucency: process 2 of 2 was ended by SIGKILL; short of memory?\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)], ids=lambda n: str(n)
)
def test_no_process_outlives_the_launcher(number: signal.Signals, code: int, tmp_path: Path) -> None:
    program = (
        START + ALONE + "launch.end_with_launcher()\n"
        f"open({str(tmp_path)!r} + '/' + rank, 'w').write(str(os.getpid()))\n"
        "try: time.sleep(600)\nexcept KeyboardInterrupt: print('stopped by', rank, file=sys.stderr); sys.exit(130)"
    )
    process = subprocess.Popen([sys.executable, "-c", LAUNCH, program], stderr=subprocess.PIPE, text=True)
    until(lambda: all((tmp_path / rank).exists() and (tmp_path / rank).read_text() for rank in "01"))
    process.send_signal(number)
    assert process.wait(60) == code
    until(lambda: not any(alive(int((tmp_path / rank).read_text())) for rank in "01"))
    assert process.stderr is not None
    assert process.stderr.read() == ("stopped by 0\n" if number == signal.SIGINT else "")
    process.stderr.close()


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(true: object, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_without_a_launcher_nothing_is_watched() -> None:
    assert launch.LAUNCHER not in os.environ
    launch.end_with_launcher()
