"""The node between a modality and an archive, all in one process."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE

import lucency.dicom.worker as work
import lucency.film.dicom
from dicom.films import film, gray
from dicom.peers import Archive, free_port, send, until
from lucency.dicom.deliver import Credentials, destination
from lucency.dicom.node import NodeConfig, start_scp
from lucency.dicom.queue import Queue
from lucency.dicom.worker import start
from lucency.reader import Reader

Begin = Callable[..., tuple[int, Queue]]


@pytest.fixture
def archive() -> Iterator[Archive]:
    one = Archive().open()
    yield one
    one.close()


@pytest.fixture
def log() -> list[tuple[str, str, str]]:
    return []


@pytest.fixture
def begin(
    tmp_path: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch, log: list[tuple[str, str, str]]
) -> Iterator[Begin]:
    """Start a node that answers to the archive at a port; its own port and queue."""
    monkeypatch.setattr(work, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(work, "LONGEST_PAUSE_S", 0.2)
    closing: list[Callable[[], None]] = []

    def logged(*words: str) -> None:
        log.append(words)  # type: ignore[arg-type]

    def one(to: int, **settings: Any) -> tuple[int, Queue]:
        queue, port, stop = Queue(tmp_path / "q"), free_port(), threading.Event()
        config = NodeConfig(**{"port": port, "callers": ("MODALITY",), **settings})
        close = start_scp(config, queue, reader.bundle.digest, Credentials(), logged)
        send_to = destination(f"dicom://ARCHIVE@127.0.0.1:{to}", "LUCENCY", Credentials())
        threads = start(queue, reader, send_to, stop, logged)

        def end() -> None:
            close()
            stop.set()
            for thread in threads:
                thread.join()

        closing.append(end)
        return port, queue

    yield one
    for end in closing:
        end()


def done(queue: Queue, films: int) -> Callable[[], bool]:
    return lambda: queue.counts()["delivered"] == films


def test_films_in_reports_and_overlays_out(begin: Begin, archive: Archive) -> None:
    port, queue = begin(archive.port)
    assert [answer.Status for answer in send(port, [film(1), film(2)])] == [0, 0]
    until(done(queue, 2))
    assert len(archive.arrived) == 4
    assert set(archive.films) == {"1.2.3.4.5.1", "1.2.3.4.5.2"}


def test_echo(begin: Begin, archive: Archive) -> None:
    port, _ = begin(archive.port)
    node = AE(ae_title="MODALITY")
    node.add_requested_context("1.2.840.10008.1.1")
    association = node.associate("127.0.0.1", port, ae_title="LUCENCY")
    assert association.send_c_echo().Status == 0
    association.release()


def test_a_repeat_is_acknowledged_and_not_answered_again(begin: Begin, archive: Archive) -> None:
    port, queue = begin(archive.port)
    send(port, [film(1)])
    until(done(queue, 1))
    assert [answer.Status for answer in send(port, [film(1), film(1)])] == [0, 0]
    time.sleep(0.5)
    assert all(len(arrivals) == 1 for arrivals in archive.arrived.values())


def test_another_film_under_a_known_uid_is_refused(
    begin: Begin, archive: Archive, log: list[tuple[str, str, str]]
) -> None:
    port, queue = begin(archive.port, drop=True)
    other = film(1, PatientID="P8", PatientName="Other^Patient"), film(1, pixels=gray(96))
    assert [answer.Status for answer in send(port, [film(1), *other, film(1)])] == [0, 0x0111, 0x0111, 0]
    until(done(queue, 1))
    assert [words[0] for words in log if words[0] in ("received", "refused")] == [
        "received",
        "refused",
        "refused",
        "received",
    ]
    assert len(archive.arrived) == 2


def test_a_film_is_parsed_and_decoded_once(begin: Begin, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """From C-STORE to the answer; it used to be parsed four times and decoded twice."""
    calls: list[str] = []
    for name in ("dcmread", "pixel_array"):
        plain = getattr(lucency.film.dicom, name)
        count = lambda *args, name=name, plain=plain, **options: calls.append(name) or plain(*args, **options)  # noqa: E731
        monkeypatch.setattr(lucency.film.dicom, name, count)
    port, queue = begin(archive.port)
    send(port, [film(1)])
    until(done(queue, 1))
    assert calls == ["dcmread", "pixel_array"]


def test_strangers_and_those_who_call_another_are_turned_away(begin: Begin, archive: Archive) -> None:
    port, queue = begin(archive.port)
    assert send(port, [film(1)], calling="STRANGER") == []
    assert send(port, [film(1)], called="OTHER") == []
    assert sum(queue.counts().values()) == 0


REFUSED = {
    "lateral": ({"ViewPosition": "LL"}, 0xA900, "view LL"),
    "hand": ({"BodyPartExamined": "HAND"}, 0xA900, "body part HAND"),
    "for processing": ({"PresentationIntentType": "FOR PROCESSING"}, 0xA900, "FOR PROCESSING"),
    "frames": ({"NumberOfFrames": 2}, 0xA900, "2 frames"),
    "broken": ({"Rows": 900}, 0xC000, "cannot be decoded"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_answered_is_refused_and_stored_nowhere(
    begin: Begin, archive: Archive, log: list[tuple[str, str, str]], case: str
) -> None:
    header, code, words = REFUSED[case]
    port, queue = begin(archive.port)
    (answer,) = send(port, [film(**header)])
    assert answer.Status == code
    assert words in answer.ErrorComment
    assert sum(queue.counts().values()) == 0
    assert log[0][0] == "refused"
    assert "P7" not in str(log)
    assert "ller" not in str(log)


def test_or_dropped_where_its_sender_would_repeat_it_for_ever(begin: Begin, archive: Archive) -> None:
    port, queue = begin(archive.port, drop=True)
    assert [answer.Status for answer in send(port, [film(ViewPosition="LL")])] == [0]
    assert sum(queue.counts().values()) == 0


def test_a_dead_archive_loses_nothing(begin: Begin, log: list[tuple[str, str, str]]) -> None:
    archive = Archive()
    port, queue = begin(archive.port)
    assert [answer.Status for answer in send(port, [film(n) for n in range(1, 6)])] == [0] * 5
    until(lambda: sum(words[0] == "waits" for words in log) >= 4)
    assert queue.counts()["delivered"] == 0
    archive.open()
    until(done(queue, 5))
    archive.close()
    assert {uid: len(arrivals) for uid, arrivals in archive.arrived.items()} == dict.fromkeys(archive.arrived, 1)
    assert len(archive.films) == 5


def test_an_archive_that_refuses_is_asked_five_times(begin: Begin, log: list[tuple[str, str, str]]) -> None:
    archive = Archive(status=0xC123).open()
    port, queue = begin(archive.port)
    send(port, [film(1)])
    until(lambda: queue.counts()["dead"] == 1)
    assert sum(words[0] == "refused" for words in log) == work.MAX_REFUSALS - 1
    assert queue.dead()[0].reason == "the destination answered the report with 0xC123"
    archive.status = 0
    assert queue.retry() == 1
    until(done(queue, 1))
    archive.close()


def test_a_full_archive_is_waited_for(begin: Begin, log: list[tuple[str, str, str]]) -> None:
    archive = Archive(status=0xA700).open()
    port, queue = begin(archive.port)
    send(port, [film(1)])
    until(lambda: sum(words[0] == "waits" for words in log) > work.MAX_REFUSALS + 1)
    archive.status = 0
    until(done(queue, 1))
    archive.close()


def test_a_full_queue_asks_the_sender_to_wait(begin: Begin) -> None:
    port, queue = begin(free_port(), most_waiting=2)
    assert [answer.Status for answer in send(port, [film(n) for n in (1, 2, 3)])] == [0, 0, 0xA700]
    assert queue.unfinished() == 2


def test_a_full_disk_asks_the_sender_to_wait(
    begin: Begin, archive: Archive, monkeypatch: pytest.MonkeyPatch, log: list[tuple[str, str, str]]
) -> None:
    port, queue = begin(archive.port)

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(queue, "put", full)
    assert [answer.Status for answer in send(port, [film(1)])] == [0xA700]
    assert log[0][0] == "busy"


def test_a_film_that_ends_the_program_is_given_up(
    tmp_path: Path, reader: Reader, log: list[tuple[str, str, str]]
) -> None:
    queue = Queue(tmp_path / "q")
    queue.put("1.2.3.4.5.1", film(1), "digest")
    for _ in range(work.MAX_CRASHES):
        queue.begin()  # and no end, as after a crash of a decoder
    assert work.read_one(queue, reader, lambda *words: log.append(words))
    assert "ended the program" in queue.dead()[0].reason


def test_an_object_too_large_ends_the_association(begin: Begin, archive: Archive) -> None:
    import numpy as np

    port, queue = begin(archive.port, largest=2**20)
    large = film(1, pixels=np.zeros((1200, 1200), dtype=np.uint16))  # 2.75 MiB
    assert not any(answer.get("Status") == 0 for answer in send(port, [large]))
    assert sum(queue.counts().values()) == 0
    assert [answer.Status for answer in send(port, [film(2)])] == [0]


def test_a_unit_that_claims_gigabytes_is_hung_up_on(begin: Begin, archive: Archive) -> None:
    port, _ = begin(archive.port, patience_s=2.0)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as caller:
        caller.sendall(struct.pack(">BBL", 1, 0, 2**31) + b"x" * 4096)
        caller.settimeout(20)
        with contextlib.suppress(ConnectionResetError):
            while caller.recv(4096):
                pass
    assert [answer.Status for answer in send(port, [film(2)])] == [0]


def test_a_caller_who_says_nothing_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, the thread that spoke with it ended with a traceback, "Invalid event 'Evt15' for the state 'Sta2'"."""
    failed: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    port = free_port()
    close = start_scp(NodeConfig(port=port), Queue(tmp_path / "q"), "digest", Credentials())
    with socket.create_connection(("127.0.0.1", port)) as silent:
        silent.settimeout(10)
        until(lambda: any(_listens(thread) for thread in threading.enumerate()))
        close()
        with contextlib.suppress(ConnectionResetError):
            assert silent.recv(1) == b""
    until(lambda: not any(_listens(thread) for thread in threading.enumerate()), 10)
    assert failed == []


