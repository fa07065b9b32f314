"""Slow, broken and aborted requests for a while, all mixed; then every good film is read."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from .running import Server, film, running, until

HEAD = b"POST /v1/read HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n"
CLIENTS = 8
GOOD = 100


def slow(wire: socket.socket, rng: random.Random) -> None:
    wire.sendall(HEAD % len(film()))
    for byte in film()[: rng.randrange(12)]:
        wire.sendall(bytes([byte]))
        time.sleep(0.1)


def broken(wire: socket.socket, rng: random.Random) -> None:
    content = bytearray(film())
    for _ in range(20):
        content[rng.randrange(len(content))] = rng.randrange(256)
    wire.sendall(HEAD % len(content) + content)
    wire.recv(64)


def nonsense(wire: socket.socket, rng: random.Random) -> None:
    wire.sendall(rng.randbytes(rng.randrange(1, 4096)))
    wire.recv(64)


def half_closed(wire: socket.socket, rng: random.Random) -> None:
    wire.sendall(HEAD % 10**9)
    wire.shutdown(socket.SHUT_WR)
    wire.recv(64)


def aborted(wire: socket.socket, rng: random.Random) -> None:
    content = film()
    wire.sendall(HEAD % len(content) + content[: rng.randrange(1, len(content) + 1)])
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes with a reset


def good(wire: socket.socket, rng: random.Random) -> None:
    wire.sendall(HEAD % len(film()) + film())
    wire.recv(64)


def trouble(server: Server, seed: int, ended: threading.Event) -> int:
    rng, sent = random.Random(seed), 0
    host, port = server.address.removeprefix("http://").split(":")
    kinds: list[Callable[[socket.socket, random.Random], None]] = [slow, broken, nonsense, half_closed, aborted, good]
    while not ended.is_set():
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=5) as wire:
            rng.choice(kinds)(wire, rng)
        sent += 1
    return sent


@pytest.mark.parametrize("seconds", [8, pytest.param(600, marks=pytest.mark.slow)])
def test_a_server_reads_on_after_any_trouble(seconds: int, bundle: Path) -> None:
    ended = threading.Event()
    with running(bundle, "--workers", "2") as server, ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(trouble, server, seed, ended) for seed in range(CLIENTS)]
        ended.wait(seconds)
        ended.set()
        sent = sum(client.result() for client in clients)
        assert sent >= CLIENTS
        until(lambda: server.metric("lucency_requests_inside") == 0)
        with server.client() as client:
            answers = [client.post("/v1/read", content=film(gray)) for gray in range(50, 50 + GOOD)]
        assert {answer.status_code for answer in answers} == {200}
        assert len(server.readers()) == 2
        assert httpx.get(f"{server.address}/readyz", timeout=60).status_code == 200
        assert server.stop(signal.SIGTERM) == 0
        assert "Traceback" not in "".join(server.raw)
    print(f"{sent} requests in {seconds} s, then {GOOD} good readings")
