"""The queue: each step once, whatever stops in between."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lucency.dicom.answer import Part
from lucency.dicom.queue import Queue, lock
from lucency.errors import FILM_CONFLICT, FilmError, OutputError, UsageError

PARTS = (Part("report", "1.1", b"report bytes"), Part("overlay", "1.2", b"overlay bytes"))


def test_from_film_to_delivered(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "q")
    assert queue.put("1.2.3", b"the film", "digest")
    item = queue.begin()
    assert item is not None
    assert (item.film, item.tries) == (b"the film", 0)
    queue.answered(item.key, "digest", PARTS)
    assert queue.begin() is None
    due = queue.due(0)
    assert due is not None
    assert due.parts == PARTS
    queue.delivered(due.key)
    assert queue.counts() == {"waiting": 0, "answered": 0, "delivered": 1, "dead": 0}


def test_a_repeat_is_not_taken_but_for_another_bundle(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "q")
    assert queue.put("1.2.3", b"film", "one")
    assert not queue.put("1.2.3", b"film", "one")
    assert not queue.put("1.2.3", b"film", "two")  # it waits, and whoever reads it answers it
    key = queue.begin().key  # type: ignore[union-attr]
    queue.answered(key, "one", PARTS)
    queue.delivered(key)
    assert not queue.put("1.2.3", b"film", "one")
    assert queue.put("1.2.3", b"film", "two")


def test_it_survives_being_opened_anew(tmp_path: Path) -> None:
    Queue(tmp_path / "q").put("1.2.3", b"film", "d")
    again = Queue(tmp_path / "q")
    assert again.begin().tries == 0  # type: ignore[union-attr]
    assert Queue(tmp_path / "q").begin().tries == 1  # type: ignore[union-attr]


def test_nothing_of_a_delivered_film_is_left_in_any_file(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "q")
    secret = b"Zebra^Zacharias" * 1000
    queue.put("1.2.3.4.5.6.7.8", secret, "d")
    there = [path for path in (tmp_path / "q").iterdir() if b"Zebra^Zach" in path.read_bytes()]
    assert there  # so that the search below can find something
    key = queue.begin().key  # type: ignore[union-attr]
    queue.answered(key, "d", (Part("report", "9", secret),))
    queue.delivered(key)
    queue.tidy()
    for path in (tmp_path / "q").iterdir():
        assert b"Zebra^Zach" not in path.read_bytes()
        assert b"1.2.3.4.5.6.7.8" not in path.read_bytes()


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    Queue(tmp_path / "q")
    assert (tmp_path / "q").stat().st_mode & 0o077 == 0


def test_a_destination_that_is_down_holds_all_and_releases_all(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "q")
    for uid in ("1", "2"):
        queue.put(uid, b"film", "d")
        queue.answered(queue.begin().key, "d", PARTS)  # type: ignore[union-attr]
    queue.hold(1, due=100.0, reason="down")
    assert queue.due(99.0) is None
    due = queue.due(100.0)
    assert due is not None
    assert due.tries == 1
    queue.delivered(due.key)
    queue.hold(2, due=200.0, reason="down")
    queue.release()
    assert queue.due(0.0) is not None


def test_the_dead_tell_why_and_can_go_round_again_or_be_forgotten(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "q")
    queue.put("1", b"film", "d")
    queue.bury(queue.begin().key, "broken")  # type: ignore[union-attr]
    assert [one.reason for one in queue.dead()] == ["broken"]
    assert queue.retry() == 1
    assert queue.begin().film == b"film"  # type: ignore[union-attr]
    queue.answered(queue.begin().key, "d", PARTS)  # type: ignore[union-attr]
    queue.bury(queue.due(0).key, "unwanted")  # type: ignore[union-attr]
    assert queue.retry() == 1
    assert queue.due(0).parts == PARTS  # type: ignore[union-attr]
    queue.bury(queue.due(0).key, "unwanted")  # type: ignore[union-attr]
    assert queue.forget_dead() == 1
    assert sum(queue.counts().values()) == 0


def test_one_program_at_a_time(tmp_path: Path) -> None:
    Queue(tmp_path / "q")
    held = lock(tmp_path / "q")
    with pytest.raises(UsageError, match="another lucency pacs"):
        lock(tmp_path / "q")
    held.close()
    lock(tmp_path / "q").close()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "q").write_text("a file")
    with pytest.raises(OutputError, match="choose another --queue"):
        Queue(tmp_path / "q")


def test_a_commit_waits_for_the_disk(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "q")
    assert queue._rows("PRAGMA synchronous") == [(2,)]
    with closing(sqlite3.connect(tmp_path / "q" / "queue.sqlite")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("state", ["waiting", "answered", "delivered", "dead"])
def test_another_film_under_a_known_uid_is_refused(tmp_path: Path, state: str) -> None:
    queue = Queue(tmp_path / "q")
    queue.put("1", b"film", "d", "content")
    key = queue.begin().key  # type: ignore[union-attr]
    if state in ("answered", "delivered"):
        queue.answered(key, "d", PARTS)
    if state == "delivered":
        queue.delivered(key)
    if state == "dead":
        queue.bury(key, "broken")
    assert not queue.put("1", b"the same, packed otherwise", "d", "content")
    for digest in ("d", "another bundle"):
        with pytest.raises(FilmError, match="another film under a UID") as caught:
            queue.put("1", b"other", digest, "other content")
        assert caught.value.code == FILM_CONFLICT
    assert queue.counts()[state] == 1


def test_a_queue_of_an_earlier_version_is_opened(tmp_path: Path) -> None:
    Queue(tmp_path / "q").put("1", b"film", "d")
    with closing(sqlite3.connect(tmp_path / "q" / "queue.sqlite")) as database, database:
        database.execute("ALTER TABLE films DROP COLUMN content")
    queue = Queue(tmp_path / "q")
    assert queue.begin().film == b"film"  # type: ignore[union-attr]
    assert not queue.put("1", b"film", "d", "content")
