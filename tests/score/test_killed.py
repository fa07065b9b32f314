"""SIGKILL and restart: one row per film, and the scores of an uninterrupted run."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lucency.bundle import DEFAULT, Bundle, open_bundle
from lucency.data.phantom import draw
from lucency.score import ENGINES, open_manifest, score

from .films import everything, write_films

pytestmark = pytest.mark.long

KILLS = 3
STARTS_WITHIN_S = 300


def command(manifest: Path, bundle: Path, out: Path, shard: int) -> list[str]:
    options = ["--manifest", str(manifest), "--bundle", str(bundle), "--out", str(out)]
    return [sys.executable, "-m", "lucency", "score", *options, "--shard", str(shard), "--workers", "2"]


def kill_after(words: list[str], out: Path, shards: int) -> None:
    """Start the command, kill it after so many more shards, and check that its child processes end."""
    before = len(list(out.glob("part-*")))
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + STARTS_WITHIN_S
    while len(list(out.glob("part-*"))) < before + shards:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    below = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while any(map(alive, below)):
        assert time.monotonic() < deadline, "a process outlived the one that started it"
        time.sleep(0.05)


def children(process: int) -> list[int]:
    listed = Path(f"/proc/{process}/task/{process}/children")
    return list(map(int, listed.read_text().split())) if listed.exists() else []


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def scored_in_pieces(manifest: Path, bundle: Path, out: Path, shard: int, shards: int) -> None:
    words = command(manifest, bundle, out, shard)
    for _ in range(KILLS):
        kill_after(words, out, shards // (KILLS + 2))
    left = shards - len(list(out.glob("part-*")))
    assert 0 < left < shards
    assert subprocess.run(words, stdout=subprocess.DEVNULL, check=False).returncode in (0, 3)
    assert not list(out.glob(".part-*")), "no draft is left"


def test_500_films_killed_three_times(bundle: Bundle, tmp_path: Path) -> None:
    manifest = write_films(tmp_path / "films", 500)
    score(open_manifest(str(manifest)), bundle, str(tmp_path / "whole"), ENGINES["plain"], shard=10)
    scored_in_pieces(manifest, bundle.path, tmp_path / "pieces", 10, 50)
    assert everything(tmp_path / "pieces")["row"].to_pylist() == list(range(500))
    assert everything(tmp_path / "pieces").equals(everything(tmp_path / "whole"))


@pytest.mark.slow
def test_500_films_by_ray(bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs lucency[ray]")
    manifest = write_films(tmp_path / "films", 500)
    score(open_manifest(str(manifest)), bundle, str(tmp_path / "whole"), ENGINES["plain"], shard=100)
    words = [*command(manifest, bundle.path, tmp_path / "ray", 100), "--engine", "ray"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # Ray's warnings are not ours
    assert done.returncode == 3, done.stderr
    assert everything(tmp_path / "ray").equals(everything(tmp_path / "whole"))


@pytest.mark.slow
def test_10000_phantoms_killed_three_times_and_by_ray(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs lucency[ray]")
    manifest = write_phantoms(tmp_path / "films", 10_000)
    score(open_manifest(str(manifest)), open_bundle(DEFAULT), str(tmp_path / "whole"), ENGINES["local"], 2, shard=250)
    scored_in_pieces(manifest, DEFAULT, tmp_path / "pieces", 250, 40)
    words = [*command(manifest, DEFAULT, tmp_path / "ray", 250), "--engine", "ray"]
    assert subprocess.run(words, stdout=subprocess.DEVNULL, check=False).returncode == 0
    whole = everything(tmp_path / "whole")
    assert whole["row"].to_pylist() == list(range(10_000))
    assert len(set(whole["logit"].to_pylist())) > 9_000, "the films differ, so a score on a wrong row would show"
    assert everything(tmp_path / "pieces").equals(whole)
    assert everything(tmp_path / "ray").equals(whole)


def write_phantoms(folder: Path, count: int, drawn: int = 60) -> Path:
    """Small JPEG films: `drawn` phantoms, each at many exposures and with its own noise."""
    folder.mkdir()
    size = (166, 128)
    base = [np.asarray(Image.fromarray(draw((n,), bool(n % 2)).film).resize(size), np.float32) for n in range(drawn)]
    for number in range(count):
        rng = np.random.default_rng(number)
        film = base[number % drawn] * rng.uniform(0.8, 1.1) + rng.normal(0, 3, size[::-1])
        Image.fromarray(film.clip(0, 255).astype(np.uint8)).save(folder / f"{number:05}.jpeg", quality=90)
    (folder / "list.txt").write_text("".join(f"{number:05}.jpeg\n" for number in range(count)))
    return folder / "list.txt"
