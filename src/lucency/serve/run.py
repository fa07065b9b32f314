"""The server as a process: its socket, its signals, its end."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from lucency.errors import UsageError
from lucency.serve.app import FAILURE
from lucency.serve.around import CROWDED
from lucency.serve.limits import Limits
from lucency.serve.prompt import IDLE_S, Prompt

CONNECTIONS = 512
"""Open at once, most of them idle; beyond it requests are answered 503, before descriptors run out."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one.

    Raises:
        UsageError: the port is taken, not allowed, or the host is none of this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot listen on {host}:{port} ({reason}); choose another with --host and --port") from None


def serve(app: FastAPI, where: socket.socket, limits: Limits, begun: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or Ctrl-C; then accept no more, finish those accepted, and end.

    SIGTERM ends the process with exit code 0; Ctrl-C raises KeyboardInterrupt when all is finished.

    Raises:
        BundleError: a process that should read does not start.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again when it has finished
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # a traceback may quote a film's header
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # it names paths and queries as clients wrote them
        server_header=False,
        http=Prompt,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=int(limits.seconds + 2 * limits.patience_s),
    )
    server = _Announced(config, begun)
    setattr(app.state, CROWDED, lambda: len(server.server_state.connections) > CONNECTIONS)
    try:
        server.run(sockets=[where])
    except SystemExit:  # uvicorn's, which keeps to itself why the application did not start
        failure = getattr(app.state, FAILURE, None)
        if failure is None:
            raise
        raise failure from None


class _Announced(uvicorn.Server):
    """Says when films can be read."""

    def __init__(self, config: uvicorn.Config, begun: Callable[[], None]) -> None:
        super().__init__(config)
        self._begun = begun

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._begun()
