"""The queue and its processes, with processes that do as they are told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from lucency.bundle import open_bundle
from lucency.errors import BundleError
from lucency.serve import pool as module
from lucency.serve.middleware import InternalError, Metrics, Refusal, UnavailableError, UnprocessableError
from lucency.serve.pool import Pool, WorkerAnswer, WorkerEndedError
from lucency.serve.settings import Limits
from lucency.serve.worker import Frame

Ask = Callable[[bytes], Awaitable[Frame]]
READ: Frame = ({"reading": {"verdict": "normal"}}, b"")


class Obedient:
    """Stands in for `Process`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._sent: list[bytes] = []
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def send(self, film: bytes, request: dict[str, Any]) -> None:
        self._sent.append(film)

    async def answer(self) -> Frame:
        return await self._ask(self._sent.pop(0))

    async def kill(self) -> None:
        if not self.ended.done():
            self.ended.set_result(-9)


class Stage:
    """A pool whose processes are obedient."""

    def __init__(self, bundle: Path, monkeypatch: pytest.MonkeyPatch, ask: Ask, size: int = 1) -> None:
        self.started: list[Obedient] = []
        self.printed: list[tuple[str, dict[str, Any]]] = []
        opened = open_bundle(bundle)

        async def start(*_: object) -> Obedient:
            self.started.append(Obedient(ask))
            return self.started[-1]

        monkeypatch.setattr(module, "start_worker", start)
        monkeypatch.setattr(module, "WorkerProcess", Obedient)
        log = lambda event, **facts: self.printed.append((event, facts))  # noqa: E731
        self.pool = Pool(opened, size, Limits(seconds=1.0), Metrics(opened), log)

    async def read(self, film: bytes = b"film", left: bool = False, batch: bool = False) -> WorkerAnswer:
        async def has_left() -> bool:
            return left

        return await self.pool.read(film, "film", False, has_left, batch=batch)


