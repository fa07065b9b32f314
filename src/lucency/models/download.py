"""Fetch a published file once, into the cache, and keep it only if its hash is right."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lucency.errors import WeightsError
from lucency.files import beside
from lucency.progress import track

CHUNK = 1 << 20
TIMEOUT_S = 30.0


def cache() -> Path:
    """Where downloads are kept: $XDG_CACHE_HOME/lucency, by default ~/.cache/lucency."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "lucency"


def download(url: str, path: Path, sha256: str, elsewhere: str) -> Path:
    """Fetch `url` to `path`, whole or not at all.

    Args:
        url: http or https.
        path: where to keep it.
        sha256: what its SHA-256 must begin with.
        elsewhere: another place for the file, told to those who are offline.

    Raises:
        WeightsError: not reachable, refused, cut short, or not the file that was published.
        OutputError: the cache cannot be written.
    """
    digest = hashlib.sha256()
    with beside(path) as draft, draft.open("wb") as sink:
        for chunk in _chunks(url, f"save that file as {path}, or in {elsewhere}"):
            digest.update(chunk)
            sink.write(chunk)
        if not digest.hexdigest().startswith(sha256):
            raise WeightsError(
                f"{url}: expected sha256 {sha256[:8]}…, received {digest.hexdigest()[:8]}…: truncated or altered; "
                "try again"
            )
    return path


def _chunks(url: str, advice: str) -> Iterator[bytes]:
    """The body in pieces. Network trouble becomes a WeightsError here, so that it is not taken for a full disk."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            chunks = -(-int(response.headers.get("Content-Length", 0)) // CHUNK)
            yield from track(_read(response), f"downloading {url.rsplit('/', 1)[-1]} (MiB)", chunks or None)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection open
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise WeightsError(f"{url}: cannot be fetched ({reason}); {advice}") from error


def _read(response: Any) -> Iterator[bytes]:
    while chunk := response.read(CHUNK):
        yield chunk
