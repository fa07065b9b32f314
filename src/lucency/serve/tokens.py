"""Who may ask: bearer tokens from a file or from the environment."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from lucency.errors import UsageError

VARIABLE = "LUCENCY_TOKENS"
SHORTEST = 16
"""Characters; `openssl rand -hex 32` writes 64."""


class Tokens:
    """Tokens that are let in; with none, everyone is."""

    def __init__(self, tokens: list[str]) -> None:
        """Keep only their hashes: all of one length, so that comparing them takes the same time for any token."""
        self._digests = [_digest(token) for token in tokens]

    def __bool__(self) -> bool:
        """Whether a token is needed."""
        return bool(self._digests)

    def admit(self, token: str) -> bool:
        """Whether `token` is one of ours; takes the same time whether it is and whichever it is."""
        given, found = _digest(token), False
        for digest in self._digests:
            found |= hmac.compare_digest(given, digest)
        return found


def open_tokens(file: Path | None) -> Tokens:
    """The tokens of a file, one a line, `#` for remarks; without a file those of LUCENCY_TOKENS, between commas.

    Raises:
        UsageError: the file cannot be read or holds none; or a token is too short or has spaces in it.
    """
    if file is None:
        given, where = os.environ.get(VARIABLE, "").split(","), VARIABLE
    else:
        given, where = _lines(file), str(file)
    tokens = [token.strip() for token in given if token.strip()]
    if file is not None and not tokens:
        raise UsageError(f"{where}: expected a token on each line, found none")
    for number, token in enumerate(tokens, 1):
        if len(token) < SHORTEST or not token.isascii() or len(token.split()) > 1:
            raise UsageError(
                f"{where}: token {number} is too short or not one word; expected {SHORTEST} characters or more, "
                "such as those of: openssl rand -hex 32"
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
