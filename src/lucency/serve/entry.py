"""The way in: a place or 503, then the body within its limits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from starlette.requests import Request

from lucency.serve.forms import FORM, Form
from lucency.serve.limits import Limits
from lucency.serve.refusals import BusyError, MalformedError, SlowBodyError, TooLargeError, UnreadableError


class Places:
    """How many requests may be inside; taken before a body is read, so that memory is bounded too."""

    def __init__(self, number: int) -> None:
        """All are free."""
        self._number = number
        self.taken = 0

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Have a place inside the block.

        Raises:
            BusyError: none is free.
        """
        if self.taken >= self._number:
            raise BusyError(f"{self.taken} requests are being read or waiting, as many as are taken; ask again later")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


async def one_film(request: Request, limits: Limits) -> bytes:
    """The film of a request: its body, or the one part of its form.

    Raises:
        Refusal: see `films`; or it holds several.
    """
    if not _is_form(request):
        return await _raw(request, limits)
    found = await films(request, limits)
    if len(found) != 1:
        raise UnreadableError(f"expected one film, came {len(found)}; send several to /v1/batch")
    return found[0]


async def films(request: Request, limits: Limits) -> list[bytes]:
    """The films of a form, in their order.

    Raises:
        Refusal: no form or a malformed one, without films or with too many, too large, or too slow.
    """
    if not _is_form(request):
        raise MalformedError(f"expected a form ({FORM}) with a part named film for each film; see /docs")
    form = Form(request.headers["content-type"], limits.batch)
    async for chunk in _body(request, limits):
        form.feed(chunk)
    found = form.films()
    if not found:
        raise UnreadableError("expected at least one film, came none")
    return found


async def _raw(request: Request, limits: Limits) -> bytes:
    film = bytearray()
    async for chunk in _body(request, limits):
        film += chunk
    return bytes(film)


async def _body(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """The body piece by piece.

    Raises:
        TooLargeError: it is, or says that it will be, larger than is taken.
        SlowBodyError: it takes too long.
    """
    most = limits.most_bytes
    too_large = TooLargeError(f"expected at most {limits.megabytes} MiB in one request, came more; send a smaller film")
    if int(request.headers.get("content-length", "0")) > most:
        raise too_large
    size, until = 0, asyncio.get_running_loop().time() + limits.seconds
    pieces = request.stream()
    while True:
        try:
            async with asyncio.timeout_at(until):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise SlowBodyError(f"expected the whole film within {limits.seconds:g} s; it came too slowly") from None
        if piece is None:
            return
        size += len(piece)
        if size > most:
            raise too_large
        yield piece


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith(FORM)
