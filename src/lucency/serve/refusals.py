"""What the server answers instead of a reading; each is one line that says what was expected, what came, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from lucency.errors import LucencyError

RETRY_S = 1
"""Seconds after which a client that found the server full may ask again."""


class Refusal(LucencyError):
    """An answer other than a reading."""

    status: ClassVar[int] = 400
    headers: ClassVar[Mapping[str, str]] = {}


class MalformedError(Refusal):
    """The request is no HTTP form that can be taken apart."""


class UnauthorizedError(Refusal):
    """No token, or none of ours."""

    status = 401
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class SlowBodyError(Refusal):
    """The body did not arrive in time."""

    status = 408
    headers: ClassVar[Mapping[str, str]] = {"Connection": "close"}


class TooLargeError(Refusal):
    """More bytes than are taken."""

    status = 413


class UnreadableError(Refusal):
    """A film that cannot be read, or no film, or a parameter that makes no sense."""

    status = 422


class FaultError(Refusal):
    """An error of ours that nobody foresaw."""

    status = 500


class BusyError(Refusal):
    """Too much to do already, or no process to do it."""

    status = 503
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": str(RETRY_S)}
