"""A whole server over HTTP: what it answers, and what it never tells."""

from __future__ import annotations

import base64
import io
import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image

from film.conftest import MakeDicom
from lucency import NOTICE
from lucency.bundle import open_bundle
from lucency.cli import run

from .running import Server, film, running, until

NAME = "DOE_JOHN_1970.png"
CALIBRATED = {"verdict", "called", "finding", "probability", "logit", "warnings"}


def form(*films: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("film", (NAME, each)) for each in films]


def test_the_same_as_on_the_command_line(
    server: Server, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "film.png").write_bytes(film(150))
    assert run(["read", str(tmp_path / "film.png"), "--bundle", str(bundle), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    with server.client() as client:
        answer = client.post("/v1/read", content=film(150)).json()
    assert set(answer) == set(printed) | {"model", "notice"}
    assert {name: answer[name] for name in CALIBRATED} == {name: printed[name] for name in CALIBRATED}
    assert answer["model"]["digest"] == open_bundle(bundle).digest
    assert answer["notice"] == NOTICE


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_as_a_body_and_as_a_form(server: Server, kind: str) -> None:
    with server.client() as client:
        bare = client.post("/v1/read", content=film(kind=kind))
        sent = client.post("/v1/read", files=form(film(kind=kind)))
    assert bare.status_code == 200
    assert bare.json() == sent.json()


def test_a_dicom(server: Server, make_dicom: MakeDicom) -> None:
    import numpy as np

    pixels = np.full((32, 32), 40000, dtype=np.uint16)
    pixels[0, 0] = 0
    with server.client() as client:
        answer = client.post("/v1/read", content=make_dicom(pixels, PatientName="Doe^John"))
    assert answer.status_code == 200
    assert "Doe" not in answer.text
    assert "P7" not in answer.text


def test_with_its_map(server: Server) -> None:
    with server.client() as client:
        shown = client.post("/v1/read?map=png", content=film(side=40)).json()
        alone = client.post("/v1/read", content=film(side=40), headers={"Accept": "image/png"})
    drawn = base64.b64decode(shown["map"], validate=True)
    with Image.open(io.BytesIO(drawn)) as image:
        assert image.size == (40, 40)
    assert alone.headers["content-type"] == "image/png"
    assert alone.content == drawn
    assert json.loads(alone.headers["lucency-reading"]) == {name: shown[name] for name in shown if name != "map"}


def test_a_batch(server: Server) -> None:
    with server.client() as client:
        shown = client.post("/v1/batch", files=form(film(160), b"GIF89a", film(96))).json()
    bright, broken, dark = shown["readings"]
    assert (bright["film"], bright["verdict"]) == ("film 1", "pneumonia")
    assert broken["error"].startswith("film 2: found a GIF image")
    assert (dark["film"], dark["verdict"]) == ("film 3", "normal")
    assert shown["unread"] == 1
    assert shown["notice"] == NOTICE


def test_the_maps_of_a_batch_are_bounded_together(server: Server) -> None:
    """Three overlays of 2048 / √3 = 1,182 pixels hold as much as one of 2,048."""
    with server.client() as client:
        shown = client.post("/v1/batch?map=png", files=form(*[film(side=1300)] * 3)).json()
    for reading in shown["readings"]:
        with Image.open(io.BytesIO(base64.b64decode(reading["map"]))) as image:
            assert image.size == (1182, 1182)


@pytest.mark.parametrize(
    ("path", "content", "status", "shown"),
    [
        ("/v1/read", b"", 422, "film: found an empty file"),
        ("/v1/read", b"hello", 422, "film: found a text file; expected PNG, JPEG or TIFF"),
        ("/v1/read", film()[:60], 422, "film: found a PNG that cannot be decoded"),
        ("/v1/read", film(side=1500), 422, "1500 x 1500 pixels.*at most 2 megapixels"),
        ("/v1/read?map=jpeg", film(), 422, "query.map: .*'none' or 'png'"),
        ("/v1/read", b"\0" * (2**20 + 1), 413, "at most 1 MiB"),
        ("/v1/batch", film(), 400, "expected a form"),
        ("/v1/nothing", film(), 404, "see /docs"),
        ("/healthz", film(), 405, "see /docs"),
    ],
)
def test_what_it_refuses(server: Server, path: str, content: bytes, status: int, shown: str) -> None:
    with server.client() as client:
        answer = client.post(path, content=content)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert re.search(shown, answer.json()["error"])
    assert answer.json()["error"].isprintable()


@pytest.mark.parametrize(
    ("path", "films", "status", "shown"),
    [
        ("/v1/read", [b"a", b"b"], 422, "expected one film, came 2"),
        ("/v1/batch", [b"a"] * 4, 422, "at most 3 films"),
        ("/v1/read", [b"not a film"], 422, "^film: found a text file"),
    ],
)
def test_forms_it_refuses(server: Server, path: str, films: list[bytes], status: int, shown: str) -> None:
    with server.client() as client:
        answer = client.post(path, files=form(*films))
    assert answer.status_code == status
    assert re.search(shown, answer.json()["error"])
    assert NAME not in answer.text


def test_a_body_that_grows_without_saying_so(server: Server) -> None:
    with server.client() as client:
        answer = client.post("/v1/read", content=iter([b"\0" * 2**18] * 6))
    assert answer.status_code == 413


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("size", [2**20 + 1, 10**11])
def test_a_body_that_says_more_than_it_sends(size: int, ends: bool, server: Server) -> None:
    """A client that says that it sends no more is answered as well, each time."""
    host, port = server.address.removeprefix("http://").split(":")
    for _ in range(10):
        with socket.create_connection((host, int(port)), timeout=60) as wire:
            wire.sendall(f"POST /v1/read HTTP/1.1\r\nHost: here\r\nContent-Length: {size}\r\n\r\n".encode())
            if ends:
                wire.shutdown(socket.SHUT_WR)
            assert wire.recv(64).startswith(b"HTTP/1.1 413")


def test_a_client_that_goes_in_the_midst_of_a_body_gives_its_place_back(server: Server) -> None:
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as wire:
        wire.sendall(b"POST /v1/read HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\n")
        wire.shutdown(socket.SHUT_WR)
        assert wire.recv(64) == b""
    until(lambda: server.metric("lucency_requests_inside") == 0)


def test_for_those_who_run_it(server: Server, bundle: Path) -> None:
    with server.client() as client:
        client.post("/v1/read", content=film())
        assert client.get("/healthz").json() == {"status": "alive"}
        ready = client.get("/readyz").json()
        numbers = client.get("/metrics")
    assert ready["processes"] == 1
    assert ready["model"]["digest"] == open_bundle(bundle).digest
    assert numbers.headers["content-type"].startswith("text/plain")
    assert server.metric('lucency_requests_total{route="/v1/read",status="200"}') >= 1
    assert server.metric("lucency_requests_inside") == 0
    assert server.metric("lucency_processes") == 1


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_for_people(server: Server, path: str) -> None:
    with server.client() as client:
        page = client.get(path)
    # Nothing from elsewhere, and no script.
    assert all(target.startswith("/") for target in re.findall(r'(?:src|href)="([^"]*)"', page.text))
    assert "<script" not in page.text
    assert NOTICE in page.text
    assert "/v1/read" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_no_answer_is_kept_by_anyone_on_the_way(server: Server) -> None:
    with server.client() as client:
        for answer in (client.post("/v1/read", content=film()), client.post("/v1/read"), client.get("/nothing")):
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"


def test_nothing_of_a_film_or_its_sender_is_logged(bundle: Path, make_dicom: MakeDicom) -> None:
    import numpy as np

    secret = "Doe^John"
    dicom = make_dicom(
        np.zeros((16, 16), dtype=np.uint16), PatientName=secret, PatientID=secret, WindowCenter="1234", WindowWidth=64
    )
    no_number = dicom.replace(b"1234", b"Doe^")  # its Window Center, which a decoder may quote
    assert no_number != dicom
    with running(bundle, "--workers", "1") as server, server.client(headers={"User-Agent": secret}) as client:
        for content in (film(), dicom, no_number, b"rubbish"):
            client.post(f"/v1/read?name={secret}", files=[("film", (f"{secret}.dcm", content))])
            client.post(f"/{secret}", content=content)
        raw_wire(server, f"POST /{secret} nonsense {secret}\r\n\r\n".encode())
        assert server.stop() == 0
    log = "".join(server.raw)
    assert "Doe" not in log
    assert [event["event"] for event in server.events] == ["serving", *["request"] * 8]
    assert {event["route"] for event in server.events[1:]} == {"/v1/read", "other"}


def raw_wire(server: Server, request: bytes) -> None:
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as wire:
        wire.sendall(request)
        wire.settimeout(60)
        wire.recv(1000)


def test_tokens(bundle: Path, tmp_path: Path) -> None:
    token = "0123456789abcdef0123"
    with running(bundle, "--workers", "1", env={"LUCENCY_TOKENS": token}) as server, server.client() as client:
        for headers in (
            {},
            {"Authorization": token},
            {"Authorization": "Bearer no"},
            {"Authorization": f"Basic {token}"},
        ):
            for path in ("/v1/read", "/v1/batch"):
                answer = client.post(path, content=film(), headers=headers)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                assert "token" in answer.json()["error"]
            assert client.get("/metrics", headers=headers).status_code == 401
        known = {"Authorization": f"Bearer {token}"}
        assert client.post("/v1/read", content=film(), headers=known).status_code == 200
        assert client.get("/metrics", headers=known).status_code == 200
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        assert client.get("/openapi.json").json()["paths"]["/v1/read"]["post"]["security"]


def test_a_client_that_leaves_costs_nothing(server: Server) -> None:
    host, port = server.address.removeprefix("http://").split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port))) as wire:
            wire.sendall(b"POST /v1/read HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\n" + b"\0" * 500)
    with httpx.Client() as client:
        assert client.post(f"{server.address}/v1/read", content=film(), timeout=60).status_code == 200
    assert server.metric("lucency_requests_inside") == 0


def test_two_lengths_of_one_body_are_refused(server: Server) -> None:
    """A proxy in front may go by the one, the server by the other: what is behind is then another's request."""
    both = b"POST /v1/read HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as wire:
        wire.sendall(both + b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
        answer = b"".join(iter(lambda: wire.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1  # closed: nothing behind it is answered


@pytest.mark.parametrize(
    ("origin", "status"), [(None, 200), ("same", 200), ("http://evil.example", 403), ("null", 403)], ids=str
)
def test_pages_of_other_origins(server: Server, origin: str | None, status: int) -> None:
    headers = {} if origin is None else {"Origin": server.address if origin == "same" else origin}
    with server.client(headers=headers) as client:
        assert client.post("/v1/read", content=film()).status_code == status
        assert client.get("/metrics").status_code == status
        assert client.get("/healthz").status_code == 200


def test_the_manual_shows_no_markdown(server: Server) -> None:
    with server.client() as client:
        page = client.get("/docs").text
    assert "<code>Accept: image/png</code>" in page
    assert "`" not in page


@pytest.mark.parametrize(
    "options", [("--tokens", "/nowhere"), ("--bundle", "/nowhere"), ("--host", "203.0.113.1")], ids=str
)
def test_the_json_log_is_all_json(options: tuple[str, str]) -> None:
    command = [sys.executable, "-m", "lucency", "serve", "--json", "--port", "0", "--workers", "1", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode in (2, 7)
    (line,) = map(json.loads, ended.stderr.splitlines())
    assert line["event"] == "error"
    assert {"code", "message", "time"} < line.keys()


def test_interrupted_in_json(bundle: Path) -> None:
    with running(bundle, "--workers", "1") as server:
        assert server.stop(signal.SIGINT) == 130
    assert [json.loads(line)["event"] for line in server.raw] == ["serving", "interrupted"]
