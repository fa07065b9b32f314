"""Kill -9 of the node at random moments under a stream of films: each acknowledged film is answered exactly once."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom.films import film
from dicom.peers import Archive, free_port, send, until
from lucency.dicom.queue import Queue

pytestmark = pytest.mark.long


class Node:
    """`lucency pacs serve` as a program of its own, which may be killed and started again."""

    def __init__(self, folder: Path, bundle: Path, archive: int) -> None:
        self.port, self.queue = free_port(), folder / "queue"
        self._log = folder / "log"
        self._words = [sys.executable, "-m", "lucency", "pacs", "serve", "--allow", "MODALITY"]
        self._words += ["--port", str(self.port), "--bundle", str(bundle), "--queue", str(self.queue)]
        self._words += ["--to", f"dicom://ARCHIVE@127.0.0.1:{archive}"]

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._words, stderr=log, stdout=log)
        until(self._listens, 600)  # other work may leave little of a machine for a test

    def kill(self, number: int = signal.SIGKILL) -> int:
        self._process.send_signal(number)
        return self._process.wait(60)

    def logged(self) -> str:
        return self._log.read_text()

    def _listens(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def node(tmp_path: Path, bundle: Path, archive: Archive) -> Iterator[Node]:
    one = Node(tmp_path, bundle, archive.port)
    one.start()
    yield one
    one.kill()


@pytest.fixture
def archive() -> Iterator[Archive]:
    one = Archive().open()
    yield one
    one.close()


def stream(port: int, films: int, acknowledged: set[int], rng: random.Random) -> None:
    """Send each film until it is acknowledged, as a modality does; now and then one again that was already."""
    waiting = list(range(1, films + 1))
    while waiting:
        batch = waiting[:10] + rng.sample(sorted(acknowledged), min(2, len(acknowledged)))
        answers = send(port, [film(number) for number in batch])
        for number, answer in zip(batch, answers, strict=False):
            if answer.get("Status") == 0:
                acknowledged.add(number)
        waiting = [number for number in waiting if number not in acknowledged]
        if not answers:
            time.sleep(0.2)


@pytest.mark.parametrize(
    ("films", "kills"), [(12, 2), pytest.param(1000, 20, marks=pytest.mark.slow)], ids=["small", "whole"]
)
def test_each_acknowledged_film_is_answered_exactly_once(node: Node, archive: Archive, films: int, kills: int) -> None:
    rng, acknowledged = random.Random(7), set[int]()
    sender = threading.Thread(daemon=True, target=stream, args=(node.port, films, acknowledged, random.Random(8)))
    sender.start()
    for kill in range(kills):
        # Spread over the stream, and never at the same point of the work in hand.
        until(lambda after=kill * films // kills: len(acknowledged) >= after, 600)
        time.sleep(rng.uniform(0.0, 0.7))
        node.kill()
        node.start()
    sender.join()
    assert acknowledged == set(range(1, films + 1))
    queue = Queue(node.queue)
    until(lambda: queue.unfinished() == 0, 600)
    assert queue.counts() == {"waiting": 0, "answered": 0, "delivered": films, "dead": 0}
    assert node.kill(signal.SIGTERM) == 0
    # Two objects a film, each with one content however often it came.
    assert len(archive.arrived) == 2 * films
    assert {len(set(hashes)) for hashes in archive.arrived.values()} == {1}
    assert set(archive.films) == {f"1.2.3.4.5.{number}" for number in range(1, films + 1)}
    assert all(len(overlays) == 1 for overlays in archive.films.values())
    again = sum(len(hashes) - 1 for hashes in archive.arrived.values())
    print(f"{films} films, {kills} kills: {len(archive.arrived)} objects, {again} of them sent again, identical")
    logged = node.logged()
    assert "Traceback" not in logged
    assert "P7" not in logged
    assert "Zo" not in logged


def test_ctrl_c_ends_it_cleanly(node: Node) -> None:
    assert node.kill(signal.SIGINT) == 0
    assert "Traceback" not in node.logged()
