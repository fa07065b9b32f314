"""The processes that read, and the queue before them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect

from lucency.bundle import Bundle
from lucency.errors import BundleError
from lucency.serve.limits import Limits
from lucency.serve.log import Log
from lucency.serve.metrics import Metrics
from lucency.serve.process import EndedError, Process, start
from lucency.serve.refusals import BusyError, FaultError, UnreadableError

LONGEST_PAUSE_S = 5.0
"""Between attempts to start a process that will not start."""


@dataclass(frozen=True)
class Answer:
    """What a process said of one film."""

    reading: dict[str, Any]
    """The fields of `Reading.to_json`."""
    picture: bytes
    """The overlay as PNG; empty where none was asked for."""


@dataclass
class Job:
    """One film on its way; lives in memory for as long as someone waits for it."""

    film: bytes
    name: str
    """What messages call it: never what the client called it."""
    map: bool
    left: Callable[[], Awaitable[bool]]
    """Whether who asked has gone."""
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    deaths: int = 0
    """Processes that ended while they read it."""


class Pool:
    """`size` reading processes, each replaced when it ends, hangs or is killed."""

    def __init__(self, bundle: Bundle, size: int, limits: Limits, metrics: Metrics, log: Log) -> None:
        """Nothing is started yet; `start` does."""
        self._bundle, self._size, self._limits = bundle, size, limits
        self._metrics, self._log = metrics, log
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._idle = 0
        """Processes that have nothing to read."""
        self._failing = False
        """Whether the last process that was started could not read."""
        self.ready = 0
        """Processes that can read now."""

    async def start(self) -> None:
        """Start every process; returns when all can read.

        Raises:
            BundleError: one of them cannot open the bundle.
        """
        opening = [asyncio.ensure_future(start(self._bundle, self._limits)) for _ in range(self._size)]
        done = await asyncio.gather(*opening, return_exceptions=True)
        opened = [process for process in done if isinstance(process, Process)]
        failed = [error for error in done if isinstance(error, BaseException)]
        if failed:
            await asyncio.gather(*(process.kill() for process in opened))
            raise failed[0]
        self._tasks = [asyncio.ensure_future(self._keep(process)) for process in opened]

    async def stop(self) -> None:
        """End every process. Films that are still read are lost: the server stops only when there are none."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def read(self, film: bytes, name: str, map: bool, left: Callable[[], Awaitable[bool]]) -> Answer:
        """Read one film, as soon as a process is free.

        Raises:
            UnreadableError: the film is broken, too large, takes too long, or ends the processes that read it.
            BusyError: no process was free in time, or none can be started.
            FaultError: an error of ours.
            ClientDisconnect: who asked has gone.
        """
        if self._failing and not self.ready:  # nobody would take it out of the queue again
            raise BusyError("no process can read films now, and none starts; ask again later, or who runs this server")
        job = Job(film, name, map, left)
        self._jobs.put_nowait(job)
        try:
            async with asyncio.timeout(self._limits.patience_s):
                return await job.answer
        except TimeoutError:
            raise BusyError("no process was free to read the film in time; ask again later") from None

    async def _keep(self, process: Process | None) -> None:
        """Answer films with one process; when it has ended, with another."""
        try:
            while True:
                process = process or await self._another()
                self._count(1)
                try:
                    await self._serve(process)
                except EndedError as ended:
                    self._log("process ended", why=str(ended))
                    self._metrics.ended.labels(str(ended)).inc()
                finally:
                    self._count(-1)
                    await process.kill()
                process = None
        finally:
            if process:
                await process.kill()

    async def _serve(self, process: Process) -> None:
        """Answer films with one process. While it reads one it holds the next, if one waits, and never waits for us."""
        ahead: Job | None = None
        try:
            while True:
                job = ahead or await self._sent(process, await self._next(process))
                if job is None:
                    continue
                if not self._idle and not self._jobs.empty():  # an idle process would read it now
                    ahead = await self._sent(process, self._jobs.get_nowait())
                else:
                    ahead = None
                await self._answered(process, job)
        finally:
            if ahead:  # never begun: another process reads it
                self._jobs.put_nowait(ahead)

    async def _sent(self, process: Process, job: Job) -> Job | None:
        """The same job, its film on the way to a process; None where nobody waits for it any more."""
        if job.answer.done():
            return None
        if await job.left():
            _refuse(job, ClientDisconnect())
            return None
        process.send(job.film, {"film": job.name, "map": job.map})
        return job

    async def _answered(self, process: Process, job: Job) -> None:
        begun = time.monotonic()
        try:
            self._settle(job, await process.answer())
        except TimeoutError:
            _refuse(job, UnreadableError(f"{job.name}: not read within {self._limits.seconds:g} s; send a simpler one"))
            raise EndedError("a film took too long") from None
        except EndedError:
            self._died(job)
            raise
        finally:
            self._metrics.reading_seconds.observe(time.monotonic() - begun)

    async def _next(self, process: Process) -> Job:
        """The next film; notices, too, that an idle process has ended."""
        waiting = asyncio.ensure_future(self._jobs.get())
        self._idle += 1
        try:
            await asyncio.wait({waiting, process.ended}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            waiting.cancel()
            raise
        finally:
            self._idle -= 1
        if waiting.done():
            return waiting.result()
        waiting.cancel()
        raise EndedError("it was killed")

    def _settle(self, job: Job, said: tuple[dict[str, Any], bytes]) -> None:
        facts, picture = said
        if job.answer.done():
            return
        if "reading" in facts:
            job.answer.set_result(Answer(facts["reading"], picture))
        elif "refused" in facts:
            _refuse(job, UnreadableError(facts["refused"]))
        else:
            self._log("fault", where=facts["failed"])
            _refuse(job, FaultError("the film could not be read for a reason of ours; it is logged, please report it"))

    def _died(self, job: Job) -> None:
        """Give the film to another process, for it may not be its fault; the second time it probably is."""
        job.deaths += 1
        if job.deaths == 1:
            self._jobs.put_nowait(job)
        else:
            _refuse(job, UnreadableError(f"{job.name}: two processes ended while reading it; send a plain PNG of it"))

    async def _another(self) -> Process:
        pause = 0.1
        while True:
            try:
                process = await start(self._bundle, self._limits)
                self._failing = False
                return process
            except (BundleError, OSError) as error:
                self._failing = True
                self._log("process does not start", why=str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _count(self, change: int) -> None:
        self.ready += change
        self._metrics.processes.set(self.ready)


def _refuse(job: Job, why: Exception) -> None:
    if not job.answer.done():
        job.answer.set_exception(why)
