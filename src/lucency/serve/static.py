"""What browsers get: the page that reads on the device itself at `/`, and the manual at `/docs`."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import PurePosixPath
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from lucency import NOTICE
from lucency.bundle import DEFAULT, Bundle, open_bundle
from lucency.files import sha256_bytes
from lucency.web import CSP, page_files

PAGE = "page"
"""The tag of the page's routes, and their name in log and counters."""
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    "": "text/plain; charset=utf-8",
}
COMPRESSED = {".png", ".jpg", ".jpeg"}
"""Files that gzip does not shrink."""
MANUAL_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'"
}
ICON = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="3" fill="#fd8"/></svg>'
STYLE_PATH = "/docs.css"
"""A file of its own: the page's service worker forbids inline styles."""
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "body{background:#111;color:#ddd}"
    "a{color:#9cf}h2{margin:2rem 0 0;font-size:1.05rem}code,pre{font-size:.9rem;color:#fd8}"
    "td{padding:.1rem .8rem .1rem 0;vertical-align:top}pre{white-space:pre-wrap}"
)


@dataclass
class Asset:
    """A file of the page, held in memory.

    Starlette's GZipMiddleware would compress 20 MB of runtime for each visitor, on the event loop beside the readings;
    here each file is compressed once, in a thread.
    """

    content: bytes
    suffix: str
    compressed: asyncio.Task[bytes] | None = None

    def __post_init__(self) -> None:
        # May be kept but is revalidated each time: a new bundle shows at once, and the same one costs a 304.
        self.headers = {
            "Content-Security-Policy": f"{CSP}; frame-ancestors 'none'",
            "ETag": f'W/"{sha256_bytes(self.content)[:32]}"',
            "Cache-Control": "no-cache",
            "Vary": "Accept-Encoding",
        }

    async def response(self, request: Request) -> Response:
        """The file, or 304 where the browser has it."""
        if self.headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=self.headers)
        kind = MEDIA_TYPES.get(self.suffix, "application/octet-stream")
        if self.suffix in COMPRESSED or "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(self.content, headers=self.headers, media_type=kind)
        self.compressed = self.compressed or asyncio.create_task(asyncio.to_thread(gzip.compress, self.content, 6))
        headers = {**self.headers, "Content-Encoding": "gzip"}
        return Response(await asyncio.shield(self.compressed), headers=headers, media_type=kind)


def page_for(bundle: Bundle) -> Mapping[str, bytes]:
    """The page's files for this bundle; for the one that ships those of its smaller int8 edition, as `lucency web`.

    Empty for a bundle that browsers cannot run.

    Raises:
        BundleError: a file of it has changed.
    """
    small = DEFAULT.with_name("int8")
    if bundle.path == DEFAULT and small.is_dir():
        bundle = open_bundle(small)
    model = bundle.card.model
    shown = model.format == "litert" and model.architecture is None
    return page_files(bundle) if shown else {}


def page_routes(files: Mapping[str, bytes]) -> APIRouter:
    """A route for each file, and `/` for index.html."""
    router = APIRouter(tags=[PAGE], include_in_schema=False)
    for name, content in files.items():
        asset = Asset(content, PurePosixPath(name).suffix)
        for path in {f"/{name}", f"/{name.removesuffix('index.html')}"}:
            router.add_api_route(path, asset.response, methods=["GET", "HEAD"])
    return router


def manual_routes(app: FastAPI, needs_token: bool, front: bool) -> APIRouter:
    """`/docs` out of the application's own OpenAPI, without scripts; `/` as well where `front`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        return HTMLResponse(_manual(app.openapi(), needs_token), headers=MANUAL_HEADERS)

    @router.get("/favicon.ico")  # browsers ask for one beside any page
    async def icon() -> Response:
        return Response(ICON, media_type="image/svg+xml")

    @router.get(STYLE_PATH)
    async def style() -> Response:
        return Response(STYLE, media_type="text/css")

    if front:

        @router.get("/")
        async def root() -> HTMLResponse:
            text = 'This server reads films: <code>POST /v1/read</code>. See <a href="/docs">/docs</a>.'
            return HTMLResponse(_html(f"<p>{text}</p>"), headers=MANUAL_HEADERS)

    return router


def _manual(openapi: dict[str, Any], needs_token: bool) -> str:
    token = " -H 'Authorization: Bearer TOKEN'" if needs_token else ""
    examples = (
        f"curl{token} -F film=@film.png http://HOST/v1/read\n"
        f"curl{token} --data-binary @film.dcm http://HOST/v1/read?map=png"
    )
    routes = (_route(method, path, spec) for path, ways in openapi["paths"].items() for method, spec in ways.items())
    schema = '<p>For programs: <a href="/openapi.json">/openapi.json</a></p>'
    return _html(f"<pre>{escape(examples)}</pre>{''.join(routes)}{schema}")


def _route(method: str, path: str, spec: dict[str, Any]) -> str:
    about = _text(spec.get("description", "")).replace("\n\n", "</p><p>")
    body = spec.get("requestBody", {}).get("content", {})
    takes = f"<p>Takes {escape(', '.join(body))}</p>" if body else ""
    asked = "".join(_row(f"?{at['name']}=", at.get("description", "")) for at in spec.get("parameters", ()))
    rows = "".join(_row(status, answer["description"]) for status, answer in sorted(spec["responses"].items()))
    return f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{about}</p>{takes}<table>{asked}{rows}</table>"


def _row(name: str, about: str) -> str:
    return f"<tr><td><code>{escape(name)}</code></td><td>{_text(about)}</td></tr>"


def _text(markdown: str) -> str:
    """OpenAPI's descriptions are Markdown; ours use code spans and paragraphs of it."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(markdown))


def _html(body: str) -> str:
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>lucency</title>'
    head += f'<link rel="stylesheet" href="{STYLE_PATH}">'
    return f"{head}<h1>lucency</h1><p><strong>{NOTICE}</strong></p>{body}</html>"
