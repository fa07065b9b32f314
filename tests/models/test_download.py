"""Downloads from a local server."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lucency.errors import OutputError, WeightsError
from lucency.models.pretrained import cache, download

BODY = bytes(range(256)) * 12_000  # 3 MB: more than one chunk
SHA256 = hashlib.sha256(BODY).hexdigest()


class _Publisher(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing.pth":
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/unsized.pth":
            self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[:-5] if self.path == "/short.pth" else BODY)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def publisher() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Publisher)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("name", ["whole.pth", "unsized.pth"])
def test_download_of_a_published_file(publisher: str, tmp_path: Path, name: str) -> None:
    path = download(f"{publisher}/{name}", tmp_path / "new" / name, SHA256[:8], "elsewhere")
    assert path.read_bytes() == BODY
    assert [found.name for found in path.parent.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "sha256", "message"),
    [
        ("whole.pth", "00000000", "expected sha256 00000000…, received"),
        ("short.pth", SHA256, "truncated or altered; try again"),
        ("missing.pth", SHA256, "cannot be fetched .*save that file as .*missing.pth, or in elsewhere"),
    ],
)
def test_failed_downloads_leave_nothing(publisher: str, tmp_path: Path, name: str, sha256: str, message: str) -> None:
    kept = tmp_path / name
    kept.write_bytes(b"what was there before")
    with pytest.raises(WeightsError, match=message) as caught:
        download(f"{publisher}/{name}", kept, sha256, "elsewhere")
    assert "\n" not in str(caught.value)
    assert kept.read_bytes() == b"what was there before"
    assert [found.name for found in tmp_path.iterdir()] == [name]


def test_offline_error_names_the_file_and_its_place(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"127.0.0.1:9/x.pth: cannot be fetched .* save that file as .*x.pth"):
        download("http://127.0.0.1:9/x.pth", tmp_path / "x.pth", SHA256, "elsewhere")
    assert not list(tmp_path.iterdir())


def test_an_unwritable_cache_is_an_output_error(publisher: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError):
        download(f"{publisher}/whole.pth", tmp_path / "file" / "x.pth", SHA256, "elsewhere")


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache() == tmp_path / "lucency"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache() == Path.home() / ".cache" / "lucency"
