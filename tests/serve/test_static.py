"""The page at `/`: its own files and no others, as a browser wants them."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from lucency.bundle import DEFAULT, open_bundle
from lucency.serve.app import create_app
from lucency.serve.static import page_for
from lucency.web import page_files
from web.browser import chromium

from .running import running

FILES = {
    "index.html": b"<!doctype html><title>page</title>",
    "app.js": b"'use strict';\n" * 100,
    "litert/run.wasm": b"\0asm",
    "bundle/model.tflite": b"TFL3",
    "icon.png": b"\x89PNG",
    "litert/LICENSE": b"Apache",
}


@pytest.fixture
def ask(bundle: Path) -> Callable[..., httpx.Response]:
    """Requests to an application with these files, without a server."""
    app = create_app(open_bundle(bundle), log=lambda *_, **__: None, page=FILES)

    async def go(method: str, path: str, headers: dict[str, str]) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return await client.request(method, path, headers=headers)

    def one(path: str, method: str = "GET", **headers: str) -> httpx.Response:
        return asyncio.run(go(method, path, {name.replace("_", "-"): value for name, value in headers.items()}))

    return one


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/litert/run.wasm", "application/wasm"),
        ("/bundle/model.tflite", "application/octet-stream"),
        ("/icon.png", "image/png"),
        ("/litert/LICENSE", "text/plain; charset=utf-8"),
    ],
)
def test_each_file(ask: Callable[..., httpx.Response], path: str, kind: str) -> None:
    answer = ask(path)
    assert answer.content == FILES[path[1:] or "index.html"]
    assert answer.headers["content-type"] == kind
    assert "connect-src 'self'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers.get_list("cache-control") == ["no-cache"]


def test_smaller_on_the_way(ask: Callable[..., httpx.Response]) -> None:
    plain, packed = ask("/app.js", accept_encoding="identity"), ask("/app.js", accept_encoding="gzip, br")
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) == len(gzip.compress(FILES["app.js"], 6))
    assert packed.content == plain.content == FILES["app.js"]
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in ask("/icon.png", accept_encoding="gzip").headers


def test_not_sent_twice(ask: Callable[..., httpx.Response]) -> None:
    tag = ask("/app.js").headers["etag"]
    assert ask("/app.js", if_none_match=tag).status_code == 304
    assert ask("/app.js", if_none_match=tag).content == b""
    assert ask("/", if_none_match=tag).status_code == 200


@pytest.mark.parametrize("path", ["/nothing.js", "/%2e%2e/app.js", "/litert/", "/app.js/", "/bundle"])
def test_nothing_else(ask: Callable[..., httpx.Response], path: str) -> None:
    assert ask(path).status_code in (404, 307)
    assert ask(path, "POST").status_code in (404, 307)


def test_it_hides_no_route(ask: Callable[..., httpx.Response]) -> None:
    assert ask("/healthz").json() == {"status": "alive"}
    assert "stylesheet" in ask("/docs").text
    assert ask("/docs.css").headers["content-type"].startswith("text/css")
    assert ask("/app.js", "POST").status_code == 405


def test_of_the_bundle_that_is_served(bundle: Path) -> None:
    assert page_for(open_bundle(bundle)) == {}  # ONNX: no page runs it
    small = DEFAULT.with_name("int8")
    if not (DEFAULT.is_dir() and small.is_dir()):
        pytest.skip("needs the bundles that ship")
    assert page_for(open_bundle(DEFAULT)) == page_files(open_bundle(small))


def errors(said: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Of what the console was told; that there is no graphics card is no error."""
    return [line for line in said if line[0] == "error"]


@pytest.mark.long
def test_in_a_browser() -> None:
    """The server's own page opens, loads nothing from elsewhere and finds its network."""
    small = DEFAULT.with_name("int8")
    if not small.is_dir():
        pytest.skip("needs the bundles that ship")
    with chromium() as browser, running(small, "--workers", "1") as server:
        tab, asked, said = browser.new_page(), [], []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: said.append((message.type, message.text, message.location)))
        tab.on("pageerror", lambda error: said.append(("error", str(error))))
        tab.goto(server.address)
        tab.wait_for_function("navigator.serviceWorker.ready.then(() => true)", timeout=120_000)
        assert any("model.tflite" in url for url in asked)
        assert all(url.startswith((server.address, "blob:")) for url in asked)
        assert errors(said) == []
        tab.reload()  # now behind its service worker, and so is what the server says besides
        tab.goto(f"{server.address}/docs", wait_until="networkidle")  # it may ask for an icon late
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 17, 17)"
        assert errors(said) == []
        tab.close()
