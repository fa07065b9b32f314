"""Films out of a request: admitted or 503, then the body within its limits, in memory only."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from lucency.serve.middleware import (
    BadRequestError,
    PayloadTooLargeError,
    RequestTimeoutError,
    UnavailableError,
    UnprocessableError,
)
from lucency.serve.settings import Limits

FIELD = "film"
FORM = "multipart/form-data"
MALFORMED = f"the form cannot be parsed; expected {FORM} with a part named {FIELD}: curl -F {FIELD}=@film.png"


class Admission:
    """Bounds how many requests are inside. Counted before a body is read, so that memory is bounded as well."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.inside = 0

    @contextlib.contextmanager
    def admit(self) -> Iterator[None]:
        """Count one request in for the length of the block.

        Raises:
            UnavailableError: the server is full.
        """
        if self.inside >= self._most:
            raise UnavailableError(f"{self.inside} requests are being read or waiting, the most; ask again later")
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


async def read_film(request: Request, limits: Limits) -> bytes:
    """The film of a request: its body, or the one part of its form.

    Raises:
        Refusal: see `read_films`; or there are several.
    """
    if not _is_form(request):
        return b"".join([chunk async for chunk in _body(request, limits)])
    films = await read_films(request, limits)
    if len(films) != 1:
        raise UnprocessableError(f"expected one film, came {len(films)}; send several to /v1/batch")
    return films[0]


async def read_films(request: Request, limits: Limits) -> list[bytes]:
    """The films of a form, in order.

    Raises:
        Refusal: the form is missing, malformed, without films, too large or too slow.
    """
    if not _is_form(request):
        raise BadRequestError(f"expected a form ({FORM}) with a part named {FIELD} for each film; see /docs")
    form = Form(request.headers["content-type"], limits.batch)
    async for chunk in _body(request, limits):
        form.feed(chunk)
    films = form.films()
    if not films:
        raise UnprocessableError("expected at least one film, came none")
    return films


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith(FORM)


async def _body(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """The body in chunks, of bounded size and time."""
    too_large = PayloadTooLargeError(f"expected at most {limits.megabytes} MiB in one request, came more")
    if int(request.headers.get("content-length", "0")) > limits.max_bytes:
        raise too_large
    size, deadline = 0, asyncio.get_running_loop().time() + limits.seconds
    chunks = request.stream()
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise RequestTimeoutError(f"the body did not arrive within {limits.seconds:g} s") from None
        if chunk is None:
            return
        size += len(chunk)
        if size > limits.max_bytes:
            raise too_large
        yield chunk


class Form:
    """Films out of multipart/form-data, in memory: Starlette's own parser would spool them to disk.

    Args:
        content_type: the request's header.
        most: films that are taken.

    Raises:
        BadRequestError: the content type names no boundary.
    """

    def __init__(self, content_type: str, most: int) -> None:
        self._films: list[bytearray] = []
        self._most = most
        self._name, self._value, self._field = b"", b"", b""
        self._ended = False
        try:
            boundary = parse_options_header(content_type)[1][b"boundary"]
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._part_begin,
                    "on_header_begin": self._header_begin,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_part_data": self._part_data,
                    "on_end": self._end,
                },
            )
        except (KeyError, FormParserError):
            raise BadRequestError(MALFORMED) from None

    def feed(self, chunk: bytes) -> None:
        """Parse the next piece of the body.

        Raises:
            BadRequestError: this is no form.
            UnprocessableError: it has a part other than films, or too many.
        """
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise BadRequestError(MALFORMED) from None

    def films(self) -> list[bytes]:
        """The content of every part, in order.

        Raises:
            BadRequestError: the form is incomplete.
        """
        if not self._ended:
            raise BadRequestError(MALFORMED)
        return [bytes(film) for film in self._films]

    def _part_begin(self) -> None:
        if len(self._films) == self._most:
            raise UnprocessableError(f"expected at most {self._most} films in one request, came more")
        self._films.append(bytearray())
        self._field = b""

    def _header_begin(self) -> None:
        self._name, self._value = b"", b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._field = parse_options_header(self._value)[1].get(b"name", b"")

    def _headers_finished(self) -> None:
        if self._field != FIELD.encode():
            raise UnprocessableError(f"expected parts named {FIELD}, came another; see /docs")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._films[-1] += data[start:end]

    def _end(self) -> None:
        self._ended = True