def play(stage: Stage, scene: Callable[[], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        await stage.pool.start()
        try:
            async with asyncio.timeout(20):
                return await scene()
        finally:
            await stage.pool.stop()

    return asyncio.run(whole())


def refused(stage: Stage, kind: type[Exception], printed: str | None = None, left: bool = False) -> None:
    async def scene() -> None:
        with pytest.raises(kind, match=printed):
            await stage.read(left=left)

    play(stage, scene)


async def reads(_: bytes) -> Frame:
    return READ


def dies(times: int) -> Ask:
    left = [times]

    async def ask(_: bytes) -> Frame:
        left[0] -= 1
        if left[0] >= 0:
            raise WorkerEndedError("it crashed")
        return READ

    return ask


def test_a_film_is_read(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(bundle, monkeypatch, reads)
    assert play(stage, stage.read).reading == {"verdict": "normal"}


def test_films_are_read_side_by_side_and_no_more_at_once_than_processes(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = most = 0

    async def ask(_: bytes) -> Frame:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return READ

    stage = Stage(bundle, monkeypatch, ask, size=3)
    answers = play(stage, lambda: asyncio.gather(*(stage.read() for _ in range(20))))
    assert len(answers) == 20
    assert most == 3


def test_one_death_is_not_held_against_a_film(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(bundle, monkeypatch, dies(1))
    assert play(stage, stage.read).reading == {"verdict": "normal"}
    assert len(stage.started) == 2
    assert stage.printed == [("process ended", {"why": "it crashed"})]


def test_two_deaths_are(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(Stage(bundle, monkeypatch, dies(2)), UnprocessableError, "film: two workers ended while reading it")


def test_after_a_film_that_kills_another_is_read(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(film: bytes) -> Frame:
        if film == b"poison":
            raise WorkerEndedError("it crashed")
        return READ

    stage = Stage(bundle, monkeypatch, ask)

    async def scene() -> list[Any]:
        return await asyncio.gather(stage.read(b"poison"), stage.read(), stage.read(), return_exceptions=True)

    poison, *others = play(stage, scene)
    assert isinstance(poison, UnprocessableError)
    assert all(isinstance(each, WorkerAnswer) for each in others)


def test_the_film_held_behind_one_that_kills_is_not_blamed(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice it is sent to a process that another film ends, and it is read all the same."""

    async def ask(film: bytes) -> Frame:
        if film.startswith(b"poison"):
            raise WorkerEndedError("it crashed")
        return READ

    stage = Stage(bundle, monkeypatch, ask)

    async def scene() -> list[Any]:
        films = (b"poison", b"film", b"poison too", b"film")
        return await asyncio.gather(*map(stage.read, films), return_exceptions=True)

    first, second, third, last = play(stage, scene)
    assert isinstance(first, UnprocessableError)
    assert isinstance(third, UnprocessableError)
    assert isinstance(second, WorkerAnswer)
    assert isinstance(last, WorkerAnswer)


def test_a_process_holds_the_next_film_while_it_reads(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = []

    async def ask(_: bytes) -> Frame:
        await asyncio.sleep(0.01)
        held.append(len(stage.started[0]._sent))
        return READ

    stage = Stage(bundle, monkeypatch, ask)
    play(stage, lambda: asyncio.gather(*(stage.read() for _ in range(4))))
    assert held == [1, 1, 1, 0]


def test_an_idle_process_is_not_passed_over(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = []

    async def ask(film: bytes) -> Frame:
        busy.append(sum(len(each._sent) for each in stage.started))
        await asyncio.sleep(0.01)
        return READ

    stage = Stage(bundle, monkeypatch, ask, size=2)
    play(stage, lambda: asyncio.gather(stage.read(), stage.read()))
    assert busy == [0, 0]  # the second was begun at once by the other process, not held behind the first


def test_a_film_sent_alone_waits_for_one_of_a_batch_at_most_and_no_batch_for_ever(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three batches and four films alone arrive while a film of a batch is read: they take turns, those alone first."""
    order = []

    async def ask(film: bytes) -> Frame:
        order.append(film)
        await asyncio.sleep(0.01)
        return READ

    stage = Stage(bundle, monkeypatch, ask)
    films = (b"batch", b"batch", b"batch", b"alone", b"alone", b"alone", b"alone")

    async def scene() -> None:
        first = asyncio.ensure_future(stage.read(b"first", batch=True))
        while not order:
            await asyncio.sleep(0)
        await asyncio.gather(first, *(stage.read(film, batch=film == b"batch") for film in films))

    play(stage, scene)
    assert order == [b"first", *(b"alone", b"batch") * 3, b"alone"]


def test_a_film_that_takes_too_long_costs_its_process(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(_: bytes) -> Frame:
        raise TimeoutError

    stage = Stage(bundle, monkeypatch, ask)
    refused(stage, UnprocessableError, "film: not read within 1 s")
    assert stage.started[0].ended.done()


def test_a_process_that_ends_idle_is_replaced(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(bundle, monkeypatch, reads)

    async def scene() -> WorkerAnswer:
        await asyncio.sleep(0)
        stage.started[0].ended.set_result(-9)
        while len(stage.started) < 2:
            await asyncio.sleep(0.01)
        return await stage.read()

    assert play(stage, scene).reading == {"verdict": "normal"}


def test_who_has_left_is_not_read_for(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def ask(film: bytes) -> Frame:
        asked.append(film)
        return READ

    refused(Stage(bundle, monkeypatch, ask), ClientDisconnect, left=True)
    assert asked == []


def test_a_fault_is_logged_and_told_without_details(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(_: bytes) -> Frame:
        return {"failed": "ValueError at gray.py:7"}, b""

    stage = Stage(bundle, monkeypatch, ask)
    refused(stage, InternalError, "a bug in this server")
    assert stage.printed == [("fault", {"where": "ValueError at gray.py:7"})]


def test_no_process_in_time(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(_: bytes) -> Frame:
        await asyncio.sleep(60)
        return READ

    refused(Stage(bundle, monkeypatch, ask), UnavailableError, "ask again later")


def test_a_bundle_that_cannot_be_opened_ends_the_start(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(bundle, monkeypatch, reads)

    async def start(*_: object) -> None:
        raise BundleError("gone")

    monkeypatch.setattr(module, "start_worker", start)
    with pytest.raises(BundleError, match="gone"):
        asyncio.run(stage.pool.start())


def test_nothing_is_kept_waiting_for_processes_that_do_not_start(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(bundle, monkeypatch, reads)

    async def scene() -> None:
        async def start(*_: object) -> None:
            raise BundleError("has changed")

        monkeypatch.setattr(module, "start_worker", start)
        stage.started[0].ended.set_result(-9)
        while stage.printed[-1:] != [("process does not start", {"why": "has changed"})]:
            await asyncio.sleep(0.01)
        with pytest.raises(UnavailableError, match="none starts"):
            await stage.read()

    play(stage, scene)


def test_every_refusal_has_a_status() -> None:
    assert {kind.status for kind in Refusal.__subclasses__()} == {400, 401, 403, 408, 413, 422, 500, 503}


LATE = """
import struct, sys, time
def send(facts, content=b""):
    sys.stdout.buffer.write(struct.pack(">II", len(facts), len(content)) + facts + content)
    sys.stdout.buffer.flush()
send(b'{"digest": "%s"}' % sys.argv[1].encode())
sys.stdin.buffer.read(8)
time.sleep(0.9)
send(b'{}', bytes(2**27))
"""
"""A worker whose answer, 128 MiB long, is on its way when its time is over: the pipe is paused behind it."""


def test_a_worker_killed_behind_a_full_pipe_is_replaced(bundle: Path, tmp_path: Path) -> None:
    """Asyncio does not see the end of such a process, so the pool must not wait for it: six times, then all is well."""
    opened, late = open_bundle(bundle), tmp_path / "late.py"
    late.write_text(LATE, encoding="utf-8")
    metrics = Metrics(opened)
    pool = Pool(opened, 1, Limits(seconds=1.0), metrics, lambda *_, **__: None)

    async def start(*_: object) -> module.WorkerProcess:
        child = await asyncio.create_subprocess_exec(
            sys.executable, str(late), opened.digest, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        worker = module.WorkerProcess(child, 60.0)
        assert await worker.answer() == ({"digest": opened.digest}, b"")
        worker.seconds = 1.0
        return worker

    async def there() -> bool:
        return False

    async def scene() -> float:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(module, "start_worker", start)
            await pool.start()
            for _ in range(6):
                with pytest.raises((UnprocessableError, UnavailableError)):
                    await pool.read(b"film", "film", True, there)
                async with asyncio.timeout(60):
                    while not pool.ready:
                        await asyncio.sleep(0.01)
            begun = asyncio.get_running_loop().time()
            await pool.stop()
            return asyncio.get_running_loop().time() - begun

    assert asyncio.run(scene()) < 2 * module.KILL_S + 3
