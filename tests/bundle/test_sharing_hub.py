"""Push and pull against a stand-in for the Hub's API on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lucency.bundle import DEFAULT, open_bundle
from lucency.cli import run
from lucency.errors import BundleError, OutputError

pytest.importorskip("huggingface_hub", reason="needs lucency[hub]")
from lucency.bundle import sharing

REPO = "me/lecture"
COMMIT = "c" * 40


class StandIn(BaseHTTPRequestHandler):
    """One model repository: its files in memory, one commit."""

    files: dict[str, bytes] | None = None

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            type(self).files = self.files or {}
            self.answer({"url": f"http://{self.headers['Host']}/{REPO}"})
        elif "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            self.answer(
                {"files": [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in asked]}
            )
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        else:
            self.commit(body)

    def commit(self, body: bytes) -> None:
        assert self.files is not None
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        self.answer({"commitUrl": f"http://{self.headers['Host']}/{REPO}/commit/{COMMIT}", "commitOid": COMMIT})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        files, name = self.files, self.path.partition(f"/resolve/{COMMIT}/")[2]
        if files is None or (name and name not in files):
            self.send_error(404)
        elif name:
            self.answer(files[name])
        else:
            names = [{"rfilename": one, "size": len(content)} for one, content in files.items()]
            self.answer({"id": REPO, "sha": COMMIT, "siblings": names})

    def answer(self, content: Any) -> None:
        sent = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(sent)))
        self.send_header("ETag", f'"{hashlib.sha1(sent).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(sent)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[StandIn]]:
    handler = type("Handler", (StandIn,), {"files": None})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listening.server_port}")
    monkeypatch.setenv("HF_TOKEN", "hf_standin")
    yield handler
    listening.shutdown()
    listening.server_close()
    thread.join()


@pytest.fixture
def stored(server: type[StandIn], tmp_path: Path) -> dict[str, bytes]:
    """The files of the bundle that ships, pushed by the command."""
    card = tmp_path / "model-card.md"
    card.write_text("# lecture")
    assert run(["bundle", "push", str(DEFAULT), REPO, "--card", str(card)]) == 0
    assert server.files is not None
    return server.files


def test_what_was_pushed_is_pulled_to_the_byte(stored: dict[str, bytes], tmp_path: Path) -> None:
    assert run(["bundle", "pull", REPO, str(tmp_path / "pulled")]) == 0
    assert stored.pop("README.md") == b"# lecture"
    pulled = tmp_path / "pulled"
    assert {str(path.relative_to(pulled)) for path in pulled.rglob("*") if path.is_file()} == set(stored)
    assert open_bundle(pulled).digest == open_bundle(DEFAULT).digest


@pytest.mark.parametrize("name", ["card.json", "model.tflite"])
def test_altered_bytes_are_refused_and_nothing_is_left(name: str, stored: dict[str, bytes], tmp_path: Path) -> None:
    stored[name] += b"\n"
    with pytest.raises(BundleError, match=rf"^{REPO}: .*(card\.sha256|changed)"):
        sharing.pull(REPO, tmp_path / "here" / "pulled")
    assert list((tmp_path / "here").iterdir()) == []


def test_a_listed_file_that_is_missing_is_named(stored: dict[str, bytes], tmp_path: Path) -> None:
    del stored["golden/golden.json"]
    with pytest.raises(BundleError, match=r"golden/golden\.json is missing"):
        sharing.pull(REPO, tmp_path / "pulled")


def test_a_file_beyond_the_limit_is_not_fetched(
    stored: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "MAX_BYTES", 1 << 20)
    with pytest.raises(BundleError, match="larger"):
        sharing.pull(REPO, tmp_path / "pulled")


def test_an_unknown_repository_and_a_wrong_name(server: type[StandIn], tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="404"):
        sharing.pull(REPO, tmp_path / "pulled")
    with pytest.raises(BundleError, match="OWNER/NAME"):
        sharing.pull("no such name", tmp_path / "pulled")


def test_no_hub_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OutputError, match="cannot be reached"):
        sharing.push(DEFAULT, REPO)


def test_an_altered_bundle_is_not_pushed(server: type[StandIn], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(DEFAULT, tmp_path / "copy"))
    (copy / "LICENSE").write_text("another")
    with pytest.raises(BundleError, match="LICENSE has changed"):
        sharing.push(copy, REPO)
    assert server.files is None


def test_what_is_there_is_not_replaced(stored: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "pulled").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        sharing.pull(REPO, tmp_path / "pulled")
