"""Names, UIDs and dates that stand for others: the same under one key, and without it nobody's."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from pydicom.uid import UID

from lucency.errors import UsageError

SHORTEST = 16
"""Bytes of a key: names and numbers of patients are few, and a short key could be tried out with them."""
FARTHEST_DAYS = 3650


@dataclass(frozen=True)
class Pseudonyms:
    """What follows from a secret key by HMAC-SHA256."""

    key: bytes = field(repr=False)

    def patient(self, identity: str) -> str:
        """L and 16 hexadecimal digits: 64 bits, no two patients of a country alike."""
        return f"L{self._hash('patient', identity).hex()[:16].upper()}"

    def uid(self, uid: str) -> UID:
        """A UID made of a UUID, PS3.5 B.2."""
        return UID(f"2.25.{uuid.UUID(bytes=self._hash('uid', uid)[:16], version=4).int}")

    def date(self, identity: str, date: str) -> str:
        """A date YYYYMMDD moved back by the patient's number of days, 1 … FARTHEST_DAYS; "" if it is none."""
        days = 1 + int.from_bytes(self._hash("days", identity)[:8], "big") % FARTHEST_DAYS
        try:
            return (datetime.strptime(date.strip(), "%Y%m%d") - timedelta(days=days)).strftime("%Y%m%d")
        except (ValueError, OverflowError):
            return ""

    def _hash(self, kind: str, word: str) -> bytes:
        return hmac.digest(self.key, f"{kind}\n{word}".encode(), hashlib.sha256)


def read_key(path: Path) -> Pseudonyms:
    """The key in a file.

    Raises:
        UsageError: there is none, or it is too short.
    """
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{path}: expected a key, cannot read it ({reason}); make one with --new-key") from None
    if len(key) < SHORTEST:
        raise UsageError(f"{path}: expected a key of {SHORTEST} bytes or more, got {len(key)}; make one with --new-key")
    return Pseudonyms(key)


def make_key(path: Path) -> None:
    """Write a new key that only its owner may read.

    Raises:
        UsageError: something is there already; another key would make other pseudonyms. Or nothing can be there.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{path}: expected no file, there is one; leave out --new-key to use it") from None
    except OSError as error:
        raise UsageError(f"{path}: expected a place for a key, it cannot be written ({error.strerror})") from None
    with os.fdopen(handle, "w") as stream:
        stream.write(secrets.token_hex(32) + "\n")
