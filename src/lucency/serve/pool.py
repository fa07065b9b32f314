"""The workers, and the queue before them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect

from lucency.bundle import Bundle
from lucency.errors import BundleError
from lucency.serve.middleware import InternalError, Metrics, UnavailableError, UnprocessableError
from lucency.serve.settings import Limits, Log
from lucency.serve.worker import Frame, frame_head, receive_async

WORKER_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**27),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
"""glibc returns each film's memory to the system and faults it in again page by page: a fifth of the time of a film of
1024 × 1024 pixels. So a worker keeps up to 128 MiB. And the cores are shared by processes, not by threads in them."""
START_S = 120.0
"""To import, open the bundle and read a first film; a second or two on an idle machine."""
KILL_S = 2.0
"""For a killed worker to be gone; a kernel that takes longer must not keep its successor from starting."""
MAX_PAUSE_S = 4.0
"""Between attempts to start a worker that does not start."""


class WorkerEndedError(Exception):
    """A worker has ended; says briefly why."""


@dataclass(frozen=True)
class WorkerAnswer:
    """A worker's answer to one film."""

    reading: dict[str, Any]
    """The fields of `Reading.to_json`."""
    overlay: bytes
    """PNG; empty if none was asked for."""


@dataclass
class Job:
    """One film in the queue; kept in memory for as long as its client waits."""

    film: bytes
    name: str
    """Its name in messages: never the client's."""
    map: int
    """Pixels along the longer side of its overlay; 0 for none."""
    client_left: Callable[[], Awaitable[bool]]
    label: str = ""
    """The label that the map is about; empty for the finding."""
    batch: bool = False
    """Whether it is one of several in a request."""
    answer: asyncio.Future[WorkerAnswer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    deaths: int = 0
    """Workers that ended while they read it."""

    def fail(self, why: Exception) -> None:
        """Answer with an error, unless the client has gone."""
        if not self.answer.done():
            self.answer.set_exception(why)


class FairQueue(asyncio.Queue[Job]):
    """Films sent alone and those of batches take turns: one alone waits for one of a batch at most."""

    def _init(self, maxsize: int) -> None:
        self._lanes: tuple[deque[Job], deque[Job]] = (deque(), deque())
        self._turn = 0

    def qsize(self) -> int:
        """How many wait."""
        return sum(map(len, self._lanes))

    def empty(self) -> bool:
        """Whether none waits."""
        return not self.qsize()

    def _put(self, item: Job) -> None:
        self._lanes[item.batch].append(item)

    def _get(self) -> Job:
        lane = self._turn if self._lanes[self._turn] else 1 - self._turn
        self._turn = 1 - lane
        return self._lanes[lane].popleft()


class WorkerProcess:
    """The server's side of a running `lucency.serve.worker`."""

    def __init__(self, child: asyncio.subprocess.Process, seconds: float) -> None:
        """`seconds` bounds each answer."""
        assert child.stdin is not None
        assert child.stdout is not None
        self._child, self.seconds = child, seconds
        self._stdin, self._stdout = child.stdin, child.stdout
        self.ended = asyncio.ensure_future(child.wait())

    def send(self, film: bytes, request: dict[str, Any]) -> None:
        """Send one film, to be read after those sent before; what the pipe cannot take yet is buffered here."""
        self._stdin.write(frame_head(request, film))
        self._stdin.write(film)

    async def answer(self) -> Frame:
        """The answer to the oldest film that is not answered. After any error the worker is unusable.

        Raises:
            TimeoutError: it took too long.
            WorkerEndedError: the worker ended.
        """
        async with asyncio.timeout(self.seconds):
            try:
                return await receive_async(self._stdout)
            except (OSError, asyncio.IncompleteReadError, ValueError):  # ValueError: not a frame
                raise WorkerEndedError("it was killed or crashed while reading") from None

    async def kill(self) -> None:
        """End it; wait until it has ended, but not for ever.

        asyncio reports a child as ended only after its pipes are closed, and never notices the end of a pipe that it
        has paused, such as behind a large unread answer. So the pipe is drained.
        """
        if self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()
        self._stdin.close()
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(KILL_S):
                while await self._stdout.read(2**20):
                    pass
                await asyncio.shield(self.ended)


async def start_worker(bundle: Bundle, limits: Limits) -> WorkerProcess:
    """A worker that can read, with the very bundle that the server announces.

    Raises:
        BundleError: it cannot open the bundle, or the bundle has changed.
    """
    settings = {"bundle": str(bundle.path), "pixels": limits.max_pixels, "seconds": limits.seconds}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "lucency.serve.worker", json.dumps(settings)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **WORKER_ENVIRONMENT},
        start_new_session=True,  # Ctrl-C in the terminal is for the server, which finishes running films
    )
    worker = WorkerProcess(child, START_S)
    try:
        said, _ = await worker.answer()
        if said.get("digest") != bundle.digest:
            changed = f"{bundle.path}: has changed since the server was started; start it again"
            raise BundleError(said.get("failed", changed))
    except (TimeoutError, WorkerEndedError):
        await worker.kill()
        raise BundleError(f"{bundle.path}: the worker did not start; try lucency read") from None
    except BaseException:
        await worker.kill()
        raise
    worker.seconds = limits.seconds
    return worker


