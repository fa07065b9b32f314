"""The page that reads on the device itself, at `/`, as `lucency web` writes it. No film comes to this server by it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from fastapi import APIRouter, Request, Response

from lucency.bundle import DEFAULT, Bundle, open_bundle
from lucency.files import sha256_bytes
from lucency.web import CSP, page_files

PAGE = "page"
"""The tag of these routes, and what log and counters call them all."""
POLICY = f"{CSP}; frame-ancestors 'none'"
KINDS = {
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
OTHER = "application/octet-stream"
PACKED = {".png", ".jpg", ".jpeg"}
"""Kinds that gzip makes no smaller."""


@dataclass
class Asset:
    """A file of the page."""

    content: bytes
    kind: str
    tag: str
    """Names the content: a browser that has it already is told so."""
    packed: asyncio.Task[bytes] | None = field(default=None)

    async def small(self) -> bytes:
        """The content by gzip; made once, when someone first asks, beside the films."""
        self.packed = self.packed or asyncio.create_task(asyncio.to_thread(gzip.compress, self.content, 6))
        return await asyncio.shield(self.packed)


def page_for(bundle: Bundle) -> Mapping[str, bytes]:
    """The page's files for who is served `bundle`: of that bundle, or, as `lucency web` does, the smaller int8 edition
    of the one that ships. Nothing for a bundle that no browser reads.

    Raises:
        BundleError: a file of it has changed.
    """
    small = DEFAULT.with_name("int8")
    if bundle.path == DEFAULT and small.is_dir():
        bundle = open_bundle(small)
    return page_files(bundle) if bundle.card.model.format == "litert" else {}


def site_routes(files: Mapping[str, bytes]) -> APIRouter:
    """A route for each file by its path, and `/` for index.html."""
    router = APIRouter(tags=[PAGE], include_in_schema=False)
    for path, content in files.items():
        suffix = PurePosixPath(path).suffix
        asset = Asset(content, KINDS.get(suffix, OTHER), f'W/"{sha256_bytes(content)[:32]}"')
        _offer(router, f"/{path}", asset, suffix not in PACKED)
        if path == "index.html":
            _offer(router, "/", asset, True)
    return router


def _offer(router: APIRouter, path: str, asset: Asset, shrinks: bool) -> None:
    # It may be kept, but asked for again each time: a new bundle must show at once, and costs 304 while it is the same.
    headers = {
        "Content-Security-Policy": POLICY,
        "ETag": asset.tag,
        "Cache-Control": "no-cache",
        "Vary": "Accept-Encoding",
    }

    @router.api_route(path, methods=["GET", "HEAD"])
    async def send(request: Request) -> Response:
        if asset.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if shrinks and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(await asset.small(), headers={**headers, "Content-Encoding": "gzip"}, media_type=asset.kind)
        return Response(asset.content, headers=headers, media_type=asset.kind)
