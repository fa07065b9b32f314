"""Start the processes that train together on this machine, and end them together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO

COMMAND = (sys.executable, "-m", "lucency")
PAUSE_S = 0.1
GRACE_S = 20.0
"""After Ctrl-C, for the processes to end by themselves."""


def launch(devices: int, arguments: Sequence[str]) -> int:
    """Run `lucency ARGUMENTS` in `devices` processes that find each other as torchrun's do.

    The first speaks. Where another fails first, its last line is told, and all are ended.

    Returns:
        the exit code of the first process that failed, or 0.
    """
    port = _free_port()
    words = [tempfile.TemporaryFile() for _ in range(devices)]  # noqa: SIM115  closed below
    processes = [_start(rank, devices, port, arguments, words[rank]) for rank in range(devices)]
    try:
        failed = _wait(processes)
        if failed is None:
            return 0
        if failed:
            _tell(words[failed])
        return processes[failed].returncode
    except KeyboardInterrupt:
        _wait_for_end(processes)
        raise
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for stream in words:
            stream.close()


def _start(rank: int, devices: int, port: int, arguments: Sequence[str], words: IO[bytes]) -> subprocess.Popen[bytes]:
    place = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": devices, "LOCAL_WORLD_SIZE": devices}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "lucency"}
    threads = {"OMP_NUM_THREADS": max(1, (os.cpu_count() or 1) // devices)} | dict(os.environ)
    environment = {name: str(value) for name, value in {**threads, **place, **meeting}.items()}
    quiet = {} if rank == 0 else {"stdout": subprocess.DEVNULL, "stderr": words}
    return subprocess.Popen([*COMMAND, *arguments], env=environment, **quiet)  # type: ignore[call-overload, no-any-return]


def _wait(processes: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """The rank of the first process that fails; None once all have ended well."""
    while True:
        codes = [process.poll() for process in processes]
        for rank, code in enumerate(codes):
            if code:
                return rank
        if all(code == 0 for code in codes):
            return None
        time.sleep(PAUSE_S)


def _wait_for_end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline and any(process.poll() is None for process in processes):
        time.sleep(PAUSE_S)


def _tell(words: IO[bytes]) -> None:
    words.seek(0)
    lines = words.read().decode(errors="replace").strip().splitlines()
    print(lines[-1] if lines else "lucency: a process that trained along has ended", file=sys.stderr)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
