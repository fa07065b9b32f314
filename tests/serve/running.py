"""A real server in a process of its own, as people start it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

PATIENCE_S = 120
"""For a start on a machine that does much else."""


@dataclass
class Server:
    process: subprocess.Popen[str]
    address: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    """What it has logged."""
    raw: list[str] = field(default_factory=list)
    _heard: threading.Thread | None = None

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.address, timeout=PATIENCE_S, **options)

    def readers(self) -> list[int]:
        """The processes that read."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True)
        return [int(line) for line in found.stdout.split()]

    def metric(self, line: str) -> float:
        """The value of a line of /metrics that begins with `line`."""
        with self.client() as client:
            text = client.get("/metrics").text
        return float(next(each for each in text.splitlines() if each.startswith(line + " ")).split()[-1])

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit code."""
        self.process.send_signal(how)
        code = self.process.wait(PATIENCE_S)
        assert self._heard is not None
        self._heard.join(PATIENCE_S)
        return code


@contextlib.contextmanager
def running(bundle: Path, *options: str, env: dict[str, str] | None = None) -> Iterator[Server]:
    command = [sys.executable, "-m", "lucency", "serve", "--bundle", str(bundle), "--port", "0", "--json", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
    server = Server(process)
    server._heard = threading.Thread(target=_hear, args=(server,), daemon=True)
    server._heard.start()
    try:
        until(lambda: server.address or process.poll() is not None)
        assert server.address, server.raw
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        server._heard.join(PATIENCE_S)
        if process.stderr:
            process.stderr.close()


def _hear(server: Server) -> None:
    assert server.process.stderr is not None
    for line in server.process.stderr:
        server.raw.append(line)
        with contextlib.suppress(ValueError):
            server.events.append(json.loads(line))
            server.address = server.address or server.events[-1].get("at", "")


def until(true: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
    """Wait for something to come true; fail if it does not."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def film(gray: int = 160, side: int = 32, kind: str = "PNG") -> bytes:
    """A film of one gray and one other pixel."""
    pixels = np.full((side, side), gray, dtype=np.uint8)
    pixels[0, 0] = gray - 1
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()
