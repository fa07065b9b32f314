"""Benchmarks: their output, not the speed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.brightness import write_brightness_bundle, write_films
from lucency.bench import STAGES, Cold, cold_start, measure, phantom_files, some_files, table, to_json
from lucency.cli import run
from lucency.data import read_dataset
from lucency.errors import BundleError, SourceError


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bench")
    write_brightness_bundle(root / "bundle")
    write_films(root / "films", [60, 70, 80], [180, 190, 200])
    return root


def test_every_bundle_at_every_number_of_threads(place: Path) -> None:
    files = sorted((place / "films").rglob("*.png"))
    benches = measure([place / "bundle"] * 2, files, [1, 2])
    assert [bench.name for bench in benches] == ["brightness"] * 2
    assert benches[0].file_mb == (place / "bundle" / "model.onnx").stat().st_size / 1e6
    for bench in benches:
        assert [pace.threads for pace in bench.paces] == [1, 2]
        for pace in bench.paces:
            assert tuple(pace.stages) == STAGES
            assert pace.films_per_second > 0
            whole = pace.stages["total"].median
            for name, spread in pace.stages.items():
                assert 0 < spread.median <= spread.p95
                assert name == "total" or spread.median < whole  # each film's total is the sum of its stages


def test_phantom_files_are_gray_jpeg_of_1024_pixels(tmp_path: Path) -> None:
    files = phantom_files(tmp_path, 2)
    for file in files:
        with Image.open(file) as film:
            assert (film.format, film.mode, film.size) == ("JPEG", "L", (1024, 1024))
            assert np.asarray(film).std() > 20  # a chest, not a flat field


def test_some_files_are_evenly_spaced(place: Path) -> None:
    films = read_dataset(place / "films")
    names = [file.parent.name for file in some_files(films, 2)]
    assert names == ["NORMAL", "PNEUMONIA"]
    assert len(some_files(films, 100)) == 6


def test_films_without_files_raise() -> None:
    with pytest.raises(SourceError, match="expected films in separate files"):
        some_files(read_dataset("phantom:4"), 2)


def test_a_cold_start(place: Path) -> None:
    cold = cold_start(place / "bundle", next((place / "films").rglob("*.png")), runs=1)
    assert 0 < cold.python_s < cold.wall_s
    assert 0 < cold.import_share < 1
    assert cold.peak_mb is None or cold.peak_mb > 10  # no Python is smaller


def test_a_cold_start_that_fails(tmp_path: Path, place: Path) -> None:
    with pytest.raises(BundleError, match=r"separate process failed: lucency: .*found nothing"):
        cold_start(tmp_path / "none", next((place / "films").rglob("*.png")), runs=1)


def test_table_and_json(place: Path) -> None:
    benches = measure([place / "bundle"], sorted((place / "films").rglob("*.png"))[:2], [1])
    cold = Cold(wall_s=0.5, python_s=0.02, import_share=0.25, peak_mb=100.0)
    text = table([(benches[0], cold)], "2 films")
    assert "brightness (onnx): 0.00 MB" in text
    assert "0.50 s wall, 25 % imports (python alone 0.02 s); peak memory 100 MB" in text
    content = json.loads(json.dumps(to_json([(benches[0], None)], "2 films")))
    (row,) = content["bundles"]
    assert (row["format"], row["cold"], row["paces"][0]["threads"]) == ("onnx", None, 1)


def test_the_command(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = [str(place / "bundle"), "--against", str(place / "bundle"), "--data", str(place / "films"), "--no-cold"]
    assert run(["bench", *where, "--films", "2", "--threads", "1,2", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert len(content["bundles"]) == 2
    assert content["films"] == f"2 films of {place / 'films'}"


@pytest.mark.parametrize("threads", ["0", "two", ""])
def test_invalid_threads_are_usage_errors(place: Path, capsys: pytest.CaptureFixture[str], threads: str) -> None:
    assert run(["bench", str(place / "bundle"), "--threads", threads]) == 2
    assert "--threads: expected numbers such as 1,2" in capsys.readouterr().err
