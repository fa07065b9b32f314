"""Films that wait for their answers and answers that wait to be delivered, in one SQLite file.

Each step is one transaction, on the disk before anything else learns of it:

    waiting ──► answered ──► delivered          the film leaves the file with the second, its answer with the third
        └───────────┴──────► dead               with the reason; `lucency pacs retry` retries it

A delivered film leaves its key, a hash, so that it is not answered again when its sender repeats it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lucency.dicom.acceptance import Accepted, conflict
from lucency.dicom.answer import Part
from lucency.errors import OutputError, UsageError

STATES = ("waiting", "answered", "delivered", "dead")
MAX_DECODED = 50_000_000
"""Pixels of waiting films that are kept decoded, so that each is decoded once; the rest is decoded again."""
RESERVE = 32 * 2**20
"""Bytes on the disk that are given back when it is full: delivering, which frees space, needs some first."""
ANSWER_BYTES = 6 * 2**20
"""An answer at most."""
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS films (
        key TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        digest TEXT NOT NULL,
        received REAL NOT NULL,
        due REAL NOT NULL DEFAULT 0,
        tries INTEGER NOT NULL DEFAULT 0,
        refused INTEGER NOT NULL DEFAULT 0,
        reason TEXT NOT NULL DEFAULT '',
        film BLOB,
        content TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX IF NOT EXISTS by_state ON films (state, due);
    CREATE TABLE IF NOT EXISTS parts (
        key TEXT NOT NULL, what TEXT NOT NULL, uid TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (key, what)
    );
"""


@dataclass(frozen=True)
class Item:
    """A film or answer whose turn it is."""

    key: str
    tries: int
    """How often this film's reading began before; of an answer, how often the destination could not be asked."""
    film: bytes = b""
    """Of a waiting film, the DICOM file."""
    accepted: Accepted | None = None
    """The same, decoded, unless too many wait or the program was restarted."""
    parts: tuple[Part, ...] = ()
    """Of an answered one, what to deliver."""
    refused: int = 0
    """How often the destination refused that."""


@dataclass(frozen=True)
class Dead:
    """A film that was given up."""

    key: str
    received: float
    """Seconds since 1970."""
    reason: str


def key_of(uid: str) -> str:
    """What a film is called in the queue and in logs: a hash of its SOP Instance UID, 32 hexadecimal digits."""
    return hashlib.sha256(uid.encode()).hexdigest()[:32]


def lock(folder: Path) -> sqlite3.Connection:
    """Be the one program that works this queue off, until the connection is closed or the program ends, however.

    Raises:
        UsageError: another one does already.
    """
    held = sqlite3.connect(folder / "lock.sqlite", timeout=0, isolation_level=None, check_same_thread=False)
    try:
        held.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        held.close()
        raise UsageError(f"{folder}: expected a queue at rest, another lucency pacs works on it; stop that") from None
    return held


