"""The server: its application, its socket, its connections, its signals."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from lucency import NOTICE, __version__
from lucency.bundle import Bundle
from lucency.errors import BundleError, UsageError
from lucency.serve.middleware import CROWDED, Middleware, add_error_handlers
from lucency.serve.routes import State, read_routes, system_routes
from lucency.serve.settings import Limits, Log, Tokens, plain_log
from lucency.serve.static import manual_routes, page_routes

FAILURE = "failure"
"""In the application's state: the error that kept it from starting."""
MAX_CONNECTIONS = 512
"""Open at once, most of them idle; beyond it requests are answered 503, before descriptors run out."""
LAST_RESORT_S = 10
"""After the time that accepted requests have: whatever still hangs then is ended with the process, exit code 1."""
IDLE_S = 30
"""For which a connection may be idle between requests, and for a request's head to arrive."""


def create_app(
    bundle: Bundle,
    workers: int = 1,
    limits: Limits | None = None,
    tokens: Tokens | None = None,
    log: Log = plain_log,
    page: Mapping[str, bytes] | None = None,
) -> FastAPI:
    """The ASGI application; its workers start and end with its lifespan.

    Args:
        bundle: what reads.
        workers: processes that read side by side.
        limits: bounds on requests.
        tokens: accepted bearer tokens; without any, every request is.
        log: called for each request and event.
        page: the files of the page at `/` (`lucency.serve.static.page_for`); none without them.
    """
    limits = limits or Limits()
    state = State(bundle, workers, limits, tokens or Tokens([]), log)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            await state.pool.start()
        except BundleError as error:
            setattr(app.state, FAILURE, error)
            raise
        try:
            yield
        finally:
            await state.pool.stop()

    app = FastAPI(
        title="lucency",
        version=__version__,
        description=f"Reads chest films for pneumonia. {NOTICE}",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere; ours is in lucency.serve.static
        redoc_url=None,
    )
    app.add_middleware(Middleware, limits=limits, metrics=state.metrics, log=log)
    add_error_handlers(app)
    app.include_router(read_routes(state))
    app.include_router(system_routes(state))
    app.include_router(manual_routes(app, bool(state.tokens), front=not page))
    app.include_router(page_routes(page or {}))
    return app


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        UsageError: the port is taken or not allowed, or the host is not this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot listen on {host}:{port} ({reason}); choose another with --host and --port") from None


def serve(app: FastAPI, sock: socket.socket, limits: Limits, on_start: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or Ctrl-C; then accept no more, finish those accepted, and return.

    SIGTERM ends the process with exit code 0; Ctrl-C raises KeyboardInterrupt at the end.

    Raises:
        BundleError: a worker does not start.
    """
    grace = math.ceil(limits.seconds + 2 * limits.max_wait_s)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises the signal again at its end
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # a traceback may quote a film's header
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # it quotes clients' paths and queries
        server_header=False,
        http=Protocol,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=grace,
    )
    server = _Server(config, on_start, grace + LAST_RESORT_S)
    setattr(app.state, CROWDED, lambda: len(server.server_state.connections) > MAX_CONNECTIONS)
    try:
        server.run(sockets=[sock])
    except SystemExit:
        if not hasattr(app.state, FAILURE):
            raise
    failure = getattr(app.state, FAILURE, None)
    if failure is not None:  # uvicorn exits, older versions return, and none says why
        raise failure


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None], last_resort_s: float) -> None:
        super().__init__(config)
        self._on_start, self._last_resort_s = on_start, last_resort_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; end in any case when the time is up."""
        last_resort = threading.Timer(self._last_resort_s, os._exit, (1,))
        last_resort.daemon = True
        last_resort.start()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()


class Protocol(H11Protocol):
    """uvicorn's HTTP/1.1, closed when no whole request head arrives in time.

    uvicorn itself bounds only the time between requests; `lucency.serve.request_body` bounds the body's.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head; send answers without delay.

        asyncio turns Nagle's algorithm off only for sockets that name their protocol, which those of
        `socket.create_server` do not; with it an answer's body comes 40 ms after its head.
        """
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._update_timer()

    def data_received(self, data: bytes) -> None:
        """Parse what came; only a complete head stops the timer."""
        super().data_received(data)
        self._update_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def _update_timer(self) -> None:
        if self.cycle and not self.cycle.response_complete:
            self._stop_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(IDLE_S, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