class Pool:
    """`size` workers, each replaced when it ends, hangs or is killed."""

    def __init__(self, bundle: Bundle, size: int, limits: Limits, metrics: Metrics, log: Log) -> None:
        self._bundle, self._size, self._limits = bundle, size, limits
        self._metrics, self._log = metrics, log
        self._jobs = FairQueue()
        self._tasks: list[asyncio.Task[None]] = []
        self._idle = 0
        """Workers without a film."""
        self._failing = False
        """Whether the last worker that was started could not read."""
        self.ready = 0
        """Workers that can read now."""

    async def start(self) -> None:
        """Start all workers; returns when all can read.

        Raises:
            BundleError: one of them cannot open the bundle.
        """
        starts = (start_worker(self._bundle, self._limits) for _ in range(self._size))
        results = await asyncio.gather(*starts, return_exceptions=True)
        workers = [result for result in results if isinstance(result, WorkerProcess)]
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            await asyncio.gather(*(worker.kill() for worker in workers))
            raise failures[0]
        self._tasks = [asyncio.ensure_future(self._supervise(worker)) for worker in workers]

    async def stop(self) -> None:
        """End all workers. Running films are lost: the server stops only when there are none."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def read(
        self,
        film: bytes,
        name: str,
        map: int,
        client_left: Callable[[], Awaitable[bool]],
        label: str = "",
        batch: bool = False,
    ) -> WorkerAnswer:
        """Read one film as soon as a worker is free; `map`, `label` and `batch` as in `Job`.

        Raises:
            UnprocessableError: the film is broken, too large, too slow, or ends the workers that read it.
            UnavailableError: no worker is free in time, or none can be started.
            InternalError: a bug in the server.
            ClientDisconnect: the client has gone.
        """
        if self._failing and not self.ready:  # no worker would take it out of the queue
            raise UnavailableError("no worker can read films, and none starts; ask again later")
        job = Job(film, name, map, client_left, label, batch)
        self._jobs.put_nowait(job)
        try:
            async with asyncio.timeout(self._limits.max_wait_s):
                return await job.answer
        except TimeoutError:
            raise UnavailableError("no worker was free in time; ask again later") from None

    async def _supervise(self, worker: WorkerProcess | None) -> None:
        """Answer films with one worker; after its end, with another."""
        while True:
            worker = worker or await self._replacement()
            self._count(1)
            try:
                await self._serve(worker)
            except WorkerEndedError as ended:
                self._log("process ended", why=str(ended))
                self._metrics.ended.labels(str(ended)).inc()
            finally:
                self._count(-1)
                await worker.kill()
            worker = None

    async def _serve(self, worker: WorkerProcess) -> None:
        """Answer films with one worker. While it reads one it holds the next, so that it never waits for the server.

        Behind a film of a batch it holds none: a film sent alone may still come, and is read first.
        """
        ahead: Job | None = None
        try:
            while True:
                job = ahead or await self._send(worker, await self._next_job(worker))
                if job is None:
                    continue
                ahead = None
                if not (job.batch or self._idle or self._jobs.empty()):  # an idle worker reads it now
                    ahead = await self._send(worker, self._jobs.get_nowait())
                await self._receive(worker, job)
        finally:
            if ahead:  # never begun: another worker reads it
                self._jobs.put_nowait(ahead)

    async def _next_job(self, worker: WorkerProcess) -> Job:
        """The next film; notices as well when an idle worker ends."""
        waiting = asyncio.ensure_future(self._jobs.get())
        self._idle += 1
        try:
            await asyncio.wait({waiting, worker.ended}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
            raise WorkerEndedError("it was killed")
        finally:
            self._idle -= 1
            waiting.cancel()

    async def _send(self, worker: WorkerProcess, job: Job) -> Job | None:
        """The job, its film on the way to the worker; None if its client has gone."""
        if job.answer.done():
            return None
        if await job.client_left():
            job.fail(ClientDisconnect())
            return None
        worker.send(job.film, {"film": job.name, "map": job.map, "label": job.label})
        return job

    async def _receive(self, worker: WorkerProcess, job: Job) -> None:
        start = time.monotonic()
        try:
            self._finish(job, *await worker.answer())
        except TimeoutError:
            job.fail(UnprocessableError(f"{job.name}: not read within {self._limits.seconds:g} s"))
            raise WorkerEndedError("a film took too long") from None
        except WorkerEndedError:
            job.deaths += 1
            if job.deaths == 1:  # it may not be the film's fault
                self._jobs.put_nowait(job)
            else:
                job.fail(UnprocessableError(f"{job.name}: two workers ended while reading it; send a plain PNG of it"))
            raise
        finally:
            self._metrics.reading_seconds.observe(time.monotonic() - start)

    def _finish(self, job: Job, facts: dict[str, Any], overlay: bytes) -> None:
        if job.answer.done():
            return
        if "reading" in facts:
            job.answer.set_result(WorkerAnswer(facts["reading"], overlay))
        elif "refused" in facts:
            job.fail(UnprocessableError(facts["refused"]))
        else:
            self._log("fault", where=facts["failed"])
            job.fail(InternalError("a bug in this server; it is logged, please report it"))

    async def _replacement(self) -> WorkerProcess:
        pause = 0.1
        while True:
            try:
                worker = await start_worker(self._bundle, self._limits)
                self._failing = False
                return worker
            except (BundleError, OSError) as error:
                self._failing = True
                self._log("process does not start", why=str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_S)

    def _count(self, change: int) -> None:
        self.ready += change
        self._metrics.processes.set(self.ready)
