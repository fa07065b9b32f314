"""Connections that say nothing, or too many of them: let go, or told to come again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from lucency.bundle import open_bundle
from lucency.serve import app as module
from lucency.serve.app import create_app, listen
from lucency.serve.middleware import CROWDED

SHORT_S = 0.2


async def late(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that takes longer than a head may."""
    await asyncio.sleep(3 * SHORT_S)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


def over_the_wire(pieces: list[bytes], monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What comes back, up to the end of the connection, when these pieces are sent a while apart."""
    monkeypatch.setattr(module, "IDLE_S", SHORT_S)
    config = uvicorn.Config(late, http=module.Protocol, lifespan="off", log_config=None)
    config.load()

    async def talk() -> bytes:
        state = ServerState()
        server = await asyncio.get_running_loop().create_server(
            lambda: module.Protocol(config, state, {}), "127.0.0.1", 0
        )
        async with server, asyncio.timeout(60):
            back, to = await asyncio.open_connection(*server.sockets[0].getsockname())
            for piece in pieces:
                to.write(piece)
                await asyncio.sleep(SHORT_S / 4)
            came = await back.read()
            to.close()
            return came

    return asyncio.run(talk())


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"GET / HTTP/1.1\r\n"],
        [b"GET / HT", b"TP/1.1\r\n", b"Host: ", b"here\r\n", b"X-More:", b" and", b" more", b" and", b" more"],
    ],
    ids=["nothing", "a beginning", "a little at a time"],
)
def test_who_does_not_say_what_he_wants_is_let_go(pieces: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.suppress(ConnectionError):  # closed while the last piece was on its way
        assert over_the_wire(pieces, monkeypatch) == b""


def test_who_has_said_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    came = over_the_wire([b"GET / HTTP/1.1\r\nHost: here\r\n", b"Connection: close\r\n\r\n"], monkeypatch)
    assert came.startswith(b"HTTP/1.1 204")


def test_no_answer_waits_for_another_packet() -> None:
    """Head and body of an answer go out as they are written (TCP_NODELAY), whatever the listening socket was."""
    said = []
    config = uvicorn.Config(late, http=module.Protocol, lifespan="off", log_config=None)
    config.load()

    class Watched(module.Protocol):
        def data_received(self, data: bytes) -> None:
            wire = self.transport.get_extra_info("socket")
            said.append(wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            self.transport.close()

    async def talk() -> None:
        where = listen("127.0.0.1", 0)
        server = await asyncio.get_running_loop().create_server(lambda: Watched(config, ServerState(), {}), sock=where)
        async with server, asyncio.timeout(60):
            back, to = await asyncio.open_connection(*where.getsockname())
            to.write(b"GET")
            await back.read()
            to.close()

    asyncio.run(talk())
    assert said[0] != 0


def test_more_connections_than_are_taken(bundle: Path) -> None:
    printed = []
    app = create_app(open_bundle(bundle), log=lambda event, **facts: printed.append((event, facts["status"])))
    setattr(app.state, CROWDED, lambda: True)

    async def ask(path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return await client.post(path, content=b"film") if path == "/v1/read" else await client.get(path)

    answer = asyncio.run(ask("/v1/read"))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["connection"] == "close"
    assert "ask again later" in answer.json()["error"]
    assert asyncio.run(ask("/healthz")).status_code == 200  # or a supervisor would start the server again
    assert printed == [("request", 503), ("request", 200)]
