"""Films, manifest and scores in S3 (moto), by the command in a process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lucency.bundle import Bundle
from lucency.score import ENGINES, open_manifest, score

from .films import BAD, everything, write_films

pytestmark = pytest.mark.long

FILMS = 60
EMPTY = "00013.png"
STARTS_WITHIN_S = 300
SETTINGS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket `films`, reachable from child processes."""
    pytest.importorskip("s3fs", reason="needs lucency[s3]")
    served = pytest.importorskip("moto.server", reason="needs moto[server]")
    import boto3

    server = served.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {**SETTINGS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
        monkeypatch.setenv(name, value)
    store = boto3.resource("s3")
    try:
        yield store.create_bucket(Bucket="films")
    finally:
        store.meta.client.close()
        server.stop()


def parts(bucket: Any) -> list[Any]:
    return [found for found in bucket.objects.filter(Prefix="out/") if "/part-" in found.key]


def test_a_killed_scoring_resumes_in_s3(bucket: Any, bundle: Bundle, tmp_path: Path) -> None:
    manifest = write_films(tmp_path / "films", FILMS)
    (manifest.parent / EMPTY).write_bytes(b"")
    for path in manifest.parent.iterdir():
        bucket.put_object(Key=f"in/{path.name}", Body=path.read_bytes())
    score(open_manifest(str(manifest)), bundle, str(tmp_path / "disk"), ENGINES["plain"], shard=5)

    words = [
        sys.executable,
        "-m",
        "lucency",
        "score",
        "--manifest",
        "s3://films/in/list.txt",
        "--out",
        "s3://films/out",
    ]
    words += ["--bundle", str(bundle.path), "--workers", "1", "--shard", "5"]
    kill_after_a_part(words, bucket)
    assert 0 < len(parts(bucket)) < FILMS // 5, "else nothing was left to go on with"
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    (tmp_path / "s3").mkdir()
    for part in parts(bucket):
        (tmp_path / "s3" / Path(part.key).name).write_bytes(part.get()["Body"].read())
    rows = everything(tmp_path / "s3")
    assert rows["row"].to_pylist() == list(range(FILMS))
    assert rows.equals(everything(tmp_path / "disk"))
    assert rows["error_kind"].to_pylist().count(None) == FILMS - len(BAD) - 1
    assert "an empty file" in rows["error"].to_pylist()[int(Path(EMPTY).stem)]


def kill_after_a_part(words: list[str], bucket: Any) -> None:
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + STARTS_WITHIN_S
    try:
        while not parts(bucket):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