class Queue:
    """The queue in a folder. May be shared between threads, and between processes."""

    def __init__(self, folder: Path, look: bool = False) -> None:
        """Open or begin the queue; only its owner may look into the folder.

        Args:
            folder: of the queue.
            look: only read it, which needs no room on the disk.

        Raises:
            OutputError: it cannot be written, or read, there.
        """
        self.folder = folder
        self._lock = threading.Lock()
        self._decoded: dict[str, Accepted] = {}
        self._database = _look(folder) if look else _open(folder)
        weakref.finalize(self, self._database.close)
        if not look:
            self.keep_reserve()

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._database:
            yield self._database

    def _do(self, statement: str, *values: object) -> int:
        """Run one statement, durably; how many rows it changed."""
        with self._change() as database:
            return database.execute(statement, values).rowcount

    def _rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def put(self, uid: str, film: bytes, digest: str, content: str = "", accepted: Accepted | None = None) -> bool:
        """Keep a film, durably.

        Args:
            uid: SOP Instance UID.
            film: the DICOM file.
            digest: of the bundle that will answer.
            content: a hash of what is in the film; "" if unknown.
            accepted: the film, decoded.

        Returns:
            False for a repeat: it waits already, or the bundle has answered it.

        Raises:
            FilmError: FILM_CONFLICT, another film came under this UID before.
        """
        key = key_of(uid)
        with self._change() as database:
            known = database.execute("SELECT content FROM films WHERE key = ?", (key,)).fetchone()
            if known and known[0] and content and known[0] != content:
                raise conflict().prefixed("film")
            new = database.execute(
                "INSERT INTO films (key, state, digest, received, film, content) VALUES (?, 'waiting', ?, ?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET state = 'waiting', digest = excluded.digest, tries = 0, refused = 0,"
                " received = excluded.received, film = excluded.film, content = excluded.content, reason = '', due = 0"
                " WHERE state IN ('delivered', 'dead') AND digest <> excluded.digest",
                (key, digest, time.time(), film, content),
            ).rowcount
        if new and accepted and sum(one.film.pixels.size for one in self._decoded.values()) < MAX_DECODED:
            self._decoded[key] = accepted
        return new == 1

    def knows(self, uid: str, digest: str) -> bool:
        """Whether `put` would take this film for a repeat."""
        known = "SELECT 1 FROM films WHERE key = ? AND (state IN ('waiting', 'answered') OR digest = ?)"
        return bool(self._rows(known, key_of(uid), digest))

    def begin(self) -> Item | None:
        """The oldest waiting film, one more try counted for it: one that kills the program must not do so for ever."""
        with self._change() as database:
            row = database.execute(
                "SELECT key, tries, film FROM films WHERE state = 'waiting' ORDER BY received LIMIT 1"
            ).fetchone()
            if row is None:
                return None
            database.execute("UPDATE films SET tries = tries + 1 WHERE key = ?", (row[0],))
        return Item(row[0], row[1], row[2], accepted=self._decoded.pop(row[0], None))

    def answered(self, key: str, digest: str, parts: tuple[Part, ...]) -> None:
        """Keep a film's answer instead of the film."""
        with self._change() as database:
            database.executemany(
                "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?)",
                [(key, part.what, part.uid, part.content) for part in parts],
            )
            database.execute(
                "UPDATE films SET state = 'answered', digest = ?, film = NULL, tries = 0, due = 0 WHERE key = ?",
                (digest, key),
            )

    def due(self, now: float) -> Item | None:
        """An answer that is due for delivery."""
        rows = self._rows(
            "SELECT key, refused, (SELECT max(tries) FROM films WHERE state = 'answered') FROM films"
            " WHERE state = 'answered' AND due <= ? ORDER BY due, received LIMIT 1",
            now,
        )
        if not rows:
            return None
        key, refused, tries = str(rows[0][0]), int(str(rows[0][1])), int(str(rows[0][2]))
        parts = self._rows("SELECT what, uid, content FROM parts WHERE key = ? ORDER BY what DESC", key)
        return Item(key, tries, parts=tuple(Part(*row) for row in parts), refused=refused)  # type: ignore[arg-type]

    def refused(self, key: str, due: float, reason: str) -> None:
        """The destination refused this answer; ask once more at `due`, seconds since 1970."""
        self._do("UPDATE films SET refused = refused + 1, due = ?, reason = ? WHERE key = ?", due, reason, key)

    def hold(self, tries: int, due: float, reason: str) -> None:
        """The destination cannot be asked, for the `tries`th time: every answer waits until `due`."""
        wait = "UPDATE films SET tries = ?, due = max(due, ?), reason = ? WHERE state = 'answered'"
        self._do(wait, tries, due, reason)

    def release(self) -> None:
        """The destination answers again: what waited for that is due now."""
        self._do("UPDATE films SET tries = 0, due = 0 WHERE state = 'answered' AND refused = 0")

    def delivered(self, key: str) -> None:
        """Forget all of a film but its key and the hash of its content."""
        with self._change() as database:
            database.execute("DELETE FROM parts WHERE key = ?", (key,))
            database.execute("UPDATE films SET state = 'delivered', film = NULL, reason = '' WHERE key = ?", (key,))

    def bury(self, key: str, reason: str) -> None:
        """Give up, keeping what there is for `retry`."""
        self._do("UPDATE films SET state = 'dead', reason = ? WHERE key = ?", reason, key)

    def dead(self) -> list[Dead]:
        """What was given up, the oldest first."""
        rows = self._rows("SELECT key, received, reason FROM films WHERE state = 'dead' ORDER BY received")
        return [Dead(*row) for row in rows]  # type: ignore[arg-type]

    def retry(self) -> int:
        """Try every dead film again, from the step it died in; how many there were."""
        return self._do(
            "UPDATE films SET state = CASE WHEN film IS NULL THEN 'answered' ELSE 'waiting' END,"
            " tries = 0, refused = 0, due = 0, reason = '' WHERE state = 'dead'"
        )

    def forget_dead(self) -> int:
        """Remove dead films with all that is kept of them; how many there were."""
        with self._change() as database:
            database.execute("DELETE FROM parts WHERE key IN (SELECT key FROM films WHERE state = 'dead')")
            return database.execute("DELETE FROM films WHERE state = 'dead'").rowcount

    def counts(self) -> dict[str, int]:
        """How many films are in each of STATES."""
        found = {str(state): int(str(n)) for state, n in self._rows("SELECT state, count(*) FROM films GROUP BY state")}
        return {state: found.get(state, 0) for state in STATES}

    def unfinished(self) -> int:
        """Films that are neither delivered nor dead."""
        counts = self.counts()
        return counts["waiting"] + counts["answered"]

    def tidy(self) -> None:
        """Empty the log beside the file, in which deleted films would otherwise linger."""
        with self._lock:
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.keep_reserve()

    def has_room(self, size: int) -> bool:
        """Whether the disk takes a film of `size` bytes, with its log, and its answer beside the reserve."""
        disk = shutil.disk_usage(self.folder)
        return not self.is_short() and disk.free > 3 * size + min(ANSWER_BYTES, disk.total // 8)

    def is_short(self) -> bool:
        """Whether the reserve is given back."""
        return not (self.folder / "reserve").exists()

    def keep_reserve(self) -> None:
        """Take the reserve where the disk has room for it twice; an eighth of a small disk."""
        place, disk = self.folder / "reserve", shutil.disk_usage(self.folder)
        size = min(RESERVE, disk.total // 8)
        if place.exists() or disk.free < 2 * size:
            return
        with contextlib.suppress(OSError), place.open("wb") as stream:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(stream.fileno(), 0, size)
            else:
                stream.write(bytes(size))

    def give_reserve(self) -> None:
        """Give the reserve back to a full disk."""
        (self.folder / "reserve").unlink(missing_ok=True)


def _open(folder: Path) -> sqlite3.Connection:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            return _connect(folder)
        except sqlite3.OperationalError:  # the disk is full, perhaps
            (folder / "reserve").unlink(missing_ok=True)
            return _connect(folder)
    except (OSError, sqlite3.Error) as error:
        raise OutputError(f"{folder}: no queue can be kept here ({error}); choose another --queue") from error


def _look(folder: Path) -> sqlite3.Connection:
    """Read alone. Where no node runs, without the shared memory file, for which a full disk has no room."""
    place = (folder / "queue.sqlite").absolute().as_uri()
    try:
        for exclusive in (False, True):
            database = sqlite3.connect(f"{place}?mode={'rw' if exclusive else 'ro'}", uri=True, timeout=60)
            try:
                if exclusive:
                    database.execute("PRAGMA locking_mode=EXCLUSIVE")
                database.execute("SELECT count(*) FROM films").fetchall()
                return database
            except sqlite3.OperationalError:
                database.close()
                if exclusive:
                    raise
    except sqlite3.Error as error:
        raise OutputError(f"{folder}: the queue cannot be read ({error}); is it whole, and yours?") from error
    raise AssertionError


def _connect(folder: Path) -> sqlite3.Connection:
    database = sqlite3.connect(folder / "queue.sqlite", timeout=60, check_same_thread=False)
    try:
        # FULL: a commit is on the disk when it returns. secure_delete: what leaves the file is overwritten.
        for pragma in ("auto_vacuum=FULL", "journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            database.execute(f"PRAGMA {pragma}")
        database.executescript(_SCHEMA)
        if "content" not in [row[1] for row in database.execute("PRAGMA table_info(films)")]:
            database.execute("ALTER TABLE films ADD COLUMN content TEXT NOT NULL DEFAULT ''")
    except sqlite3.Error:
        database.close()
        raise
    return database
