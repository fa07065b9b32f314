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
POLL_S = 0.1
GRACE_S = 20.0
"""After Ctrl-C, for the processes to end by themselves."""
MESSAGE_S = 3.0
"""After a failure, for the main process to print the error, if all processes fail for the same reason."""
INTERRUPTED = 130
"""Exit code after Ctrl-C."""
LAUNCHER = "LUCENCY_LAUNCHER"
"""Environment variable with the process id of the launcher."""


def launch(devices: int, arguments: Sequence[str]) -> int:
    """Run `lucency ARGUMENTS` in `devices` processes with the environment that torchrun sets.

    Only the main process prints. If another fails, its last line is printed, and all are ended. This process passes
    Ctrl-C on; no process outlives it.

    Returns:
        the exit code of the first process that failed, or 0.
    """
    port = _free_port()
    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)),
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
    }
    logs = [tempfile.TemporaryFile() for _ in range(devices)]  # noqa: SIM115  closed below
    processes = [_start(rank, devices, port, arguments, logs[rank]) for rank in range(devices)]
    try:
        _wait(lambda: any(process.poll() for process in processes) or _all_ended(processes))
        failed = next((rank for rank, process in enumerate(processes) if process.returncode), None)
        return 0 if failed is None else _report_failure(failed, processes, logs)
    except KeyboardInterrupt:
        for process in processes:
            process.send_signal(signal.SIGINT)
        _wait(lambda: _all_ended(processes), GRACE_S)
        if processes[0].returncode != INTERRUPTED:
            raise
        raise SystemExit(INTERRUPTED) from None  # the main process has printed it
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
        for log in logs:
            log.close()


def end_with_launcher() -> None:
    """In a process that `launch` started: exit as soon as the launcher has ended, for any reason."""
    if (launcher := os.environ.get(LAUNCHER)) is None:
        return

    def watch() -> None:
        while os.getppid() == int(launcher):
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _start(rank: int, devices: int, port: int, arguments: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    place = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": devices, "LOCAL_WORLD_SIZE": devices}
    rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, LAUNCHER: os.getpid()}
    threads = {"OMP_NUM_THREADS": max(1, (os.cpu_count() or 1) // devices)} | dict(os.environ)
    environment = {name: str(value) for name, value in {**threads, **place, **rendezvous}.items()}
    streams: dict[str, Any] = {} if rank == 0 else {"stdout": subprocess.DEVNULL, "stderr": log}
    # A new session keeps the terminal's Ctrl-C away.
    return subprocess.Popen([*COMMAND, *arguments], env=environment, start_new_session=True, **streams)


def _wait(condition: Callable[[], bool], seconds: float = float("inf")) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _all_ended(processes: Sequence[subprocess.Popen[bytes]]) -> bool:
    return all(process.poll() is not None for process in processes)


def _report_failure(failed: int, processes: Sequence[subprocess.Popen[bytes]], logs: Sequence[IO[bytes]]) -> int:
    """Print the reason, unless the main process did; the exit code."""
    _wait(lambda: processes[0].poll() is not None, MESSAGE_S)
    code: int = processes[failed].returncode
    if code < 0:
        name, count = signal.Signals(-code).name, len(processes)
        print(f"lucency: process {failed + 1} of {count} was ended by {name}; short of memory?", file=sys.stderr)
        return 128 - code
    if not processes[0].returncode:
        print(_error_of(logs[failed]), file=sys.stderr)
    return code


def _error_of(log: IO[bytes]) -> str:
    """The last line of a log, or the whole traceback of an unexpected error."""
    log.seek(0)
    text = log.read().decode(errors="replace").strip()
    start = text.find("Traceback (most recent call last)")
    if start < 0:
        start = text.rfind("\n") + 1
    return text[start:] or "lucency: a training process ended without a message"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
