"""Ctrl-C in the program: nothing is raised in what is going on, and what is half-written is removed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lucency.files import scratch
from lucency.interruption import undone

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs signals of POSIX")

PROGRAM = """if True:
    import os, signal, sys, time
    from pathlib import Path
    from lucency.cli import run_program
    from lucency.files import beside, scratch
    def pressed():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    def work():
        with beside(Path(sys.argv[1], "a.txt")) as draft, scratch(Path(sys.argv[1], "b")) as folder:
            draft.write_text("half")
            (folder / "inner").mkdir()
"""


def ended(after: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = f"{PROGRAM}            {after}\n    run_program(work)"
    return subprocess.run([sys.executable, "-c", program, folder], check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    "after",
    [
        "pressed()",
        # in a callback of native code, which here, as elsewhere, would take an exception for one of its own
        "sorted([1, 2], key=lambda _: pressed())",
        # in native code that gives other threads their turn, but takes no notice of signals
        "import sqlite3, threading; threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start(); "
        "sqlite3.connect(':memory:').execute("
        "'with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n')",
        # while one thread of several writes
        "import threading; threading.Thread(target=lambda: time.sleep(60)).start(); pressed()",
    ],
    ids=["python", "callback", "native", "threads"],
)
def test_ctrl_c_removes_what_is_half_written(after: str, tmp_path: Path) -> None:
    done = ended(after, tmp_path)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.strip().startswith("lucency: stopped")
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_a_child_quietly_and_leaves_its_parents_drafts(tmp_path: Path) -> None:
    done = ended("if not os.fork(): pressed()\n            os.wait(); print(draft.exists(), flush=True)", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_a_block_is_undone_once_at_its_end() -> None:
    calls: list[str] = []
    with pytest.raises(ValueError, match="no"), undone(lambda: calls.append("inner")):
        raise ValueError("no")
    assert calls == ["inner"]


def test_a_scratch_folder_is_private_and_goes(tmp_path: Path) -> None:
    with scratch(tmp_path / "out") as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []
