"""Too much, too slow, killed: each accepted request is answered, each other one is told to come again."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from lucency.errors import BundleError
from lucency.serve.app import LAST_RESORT_S
from lucency.serve.settings import Limits

from .running import Server, film, running, until

SLACK_S = 30
"""For a machine that does much else."""

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs signals that hold a process"),
]


def posted(server: Server, times: int, pool: ThreadPoolExecutor) -> list[Future[httpx.Response]]:
    """So many films sent at once, each over a connection of its own."""
    return [pool.submit(httpx.post, f"{server.address}/v1/read", content=film(), timeout=120) for _ in range(times)]


def inside(server: Server, number: int) -> Callable[[], bool]:
    return lambda: server.metric("lucency_requests_inside") == number


def test_more_than_it_can_hold(bundle: Path) -> None:
    with running(bundle, "--workers", "1", "--queue", "2") as server, ThreadPoolExecutor(16) as pool:
        (reader,) = server.readers()
        os.kill(reader, signal.SIGSTOP)
        kept = posted(server, 3, pool)
        until(inside(server, 3))
        refused = [answer.result() for answer in posted(server, 5, pool)]
        assert [answer.status_code for answer in refused] == [503] * 5
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert "ask again later" in refused[0].json()["error"]
        assert httpx.get(f"{server.address}/healthz", timeout=60).status_code == 200
        os.kill(reader, signal.SIGCONT)
        assert [answer.result().status_code for answer in kept] == [200] * 3
        assert posted(server, 1, pool)[0].result().status_code == 200


def routes(server: Server) -> list[str]:
    """Of films, in the order in which they were answered."""
    return [event["route"] for event in server.events if str(event.get("route")).startswith("/v1/")]


def test_a_batch_lets_others_in_between_its_films(bundle: Path) -> None:
    """With one worker another request waits for one film of the batch, or two, not for all six."""
    with running(bundle, "--workers", "1") as server, ThreadPoolExecutor(2) as pool:
        (reader,) = server.readers()
        os.kill(reader, signal.SIGSTOP)
        films = [("film", ("x", film(side=1000)))] * 6
        batch = pool.submit(httpx.post, f"{server.address}/v1/batch?map=png", files=films, timeout=120)
        until(inside(server, 1))
        (single,) = posted(server, 1, pool)
        until(inside(server, 2))
        os.kill(reader, signal.SIGCONT)
        assert (batch.result().status_code, single.result().status_code) == (200, 200)
        until(lambda: len(routes(server)) == 2)  # the log may come after the answers
        assert routes(server) == ["/v1/read", "/v1/batch"]


def test_a_reader_that_hangs_is_replaced(bundle: Path) -> None:
    with running(bundle, "--workers", "1", "--timeout", "2") as server, ThreadPoolExecutor(1) as pool:
        (reader,) = server.readers()
        os.kill(reader, signal.SIGSTOP)
        answer = posted(server, 1, pool)[0].result()
        assert (answer.status_code, answer.json()["error"]) == (422, "film: not read within 2 s")
        until(lambda: server.readers() not in ([], [reader]))
        until(lambda: httpx.get(f"{server.address}/readyz", timeout=60).status_code == 200)
        assert posted(server, 1, pool)[0].result().status_code == 200


def test_a_reader_that_is_killed_costs_no_film(bundle: Path) -> None:
    with running(bundle, "--workers", "1") as server, ThreadPoolExecutor(4) as pool:
        (reader,) = server.readers()
        os.kill(reader, signal.SIGSTOP)
        kept = posted(server, 4, pool)
        until(inside(server, 4))
        os.kill(reader, signal.SIGKILL)
        assert [answer.result().status_code for answer in kept] == [200] * 4
        assert {"event": "process ended", "why": "it was killed or crashed while reading"}.items() <= next(
            event for event in server.events if event["event"] == "process ended"
        ).items()


def test_an_idle_reader_that_is_killed_is_replaced(bundle: Path) -> None:
    with running(bundle, "--workers", "1") as server:
        (reader,) = server.readers()
        os.kill(reader, signal.SIGKILL)
        until(lambda: server.readers() not in ([], [reader]))
        until(lambda: httpx.get(f"{server.address}/readyz", timeout=60).status_code == 200)


def test_not_ready_without_readers(bundle: Path, tmp_path: Path) -> None:
    """A bundle that has changed since is not read with: the answers would not be those that were announced."""
    import shutil

    from cli.brightness import write_brightness_bundle

    mine = tmp_path / "bundle"
    shutil.copytree(bundle, mine)
    with running(mine, "--workers", "1") as server:
        shutil.rmtree(mine)
        write_brightness_bundle(mine, threshold=0.6)
        os.kill(server.readers()[0], signal.SIGKILL)
        until(lambda: any(event["event"] == "process does not start" for event in server.events))
        answer = httpx.get(f"{server.address}/readyz", timeout=60)
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        assert "has changed" in next(event["why"] for event in server.events if "start" in event["event"])


def test_sigterm_loses_nothing_that_was_accepted(bundle: Path) -> None:
    with running(bundle, "--workers", "1") as server, ThreadPoolExecutor(6) as pool:
        (reader,) = server.readers()
        os.kill(reader, signal.SIGSTOP)
        kept = posted(server, 6, pool)
        until(inside(server, 6))
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not connects(server))
        os.kill(reader, signal.SIGCONT)
        assert [answer.result().status_code for answer in kept] == [200] * 6
        assert server.process.wait(60) == 0
        until(lambda: not alive(reader))


def test_sigterm_ends_in_the_stated_time_whatever_hangs(bundle: Path) -> None:
    """Readers that hang, films that wait for them, a body that never comes."""
    limits = Limits(seconds=1)
    with running(bundle, "--workers", "2", "--timeout", "1") as server, ThreadPoolExecutor(6) as pool:
        for reader in server.readers():
            os.kill(reader, signal.SIGSTOP)
        with wire(server) as sending:
            sending.sendall(b"POST /v1/read HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\n\0")
            waiting = posted(server, 4, pool)
            until(lambda: server.metric("lucency_requests_inside") >= 3)
            server.process.send_signal(signal.SIGTERM)
            sent = time.monotonic()
            assert server.process.wait(120) in (0, 1)
            assert time.monotonic() - sent < math.ceil(limits.seconds + 2 * limits.max_wait_s) + LAST_RESORT_S + SLACK_S
        assert all(answer.exception() is not None or answer.result() is not None for answer in waiting)


def test_a_half_sent_film_may_be_finished_after_sigterm(bundle: Path) -> None:
    content = film()
    with running(bundle, "--workers", "1") as server, wire(server) as sending:
        sending.sendall(f"POST /v1/read HTTP/1.1\r\nHost: here\r\nContent-Length: {len(content)}\r\n\r\n".encode())
        sending.sendall(content[:50])
        until(inside(server, 1))
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not connects(server))
        sending.sendall(content[50:])
        assert sending.recv(12) == b"HTTP/1.1 200"
        assert server.process.wait(60) == 0


def test_sigkill_leaves_nothing_behind_and_fails_clearly(bundle: Path) -> None:
    with running(bundle, "--workers", "2") as server, ThreadPoolExecutor(2) as pool:
        readers = server.readers()
        assert len(readers) == 2
        for reader in readers:
            os.kill(reader, signal.SIGSTOP)
        lost = posted(server, 2, pool)
        until(inside(server, 2))
        server.stop(signal.SIGKILL)
        for answer in lost:
            with pytest.raises(httpx.TransportError):
                answer.result()
        for reader in readers:
            os.kill(reader, signal.SIGCONT)
        until(lambda: not any(map(alive, readers)))
        port = server.address.rpartition(":")[2]
        with running(bundle, "--workers", "1", "--port", port) as again:
            assert posted(again, 1, pool)[0].result().status_code == 200


def test_a_server_whose_readers_do_not_start_says_so(bundle: Path, tmp_path: Path) -> None:
    """One line and an exit code, not a server that is up and reads nothing, nor an end without a word."""
    command = [sys.executable, "-m", "lucency", "serve", "--bundle", str(bundle), "--port", "0", "--workers", "1"]
    broken = tmp_path / "onnxruntime"  # of the readers only: the server itself never opens a network
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('no such runtime')\n", encoding="utf-8")
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert ended.returncode == BundleError.exit_code
    assert "needs ONNX Runtime" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_ctrl_c(bundle: Path) -> None:
    with running(bundle, "--workers", "1") as server:
        readers = server.readers()
        assert server.stop(signal.SIGINT) == 130
        until(lambda: not any(map(alive, readers)))
    assert "Traceback" not in "".join(server.raw)


def test_a_film_that_comes_too_slowly(bundle: Path) -> None:
    with running(bundle, "--workers", "1", "--timeout", "1") as server, wire(server) as sending:
        sending.sendall(b"POST /v1/read HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\n\0")
        sending.settimeout(60)
        assert sending.recv(12) == b"HTTP/1.1 408"


def wire(server: Server) -> socket.socket:
    host, port = server.address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=120)


def connects(server: Server) -> bool:
    try:
        wire(server).close()
    except OSError:
        return False
    return True


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that has ended but was not waited for is a zombie until its adopter looks; it reads nothing any more.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(") ")[2][:1] != "Z"
