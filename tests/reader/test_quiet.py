"""What native libraries write to stderr: held back, unless the block fails."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lucency.reader.quiet import quiet


def test_chatter_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        os.write(2, b"chatter of a library in C\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_chatter_before_a_failure_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), quiet():
        os.write(2, b"why it failed\n")
        raise ValueError("no")
    assert capfd.readouterr().err == "why it failed\n"


def test_threads_that_meet_leave_stderr_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    both = threading.Event()

    def chatter(number: int) -> None:
        with quiet():
            both.wait(0.01)  # long enough for the other to arrive
            os.write(2, b"chatter")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(chatter, range(8)))
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
