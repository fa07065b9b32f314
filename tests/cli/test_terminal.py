"""Output on terminals and names of any kind; Ctrl-C at any moment."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lucency import cli
from lucency.cli import echo, one_line, run

from .brightness import write_brightness_bundle, write_film

ESCAPE = "\x1b[31m"
VERBS = ("read", "score", "serve", "train", "pacs", "export")
ENDLESS = ("serve", "train", "pacs", "export")
"""Verbs that are met at work within LONG seconds; of the others the whole is measured."""
LONG = {"export": 20.0, "train": 20.0}
PYTHON_STARTS = ("Fatal Python error: init", "Could not import runpy module")
"""What Python itself says of a Ctrl-C before it runs any code of the program."""
PATIENCE_S = 30
"""Five seconds are promised; a machine that does much else has more."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("terminal")
    write_brightness_bundle(root / "bundle")
    for number in range(40):
        write_film(root / "films" / f"{number}.png", 60 + 4 * number)
    return root


def lucency(*arguments: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "lucency", *arguments]
    return subprocess.run(command, capture_output=True, check=False, env=environment)


@pytest.mark.long
@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "utf-8"])
def test_a_terminal_of_any_encoding_shows_a_reading(encoding: str, place: Path) -> None:
    done = lucency("read", str(place / "films" / "0.png"), "--bundle", str(place / "bundle"), encoding=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"0.014: normal" in done.stdout  # sigmoid((60 - 128) / 16)


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="closes descriptors")
@pytest.mark.parametrize("closed", ["1", "2", "0 2", "0 1 2"])
def test_a_service_without_stdout_or_stderr_reads(closed: str, place: Path) -> None:
    command = [sys.executable, "-m", "lucency", "read", str(place / "films" / "0.png")]
    shut = " ".join(f"{descriptor}>&-" for descriptor in closed.split())
    shell = ["sh", "-c", f'exec "$@" {shut}', "sh", *command, "--bundle", str(place / "bundle")]
    done = subprocess.run(shell, capture_output=True, check=False)
    assert done.returncode == 0
    assert "1" in closed or b"0.014: normal" in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="pipes of a shell")
def test_a_pipe_that_is_left_is_no_failure(place: Path) -> None:
    """As by `| head -1`."""
    command = [sys.executable, "-m", "lucency", "read", str(place / "films"), "--bundle", str(place / "bundle")]
    reading = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert reading.stdout is not None
    reading.stdout.close()
    assert reading.communicate()[1] == b""
    assert reading.returncode == 0


@pytest.mark.parametrize("command", [["read"], ["bundle", "verify"], ["evaluate"], ["train", "phantom", "--data"]])
def test_a_name_that_is_too_long_is_one_line(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "a" * 300]) not in (0, 1)
    assert "too long" in capsys.readouterr().err


