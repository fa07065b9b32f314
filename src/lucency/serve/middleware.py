"""Around every request: a log line, the counters, headers; and every answer other than a reading.

Such an answer is one line of JSON, {"error": …}. What a client sent is never quoted.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lucency import __version__
from lucency.bundle import Bundle
from lucency.errors import LucencyError
from lucency.serve.settings import Limits, Log
from lucency.serve.static import PAGE
from lucency.serve.worker import error_place

CLIENT_LEFT = 499
"""In log and counters: the client left before its answer (nginx's number)."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
DRAIN_S = 5.0
"""Seconds for which a refused body is still received: most clients read the answer only after sending it."""
CROWDED = "crowded"
"""In the application's state: whether more connections are open than the server takes. Absent outside a server."""
SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """Prometheus counters: how many, how long, how it ended; nothing of a film or its sender."""

    def __init__(self, bundle: Bundle) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        model = Info("lucency_model", "The bundle that reads.", registry=registry)
        model.info({"name": bundle.card.name, "digest": bundle.digest, "lucency": __version__})
        self.requests = Counter("lucency_requests", "Requests by outcome.", ["route", "status"], registry=registry)
        self.request_seconds = Histogram(
            "lucency_request_seconds", "From request head to answer.", ["route"], buckets=SECONDS, registry=registry
        )
        self.reading_seconds = Histogram(
            "lucency_reading_seconds", "A worker's time for one film.", buckets=SECONDS, registry=registry
        )
        self.verdicts = Counter("lucency_films", "Films read, by verdict.", ["verdict"], registry=registry)
        self.ended = Counter("lucency_processes_ended", "Workers replaced, and why.", ["why"], registry=registry)
        self.processes = Gauge("lucency_processes", "Workers that can read.", registry=registry)
        self.inside = Gauge("lucency_requests_inside", "Requests being read or waiting.", registry=registry)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)


class Middleware:
    """Pure ASGI, outermost: counts, times and logs each request."""

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics, log: Log) -> None:
        self._app, self._limits, self._metrics, self._log = app, limits, metrics, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.monotonic()
        exchange = Exchange(scope, receive, send, 2 * self._limits.max_bytes)
        crowded: Callable[[], bool] = getattr(scope["app"].state, CROWDED, lambda: False)
        try:
            if exchange.ambiguous:
                await exchange.refuse(scope, BadRequestError("expected Content-Length or Transfer-Encoding, came both"))
            elif crowded() and scope["path"] != "/healthz":
                full = UnavailableError("too many open connections; close idle ones and ask again later")
                await exchange.refuse(scope, full)
            else:
                await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = exchange.status or CLIENT_LEFT
        except Exception as error:
            self._log("fault", where=error_place(error))
            if not exchange.status:
                sorry = JSONResponse({"error": "a bug in this server; it is logged, please report it"}, 500)
                await sorry(scope, exchange.receive, exchange.send)
        finally:
            self._record(scope, exchange.status, time.monotonic() - start)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's pattern, never the client's path: people put names into paths and queries.
        route = scope.get("route")
        route = PAGE if PAGE in getattr(route, "tags", ()) else getattr(route, "path", "other")
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        self._log("request", route=route, status=status, ms=round(1000 * seconds, 1))


class Exchange:
    """One request and its answer, observed."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, max_drain: int) -> None:
        headers = dict(scope["headers"])
        self._receive, self._send, self._max_drain = receive, send, max_drain
        size = int(headers.get(b"content-length", b"0"))
        self.ambiguous = {b"content-length", b"transfer-encoding"} <= headers.keys()
        """Whether a proxy in front may see the body end elsewhere: the way to smuggle a request past it."""
        self._more = (0 < size <= max_drain or b"transfer-encoding" in headers) and b"expect" not in headers
        self.status = 0
        """Of the answer; 0 before it."""

    async def receive(self) -> Message:
        """The next piece of the body."""
        message = await self._receive()
        self._more = self._more and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a piece of the answer; before its end, drain what the client is still sending."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = list(message.get("headers", ()))
            names = {name.lower() for name, _ in given}
            message = {**message, "headers": [*(pair for pair in HEADERS if pair[0] not in names), *given]}
        elif self._more and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {**message, "body": b""}
        await self._send(message)

    async def refuse(self, scope: Scope, error: Refusal) -> None:
        """Answer with an error and close the connection."""
        headers = {**error.headers, "Connection": "close"}
        await JSONResponse({"error": str(error)}, error.status, headers)(scope, self.receive, self.send)

    async def _drain(self) -> None:
        drained = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while self._more and drained < self._max_drain:
                    drained += len((await self.receive()).get("body", b""))


RETRY_S = 1
"""Seconds after which a client that found the server full may ask again."""
DESCRIPTIONS = {
    400: "The form cannot be parsed.",
    401: "No token, or an unknown one.",
    403: "Asked by a page of another origin.",
    408: "The body arrived too slowly.",
    413: "The request is too large.",
    422: "The film cannot be read, or a parameter is wrong; `error` gives the reason.",
    500: "A bug in the server; it is logged without the film.",
    503: "Full or not ready: retry after the seconds in Retry-After.",
}
"""What OpenAPI says of each status."""
HTTP_MESSAGES = {
    404: "nothing here; see /docs for the routes",
    405: "this route does not take that method; see /docs",
}


class Refusal(LucencyError):
    """An answer other than a reading."""

    status: ClassVar[int] = 400
    headers: ClassVar[Mapping[str, str]] = {}


class BadRequestError(Refusal):
    """The form cannot be parsed."""


class UnauthorizedError(Refusal):
    """No token, or an unknown one."""

    status = 401
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class ForbiddenError(Refusal):
    """A page of another origin asks."""

    status = 403


class RequestTimeoutError(Refusal):
    """The body did not arrive in time."""

    status = 408
    headers: ClassVar[Mapping[str, str]] = {"Connection": "close"}


class PayloadTooLargeError(Refusal):
    """The body exceeds the limit."""

    status = 413


class UnprocessableError(Refusal):
    """The film cannot be read, or a parameter is wrong."""

    status = 422


class InternalError(Refusal):
    """A bug in the server."""

    status = 500


class UnavailableError(Refusal):
    """The server is full, or no worker can read."""

    status = 503
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": str(RETRY_S)}


class Error(BaseModel):
    """Any answer but a reading."""

    model_config = ConfigDict(extra="forbid")

    error: Annotated[str, Field(description="One line: what was expected, what came, what to do.")]


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for these statuses."""
    found: dict[int | str, dict[str, Any]] = {
        status: {"model": Error, "description": DESCRIPTIONS[status]} for status in statuses
    }
    if 503 in found:
        found[503]["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return found


def add_error_handlers(app: FastAPI) -> None:
    """Make `app` answer every error in the one form."""
    app.add_exception_handler(Refusal, _refusal)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _refusal(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    return JSONResponse({"error": str(error)}, error.status, headers=dict(error.headers))


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return JSONResponse({"error": f"{'.'.join(map(str, first['loc']))}: {first['msg']}; see /docs"}, 422)


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    message = HTTP_MESSAGES.get(error.status_code, "malformed request; see /docs")
    return JSONResponse({"error": message}, error.status_code, headers=dict(error.headers or {}))