@pytest.mark.long
def test_connections_that_close_or_say_nothing_shut_nobody_out(begin: Begin, archive: Archive) -> None:
    """Eight of them used to fill all places, for a minute."""
    port, queue = begin(archive.port)
    for _ in range(50):
        socket.create_connection(("127.0.0.1", port)).close()
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(12)]
    assert [answer.Status for answer in send(port, [film(1)])] == [0]
    for one in silent:
        one.close()
    until(lambda: not any(_listens(thread) for thread in threading.enumerate()), 10)
    assert [answer.Status for answer in send(port, [film(2)])] == [0]
    until(done(queue, 2))


def test_the_places_of_those_who_named_themselves_are_bounded(begin: Begin, archive: Archive) -> None:
    port, _ = begin(archive.port, associations=2)
    node = AE(ae_title="MODALITY")
    node.add_requested_context("1.2.840.10008.1.1")
    callers = [node.associate("127.0.0.1", port, ae_title="LUCENCY") for _ in range(3)]
    assert [caller.is_established for caller in callers] == [True, True, False]
    callers[0].release()
    until(lambda: node.associate("127.0.0.1", port, ae_title="LUCENCY").is_established, 10)
    node.shutdown()


def test_on_a_full_disk_films_are_refused_and_answers_still_delivered(
    begin: Begin, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, queue = begin(archive.port)
    send(port, [film(1)])
    until(done(queue, 1))
    queue.give_reserve()  # as when a write failed
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(2**30, 2**30, 0))
    assert [answer.Status for answer in send(port, [film(2)])] == [0xA700]
    queue.put("1.2.3.4.5.3", film(3), "d")
    until(lambda: queue.counts()["delivered"] == 2)
    monkeypatch.undo()
    queue.keep_reserve()
    assert [answer.Status for answer in send(port, [film(2)])] == [0]


def _listens(thread: Any) -> bool:
    """Whether it waits for a caller's first word."""
    return "AcceptorThread" in thread.name and thread.dul.state_machine.current_state == "Sta2"
