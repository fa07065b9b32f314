"""Films on a web server, read by worker processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lucency.bundle import Bundle
from lucency.score import ENGINES, open_manifest, score

from .films import everything, write_films


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    manifest = write_films(tmp_path / "films", 30)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(manifest.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield manifest, f"http://127.0.0.1:{server.server_port}/list.txt"
    server.shutdown()
    server.server_close()


def test_http_scores_equal_those_from_disk(served: tuple[Path, str], bundle: Bundle, tmp_path: Path) -> None:
    manifest, url = served
    for source, out in ((str(manifest), "disk"), (url, "http")):
        score(open_manifest(source), bundle, str(tmp_path / out), ENGINES["local"], workers=1)
    assert everything(tmp_path / "http").equals(everything(tmp_path / "disk"))
