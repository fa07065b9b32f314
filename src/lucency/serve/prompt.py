"""Connections that are answered at once, and that must say what they want: who sends a request's head slowly, or never,
is let go.

uvicorn bounds the time between two requests only. The time of a body is bounded in lucency.serve.entry.
"""

from __future__ import annotations

import asyncio
import socket

from uvicorn.protocols.http.h11_impl import H11Protocol

IDLE_S = 30
"""For which a connection may stand idle between requests, and for which a request's head may take to arrive."""


class Prompt(H11Protocol):
    """uvicorn's HTTP/1.1, closed when no whole head has come in time."""

    _until: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head, and let no answer wait.

        asyncio turns Nagle's algorithm off only for sockets that name their protocol, which those of
        `socket.create_server` do not; with it an answer's body comes 40 ms after its head.
        """
        super().connection_made(transport)
        wire = transport.get_extra_info("socket")
        if wire is not None and wire.family in (socket.AF_INET, socket.AF_INET6):
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take a piece of what comes; the piece that ends a head ends the waiting, no other does."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._rest()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.cycle and not self.cycle.response_complete:
            self._rest()
        elif self._until is None:
            self._until = self.loop.call_later(IDLE_S, self.transport.close)

    def _rest(self) -> None:
        if self._until:
            self._until.cancel()
            self._until = None
