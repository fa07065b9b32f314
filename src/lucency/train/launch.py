"""Start the processes that train together on this machine, and end them together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, Any

COMMAND = (sys.executable, "-m", "lucency")
PAUSE_S = 0.1
GRACE_S = 20.0
"""After Ctrl-C, for the processes to end by themselves."""
SPEAKS_S = 3.0
"""After a failure, for the first process to say the same, where all have failed for one reason."""
INTERRUPTED = 130
"""Exit code after Ctrl-C."""
LAUNCHER = "LUCENCY_LAUNCHER"
"""Environment variable: the process that ends those which train."""


def launch(devices: int, arguments: Sequence[str]) -> int:
    """Run `lucency ARGUMENTS` in `devices` processes that find each other as torchrun's do.

    The first speaks. Where another fails, its last line is told, and all are ended. Ctrl-C reaches this process alone,
    which hands it on; none outlives it.

    Returns:
        the exit code of the first process that failed, or 0.
    """
    port = _free_port()
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    words = [tempfile.TemporaryFile() for _ in range(devices)]  # noqa: SIM115  closed below
    processes = [_start(rank, devices, port, arguments, words[rank]) for rank in range(devices)]
    try:
        _until(lambda: any(process.poll() for process in processes) or _ended(processes))
        failed = next((rank for rank, process in enumerate(processes) if process.returncode), None)
        return 0 if failed is None else _failure(failed, processes, words)
    except KeyboardInterrupt:
        for process in processes:
            process.send_signal(signal.SIGINT)
        _until(lambda: _ended(processes), GRACE_S)
        if processes[0].returncode != INTERRUPTED:
            raise
        raise SystemExit(INTERRUPTED) from None  # the first process has told it
    finally:
        for process in processes:
            process.kill()
            process.wait()
        signal.signal(signal.SIGTERM, before)
        for stream in words:
            stream.close()


def end_with_launcher() -> None:
    """In a process that `launch` started: end as soon as the launcher has ended, however it did."""
    if (launcher := os.environ.get(LAUNCHER)) is None:
        return

    def watch() -> None:
        while os.getppid() == int(launcher):
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _start(rank: int, devices: int, port: int, arguments: Sequence[str], words: IO[bytes]) -> subprocess.Popen[bytes]:
    place = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": devices, "LOCAL_WORLD_SIZE": devices}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, LAUNCHER: os.getpid()}
    threads = {"OMP_NUM_THREADS": max(1, (os.cpu_count() or 1) // devices)} | dict(os.environ)
    environment = {name: str(value) for name, value in {**threads, **place, **meeting}.items()}
    quiet: dict[str, Any] = {} if rank == 0 else {"stdout": subprocess.DEVNULL, "stderr": words}
    # In a session of its own, a process does not get the terminal's Ctrl-C besides ours.
    return subprocess.Popen([*COMMAND, *arguments], env=environment, start_new_session=True, **quiet)


def _until(true: Callable[[], bool], seconds: float = float("inf")) -> None:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(PAUSE_S)


def _ended(processes: Sequence[subprocess.Popen[bytes]]) -> bool:
    return all(process.poll() is not None for process in processes)


def _failure(failed: int, processes: Sequence[subprocess.Popen[bytes]], words: Sequence[IO[bytes]]) -> int:
    """Tell why, unless the first process did; the exit code."""
    _until(lambda: processes[0].poll() is not None, SPEAKS_S)
    code: int = processes[failed].returncode
    if code < 0:
        name, count = signal.Signals(-code).name, len(processes)
        print(f"lucency: process {failed + 1} of {count} was ended by {name}; short of memory?", file=sys.stderr)
        return 128 - code
    if not processes[0].returncode:
        print(_last_words(words[failed]), file=sys.stderr)
    return code


def _last_words(words: IO[bytes]) -> str:
    """The line that says why; where the error was not foreseen, all that Python says of it."""
    words.seek(0)
    text = words.read().decode(errors="replace").strip()
    start = text.find("Traceback (most recent call last)")
    if start < 0:
        start = text.rfind("\n") + 1
    return text[start:] or "lucency: a process that trained along has ended"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
