"""What `lucency serve` is started with: limits, tokens, and where the log goes."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lucency.errors import LucencyError, UsageError
from lucency.interruption import say_on_interrupt

TOKENS_VARIABLE = "LUCENCY_TOKENS"
MIN_TOKEN_LENGTH = 16
"""Characters; `openssl rand -hex 32` writes 64."""

Log = Callable[..., None]
"""(event, **facts); facts are ours, never a client's words."""


@dataclass(frozen=True)
class Limits:
    """Bounds on what clients may ask for; each is an option of `lucency serve`."""

    megabytes: int = 32
    """Of one request's body, in MiB; a detector's 4280 × 3520 pixels of 16 bits are 29."""
    megapixels: int = 40
    """Of one film, in millions; checked in its header, before anything is decoded."""
    seconds: float = 30.0
    """For the body to arrive, and again for a worker to read one film."""
    queue: int = 64
    """Requests that may wait while all workers read; further ones are answered 503."""
    batch: int = 32
    """Films in one request to /v1/batch."""

    @property
    def max_bytes(self) -> int:
        """Of one request's body."""
        return self.megabytes * 2**20

    @property
    def max_pixels(self) -> int:
        """Of one film."""
        return self.megapixels * 10**6

    @property
    def max_wait_s(self) -> float:
        """From the queue to the answer, for one film."""
        return 2 * self.seconds


class Tokens:
    """Bearer tokens that are accepted; without any, every request is."""

    def __init__(self, tokens: list[str]) -> None:
        # Hashes have one length, so comparing them takes the same time for any token.
        self._digests = [_digest(token) for token in tokens]

    def __bool__(self) -> bool:
        """Whether a token is needed."""
        return bool(self._digests)

    def accepts(self, token: str) -> bool:
        """Whether `token` is known; takes the same time for all."""
        given = _digest(token)
        return sum(hmac.compare_digest(given, digest) for digest in self._digests) > 0  # all are compared


def open_tokens(file: Path | None) -> Tokens:
    """Tokens from a file, one a line, `#` for comments; without a file those of LUCENCY_TOKENS, comma-separated.

    Raises:
        UsageError: the file cannot be read or holds no token, or a token is too short or contains spaces.
    """
    if file is None:
        given, where = os.environ.get(TOKENS_VARIABLE, "").split(","), TOKENS_VARIABLE
    else:
        given, where = _lines(file), str(file)
    tokens = [token.strip() for token in given if token.strip()]
    if file is not None and not tokens:
        raise UsageError(f"{where}: expected a token on each line, found none")
    for number, token in enumerate(tokens, 1):
        if len(token) < MIN_TOKEN_LENGTH or not token.isascii() or len(token.split()) > 1:
            raise UsageError(
                f"{where}: token {number} is too short or not one word; expected at least {MIN_TOKEN_LENGTH} "
                "characters, for example from: openssl rand -hex 32"
            )
    return Tokens(tokens)


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise UsageError(f"{file}: the tokens cannot be read ({reason})") from None
    return [line for line in lines if not line.lstrip().startswith("#")]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def plain_log(event: str, **facts: Any) -> None:
    """`12:03:11 request: route=/v1/read status=200 ms=12` on stderr."""
    words = " ".join(f"{name}={value}" for name, value in facts.items())
    _write_line(f"{time.strftime('%H:%M:%S')} {event}{': ' if words else ''}{words}")


def json_log(event: str, **facts: Any) -> None:
    """The same as one JSON object a line."""
    _write_line(json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": event, **facts}))


class _JsonHandler(logging.Handler):
    """Other libraries' log lines, without their messages, which may quote a film's header."""

    def emit(self, record: logging.LogRecord) -> None:
        json_log("library", logger=record.name, level=record.levelname.lower())


@contextlib.contextmanager
def json_stderr() -> Iterator[None]:
    """Inside the block errors, Ctrl-C, warnings and libraries' log lines reach stderr as JSON, too.

    Raises:
        SystemExit: in place of an error, with its exit code.
    """
    say_on_interrupt(partial(json_log, "interrupted"))
    logging.captureWarnings(True)
    logging.basicConfig(handlers=[_JsonHandler()], force=True)
    try:
        yield
    except LucencyError as error:
        json_log("error", code=error.code, message=str(error))
        sys.exit(error.exit_code)


def _write_line(line: str) -> None:
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):  # a closed log must not cost a film
        return
