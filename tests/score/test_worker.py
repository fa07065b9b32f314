from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lucency.bundle import Bundle
from lucency.errors import BundleError
from lucency.reader import Reader
from lucency.score.engines import Worker, in_memory
from lucency.score.table import score_batch
from score.poison import serve

from .films import write_films


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_films(tmp_path_factory.mktemp("worker") / "films", 12).parent


@pytest.fixture
def worker(bundle: Bundle) -> Iterator[Worker]:
    made = Worker(in_memory(bundle), timeout_s=20, serve=serve)
    yield made
    made.close()


def paths(folder: Path, *names: str) -> list[str]:
    for name in names:
        shutil.copy(folder / "00000.png", folder / f"{name}.png")
    return [str(folder / f"{name}.png") for name in names]


def test_a_worker_equals_score_batch(bundle: Bundle, worker: Worker, films: Path) -> None:
    asked = sorted(str(path) for path in films.glob("0*.png"))
    assert worker.score(asked).equals(score_batch(asked, Reader(bundle)))


@pytest.mark.long
def test_a_crash_affects_one_film(worker: Worker, films: Path) -> None:
    asked = paths(films, "one", "poison", "two")
    table = worker.score(asked)
    assert table["film"].to_pylist() == asked
    assert table["error_kind"].to_pylist() == [None, "crashed", None]
    assert worker.score(asked[:1])["error_kind"].to_pylist() == [None], "and the next films are read"


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is of Linux")
def test_a_film_that_asks_for_more_memory_than_any_film_needs(worker: Worker, films: Path) -> None:
    table = worker.score(paths(films, "one", "huge", "two"))
    assert table["error_kind"].to_pylist() == [None, "failed", None]
    assert "MemoryError" in table["error"][1].as_py()


@pytest.mark.long
def test_a_film_times_out(bundle: Bundle, films: Path) -> None:
    worker = Worker(in_memory(bundle), timeout_s=5, serve=serve)
    assert worker.score(paths(films, "slow"))["error_kind"].to_pylist() == ["timed_out"]
    worker.close()


def test_an_unopenable_bundle_raises(bundle: Bundle) -> None:
    broken = replace(bundle, load={bundle.card.model.file: b"altered"}.__getitem__)
    with pytest.raises(BundleError, match="has changed since the bundle was written"):
        Worker(broken).score(["a.png"])


def test_the_process_ends_with_its_connection(worker: Worker, films: Path) -> None:
    worker.score(paths(films, "one"))
    process = worker._process
    assert process is not None
    assert worker._line is not None
    worker._line.close()  # as when the other side is killed
    process.join(20)
    assert process.exitcode == 0
    worker._process = worker._line = None


def test_close_ends_the_process(worker: Worker, films: Path) -> None:
    worker.score(paths(films, "one"))
    assert worker._process is not None
    number = worker._process.pid
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(number or 0, 0)
    with pytest.raises(BundleError, match="was stopped"):
        worker.score(["a.png"])
