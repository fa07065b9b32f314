"""Around every request: a log line, the counters, headers, and a last resort for errors nobody foresaw."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lucency.serve.limits import Limits
from lucency.serve.log import Log, place_of
from lucency.serve.metrics import Metrics
from lucency.serve.refusals import BusyError, FaultError
from lucency.serve.site import PAGE

LEFT = 499
"""In log and counters: the client left before its answer (as nginx counts it)."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
SORRY = "this server has made an error; it is logged, please report it"
DRAIN_S = 5.0
"""Seconds for which a refused body is still let come: most clients listen only when they have sent it."""
CROWDED = "crowded"
"""In the application's state: whether more connections are open than the server takes. Not there outside a server."""


def never() -> bool:
    """Not crowded."""
    return False


class Around:
    """ASGI middleware; the outermost of ours."""

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics, log: Log) -> None:
        """Around `app`."""
        self._app, self._limits, self._metrics, self._log = app, limits, metrics, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; count, time and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.monotonic()
        talk = Talk(scope, receive, send, 2 * self._limits.most_bytes)
        crowded: Callable[[], bool] = getattr(scope["app"].state, CROWDED, never)
        try:
            if crowded() and scope["path"] != "/healthz":
                await _send_away(scope, talk)
                return
            await self._app(scope, talk.receive, talk.send)
        except ClientDisconnect:
            talk.status = talk.status or LEFT
        except Exception as error:
            self._log("fault", where=place_of(error))
            if not talk.status:
                await JSONResponse({"error": SORRY}, FaultError.status)(scope, talk.receive, talk.send)
        finally:
            self._tell(scope, talk.status, time.monotonic() - begun)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        # The route as we wrote it, never the path as the client did: people put names into paths and queries.
        route = scope.get("route")
        route = PAGE if PAGE in getattr(route, "tags", ()) else getattr(route, "path", "other")
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        self._log("request", route=route, status=status, ms=round(1000 * seconds, 1))


async def _send_away(scope: Scope, talk: Talk) -> None:
    full = BusyError("more connections are open than are taken; close idle ones, and ask again later")
    answer = JSONResponse({"error": str(full)}, full.status, {**full.headers, "Connection": "close"})
    await answer(scope, talk.receive, talk.send)


class Talk:
    """One request's two directions, watched."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        """`most` bytes of a refused body are let come."""
        headers = dict(scope["headers"])
        self._receive, self._send, self._most = receive, send, most
        size = int(headers.get(b"content-length", b"0"))
        self._more = (0 < size <= most or b"transfer-encoding" in headers) and b"expect" not in headers
        self.status = 0
        """Of the answer; 0 before it."""

    async def receive(self) -> Message:
        """The next piece of the body."""
        message = await self._receive()
        self._more = self._more and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a piece of the answer; before its head, let come what the client is still sending."""
        if message["type"] == "http.response.start":
            await self._drain()
            self.status = message["status"]
            given = list(message.get("headers", ()))
            named = {name.lower() for name, _ in given}
            message = {**message, "headers": [*(pair for pair in HEADERS if pair[0] not in named), *given]}
        await self._send(message)

    async def _drain(self) -> None:
        came = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while self._more and came < self._most:
                    came += len((await self.receive()).get("body", b""))
