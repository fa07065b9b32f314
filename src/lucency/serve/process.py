"""One reading process, seen from the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from typing import Any

from lucency.bundle import Bundle
from lucency.errors import BundleError
from lucency.serve.frames import Frame, head, receive_async
from lucency.serve.limits import Limits

CALM = {
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**27),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
"""Of a reading process. glibc gives the memory of each film back to the system and takes it anew, page by page: a
fifth of the time of a film of 1024 × 1024 pixels. So let it keep up to 128 MiB. And the cores are shared out by
processes, not by threads inside them."""
START_S = 120.0
"""To import, open the bundle and read a first film; a second or two on an idle machine."""


class EndedError(Exception):
    """The process has ended; says in a few words why."""


class Process:
    """A running `lucency.serve.worker`."""

    def __init__(self, child: asyncio.subprocess.Process, seconds: float) -> None:
        """`seconds` is what one film may take."""
        assert child.stdin is not None
        assert child.stdout is not None
        self._child, self._seconds = child, seconds
        self._to, self._back = child.stdin, child.stdout
        self.ended = asyncio.ensure_future(child.wait())

    def send(self, film: bytes, request: dict[str, Any]) -> None:
        """Send one film, to be read after those sent before; what the process cannot take yet is kept here."""
        self._to.write(head(request, film))
        self._to.write(film)

    async def answer(self) -> Frame:
        """What is said of the film that was sent first and not answered. After any error the process is of no use.

        Raises:
            TimeoutError: it took too long.
            EndedError: the process ended.
        """
        async with asyncio.timeout(self._seconds):
            try:
                return await receive_async(self._back)
            except (OSError, asyncio.IncompleteReadError):
                raise EndedError("it was killed or crashed while reading") from None

    async def hello(self) -> Frame:
        """What it says when it can read, or why it cannot."""
        async with asyncio.timeout(START_S):
            return await receive_async(self._back)

    async def kill(self) -> None:
        """End it now and wait until it has."""
        if self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()
        await asyncio.shield(self.ended)
        self._to.close()


async def start(bundle: Bundle, limits: Limits) -> Process:
    """A process that can read, with the very bundle that the server announces.

    Raises:
        BundleError: it cannot open the bundle, or the bundle has changed.
    """
    settings = {"bundle": str(bundle.path), "pixels": limits.most_pixels, "seconds": limits.seconds}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "lucency.serve.worker", json.dumps(settings)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **CALM},
        start_new_session=True,  # Ctrl-C in the terminal is for the server, which lets films be finished
    )
    process = Process(child, limits.seconds)
    try:
        said, _ = await process.hello()
        if said.get("digest") != bundle.digest:
            changed = f"{bundle.path}: has changed since the server was started; start it again"
            raise BundleError(said.get("failed", changed))
    except (TimeoutError, asyncio.IncompleteReadError):
        await process.kill()
        raise BundleError(f"{bundle.path}: the process that reads did not start; try lucency read") from None
    except BaseException:
        await process.kill()
        raise
    return process