def test_a_name_of_several_lines_with_escapes_stays_on_one_line(
    tmp_path: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_film(film := tmp_path / f"a\nb{ESCAPE}.png", 96)
    missing = tmp_path / f"c\nd{ESCAPE}.png"
    assert run(["read", str(film), str(missing), "--bundle", str(place / "bundle")]) == 3
    out, err = capsys.readouterr()
    assert out.splitlines()[0].endswith("a\\nb\\x1b[31m.png  pneumonia 0.119: normal (below 0.50)")
    assert "\x1b" not in out + err
    assert len(err.strip().splitlines()) == 2


def test_a_name_that_is_no_unicode(tmp_path: Path, place: Path) -> None:
    film = os.fsencode(tmp_path) + b"/\xff.png"
    write_film(tmp_path / "film.png", 96)
    (tmp_path / "film.png").rename(os.fsdecode(film))
    command = [sys.executable, "-m", "lucency", "read", film, "--bundle", place / "bundle"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\udcff.png  pneumonia 0.119" in done.stdout


def test_text_that_turns_or_moves_is_shown_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    echo("a\r\x1b]0;title\x07\u202eb\tc\nd")
    assert capsys.readouterr().out == "a\\x0d\\x1b]0;title\\x07\\x202eb\tc\nd\n"
    assert one_line("a\nb") == "a\\nb"


def test_a_file_cut_short_is_no_wish_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut() -> None:
        """Example: none."""
        raise EOFError("Ran out of input")

    monkeypatch.setattr("lucency.cli.models.models", cut)
    with pytest.raises(EOFError):
        cli.run(["models"])


@pytest.mark.skipif(os.name == "nt", reason="needs signals of POSIX")
def test_ctrl_c_that_a_library_takes_for_an_error_of_its_own_is_still_a_wish_to_stop() -> None:
    program = """if True:
        import os, signal
        from lucency.cli import run_program
        def work():
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                return 7
        run_program(work)"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 130


def test_nothing_is_imported_before_ctrl_c_is_listened_to() -> None:
    """What `import signal` imports takes a while on a busy machine; a Ctrl-C in it would end in a traceback."""
    program = "import sys, lucency.__main__; print(*{'signal', 'enum', 'typing'} & sys.modules.keys())"
    bare = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}  # -S: `site` imports all three itself
    done = subprocess.run([sys.executable, "-S", "-c", program], check=True, capture_output=True, text=True, env=bare)
    assert done.stdout.strip() == ""


def moments(count: int, until: float, seed: int) -> list[float]:
    return np.random.default_rng(seed).uniform(0.05, until, count).round(3).tolist()


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


def verbs(place: Path, out: Path) -> dict[str, list[str]]:
    bundle = str(place / "bundle")
    return {
        "read": ["read", *map(str, (place / "films").iterdir()), "--bundle", bundle, "--map", str(out)],
        "score": ["score", "--manifest", str(place / "films"), "--bundle", bundle, "--out", str(out), "--shard", "5"],
        "serve": ["serve", "--bundle", bundle, "--port", "0", "--workers", "1"],
        "pacs": [
            *("pacs", "serve", "--to", "dicom://A@127.0.0.1:9", "--allow", "A", "--bundle", bundle),
            *("--queue", str(out / "queue"), "--port", str(free_port())),
        ],
        "export": ["export", str(place / "run"), "--out", str(out / "bundle")],
        "train": ["train", "phantom", "--data", "phantom:60", "--out", str(out / "run")],
    }


@pytest.mark.skipif(os.name == "nt", reason="needs signals of POSIX")
@pytest.mark.parametrize(
    ("verb", "count"),
    [(verb, 2) for verb in VERBS[:-1]] + [pytest.param(verb, 40, marks=pytest.mark.slow) for verb in VERBS],
)
def test_ctrl_c_at_a_random_moment_leaves_no_traceback_and_nothing_half_written(
    verb: str, count: int, place: Path, tmp_path: Path
) -> None:
    if verb == "export":
        from export.small_runs import write_run

        write_run(place / "run", "mobilenet_v2", "linear")
    until = (
        LONG.get(verb, 6.0) if count < 40 or verb in ENDLESS else 1.1 * seconds(verbs(place, tmp_path / "whole")[verb])
    )
    late: list[float] = []
    for number, moment in enumerate(moments(count, until, seed=count)):
        out = tmp_path / str(number)
        process = started(verbs(place, out)[verb])
        time.sleep(moment)
        at_work = process.poll() is None
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        try:
            _, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
        if any(words in err for words in PYTHON_STARTS):
            continue
        late += [time.monotonic() - sent] * at_work
        assert process.returncode in (0, 130), (moment, process.returncode, err)
        assert "Traceback" not in err, (moment, err)
        drafts = [path for path in out.rglob(".*") if path.name != ".lock"] if out.exists() else []
        assert drafts == [], (moment, drafts)
    print(f"{verb}: {len(late)} of {count} were at work; they ended within {max(late, default=0):.2f} s")


def started(arguments: list[str]) -> subprocess.Popen[str]:
    command, root = [sys.executable, "-m", "lucency", *arguments], Path(__file__).parents[2]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root, text=True)


def seconds(arguments: list[str]) -> float:
    """How long a command takes from its start to its end."""
    begun = time.monotonic()
    process = started(arguments)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return time.monotonic() - begun
