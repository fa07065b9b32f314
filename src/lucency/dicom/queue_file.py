"""The file of the queue: made durable and private when opened, worked off by one program at a time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lucency.errors import OutputError, UsageError

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
        film BLOB
    );
    CREATE INDEX IF NOT EXISTS by_state ON films (state, due);
    CREATE TABLE IF NOT EXISTS parts (
        key TEXT NOT NULL, what TEXT NOT NULL, uid TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (key, what)
    );
"""


def opened(folder: Path) -> sqlite3.Connection:
    """Open or begin the file; only its owner may look into the folder.

    Raises:
        OutputError: it cannot be written there.
    """
    database = None
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = sqlite3.connect(folder / "queue.sqlite", timeout=60, check_same_thread=False)
        # FULL: a commit is on the disk when it returns. secure_delete: what leaves the file is overwritten.
        for pragma in ("auto_vacuum=FULL", "journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            database.execute(f"PRAGMA {pragma}")
        database.executescript(_SCHEMA)
    except (OSError, sqlite3.Error) as error:
        if database:
            database.close()
        raise OutputError(f"{folder}: no queue can be kept here ({error}); choose another --queue") from error
    return database


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
