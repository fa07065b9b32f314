"""Ctrl-C ends scoring without a traceback or drafts; a folder has one scoring at a time."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lucency.bundle import Bundle
from lucency.errors import OUTPUT_LOCKED, OutputError
from lucency.score import ENGINES, open_manifest, score
from lucency.score.shards import lock_part

from .films import everything, write_films
from .test_killed import children, command

pytestmark = pytest.mark.long

ENDS_WITHIN_S = 60
"""Five seconds on an idle machine; tests share theirs."""
STARTS_WITHIN_S = 300


def until(reached: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while process.poll() is None and not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def interrupted(words: list[str], reached: Callable[[int], object]) -> subprocess.Popen[str]:
    """Start the command as a terminal does, send SIGINT once `reached`, and wait for the end."""
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    process = subprocess.Popen(words, **streams, text=True, start_new_session=True)
    until(lambda: reached(process.pid), process)
    with contextlib.suppress(ProcessLookupError):  # it has ended already
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.errors = process.communicate(timeout=ENDS_WITHIN_S)[1]  # type: ignore[attr-defined]
    finally:
        process.kill()
    return process


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_ctrl_c_at_start_at_work_and_near_the_end(bundle: Bundle, tmp_path: Path) -> None:
    manifest = write_films(tmp_path / "films", 600)
    score(open_manifest(str(manifest)), bundle, str(tmp_path / "whole"), ENGINES["plain"], shard=20)
    out = tmp_path / "out"
    words = command(manifest, bundle.path, out, 20)
    rng = random.Random(0)

    def shards() -> int:
        return len(list(out.glob("part-*")))

    def pause(pid: int) -> bool:
        if not children(pid):
            return False
        time.sleep(rng.uniform(0, 1))
        return True

    moments: list[Callable[[int], object]] = [
        lambda pid: out.exists(),
        lambda pid: len(children(pid)) >= 1,
        lambda pid: len(children(pid)) >= 2,
        pause,
        pause,
        lambda pid: shards() > before,
        lambda pid: shards() > before + 5,
    ]
    stopped = 0
    for moment in moments:
        before = shards()
        process = interrupted(words, moment)
        said = process.errors  # type: ignore[attr-defined]
        assert "Traceback" not in said
        assert not list(out.glob(".part-*")), "no draft is left"
        if process.returncode == 3:  # it ended before the signal
            assert everything(out).equals(everything(tmp_path / "whole"))
            shutil.rmtree(out)
            continue
        assert process.returncode in (130, -signal.SIGINT), said
        stopped += 1
    assert stopped >= 4, "else the test says nothing"
    assert subprocess.run(words, capture_output=True, check=False).returncode == 3
    assert everything(out).equals(everything(tmp_path / "whole"))


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks on Windows")
def test_a_second_scoring_of_a_folder_raises(bundle: Bundle, tmp_path: Path) -> None:
    manifest = open_manifest(str(write_films(tmp_path / "films", 12)))
    out = str(tmp_path / "out")
    with lock_part(out, (1, 1)), pytest.raises(OutputError, match="another lucency process") as caught:
        score(manifest, bundle, out, ENGINES["plain"])
    assert caught.value.code == OUTPUT_LOCKED
    with lock_part(out, (1, 3)):
        with pytest.raises(OutputError), lock_part(out, (1, 3)):
            pass
        with pytest.raises(OutputError), lock_part(out, (1, 1)):
            pass
        assert score(manifest, bundle, out, ENGINES["plain"], shard=4, part=(2, 3)).films == 4
    assert score(manifest, bundle, out, ENGINES["plain"], shard=4).films == 12
