"""Under load for a while: readers and servers are killed and started again, and nobody is left without an answer."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from .running import Server, film, running, until
from .test_broken import resident

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")]


class Clients:
    """So many, each with a connection of its own, that ask again as soon as they are answered."""

    def __init__(self, address: str, number: int) -> None:
        self.met: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._address, self._number = address, number
        self._enough = threading.Event()

    def during(self, scene: Callable[[], None]) -> Counter[str]:
        """What they have met while `scene` was played; each of them ends with an answer or a plain failure."""
        with ThreadPoolExecutor(self._number) as pool:
            asking = [pool.submit(self._ask, number) for number in range(self._number)]
            try:
                scene()
            finally:
                self._enough.set()
            for each in asking:
                each.result()
        return self.met

    def answered(self, more: int) -> None:
        """Wait until so many more have been read."""
        enough = self.met["read"] + more
        until(lambda: self.met["read"] >= enough)

    def _ask(self, number: int) -> None:
        with httpx.Client(timeout=120) as client:
            while not self._enough.is_set():
                number += self._number
                gray = 20 + number % 200
                try:
                    self._note(client.post(f"{self._address}/v1/read", content=film(gray)), gray)
                except httpx.TimeoutException:
                    self.met["hung"] += 1
                except httpx.TransportError:
                    self.met["connection lost"] += 1
                    time.sleep(0.05)

    def _note(self, answer: httpx.Response, gray: int) -> None:
        if answer.status_code == 200:
            # One of 1,024 pixels is a gray darker: a 64th of a gray for a square of 8 × 8, less for all of them.
            if abs(answer.json()["logit"] - (gray - 128) / 16) > 0.01:
                self.wrong.append(f"gray {gray}: {answer.text}")
            self.met["read"] += 1
        elif answer.status_code == 503 and "retry-after" in answer.headers:
            self.met["told to come again"] += 1
        else:
            self.wrong.append(answer.text)


def test_readers_killed_again_and_again_cost_no_film(bundle: Path) -> None:
    with running(bundle, "--workers", "2", "--timeout", "100") as server:
        clients = Clients(server.address, 8)

        def scene() -> None:
            for turn in range(12):
                readers = server.readers()
                with suppress(ProcessLookupError):
                    os.kill(readers[turn % len(readers)], signal.SIGKILL)
                clients.answered(20)
                until(lambda: len(server.readers()) == 2)
                until(lambda: server.metric("lucency_processes") == 2)

        met = clients.during(scene)
    print(f"12 readers killed under 8 clients: {dict(met)}")
    assert not clients.wrong
    assert set(met) <= {"read", "told to come again"}


def test_servers_stopped_and_killed_under_load(bundle: Path) -> None:
    with running(bundle, "--workers", "2", "--timeout", "100") as first:
        port = first.address.rpartition(":")[2]
        clients = Clients(first.address, 8)

        def scene() -> None:
            clients.answered(50)
            assert first.stop() == 0
            stopped = read_by(first)
            assert stopped == clients.met["read"]  # what was read before the end has arrived, every one
            with running(bundle, "--workers", "2", "--timeout", "100", "--port", port) as second:
                clients.answered(50)
                second.stop(signal.SIGKILL)
            with running(bundle, "--workers", "2", "--timeout", "100", "--port", port):
                clients.answered(50)

        met = clients.during(scene)
    print(f"a server stopped, then one killed, under 8 clients: {dict(met)}")
    assert not clients.wrong
    assert not met["hung"]
    assert met["read"] >= 150


def read_by(server: Server) -> int:
    return sum(event.get("route") == "/v1/read" and event["status"] == 200 for event in server.events)


def test_memory_stays(bundle: Path) -> None:
    with running(bundle, "--workers", "2", "--timeout", "100") as server:
        pids = [server.process.pid, *server.readers()]
        clients = Clients(server.address, 8)
        held: list[list[int]] = []

        def scene() -> None:
            for _ in range(4):
                clients.answered(750)
                held.append([resident(pid) for pid in pids])

        met = clients.during(scene)
        assert server.readers() == pids[1:]
    print(f"{met['read']} films; MiB resident after each quarter (server, then its processes): {held}")
    assert set(met) == {"read"}
    assert not clients.wrong
    assert all(late < early + 16 for early, late in zip(held[1], held[-1], strict=True))
