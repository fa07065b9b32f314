from __future__ import annotations

import hashlib
import hmac
import json
import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from lucency.bundle import Bundle
from lucency.errors import OutputError, SourceError
from lucency.score import open_manifest, score, score_batch
from lucency.score.engines import Chunks, plain
from lucency.score.pipeline import CHUNK
from reader.brightness_litert import write_brightness_litert

from .films import BAD, everything, write_films

COUNT = 150
"""Not a multiple of a shard or of a worker's chunk."""
SHARD = 40


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_films(tmp_path_factory.mktemp("run") / "films", COUNT)


@pytest.fixture(scope="module")
def whole(films: Path, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "whole"
    score(open_manifest(str(films)), bundle, str(out), plain, shard=SHARD)
    return out


def go(films: Path | str, bundle: Bundle, out: Path | str, **more: object):  # type: ignore[no-untyped-def]
    return score(open_manifest(str(films)), bundle, str(out), **{"engine": plain, "shard": SHARD, **more})  # type: ignore[arg-type]


def test_shards_have_one_row_per_film(films: Path, whole: Path) -> None:
    table = everything(whole)
    assert table["row"].to_pylist() == list(range(COUNT))
    assert table["film"].to_pylist() == films.read_text().split()
    assert len(list(whole.glob("part-*.parquet"))) == -(-COUNT // SHARD)


def test_the_summary_counts_every_film_once(whole: Path) -> None:
    printed = json.loads((whole / "_summary.json").read_text())
    assert printed["films"] == COUNT == sum(printed["verdicts"].values()) + printed["failed"]
    assert printed["failures"] == dict.fromkeys(("not_a_film", "unreadable", "missing"), 1)
    assert printed["notice"] == "Research use only. Not for diagnosis."


def test_a_second_call_does_nothing(films: Path, bundle: Bundle, whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.glob("part-*")}
    summary = go(films, bundle, whole, engine=_none)
    assert (summary.films, summary.scored_now) == (COUNT, 0)
    assert {path: path.stat().st_mtime_ns for path in whole.glob("part-*")} == before


def test_worker_processes_give_the_same_scores(films: Path, bundle: Bundle, whole: Path, tmp_path: Path) -> None:
    from lucency.score.engines import local

    go(films, bundle, tmp_path / "out", engine=local, workers=2)
    assert everything(tmp_path / "out").equals(everything(whole))


def test_scoring_resumes_after_any_interruption(films: Path, bundle: Bundle, whole: Path, tmp_path: Path) -> None:
    calls = []

    def stops(chunks: Chunks, bundle: Bundle, workers: int) -> Generator[pa.Table, None, None]:
        for number, table in enumerate(plain(chunks, bundle, workers)):
            calls.append(len(table))
            if number == 2:
                raise KeyboardInterrupt
            yield table

    with pytest.raises(KeyboardInterrupt):
        go(films, bundle, tmp_path / "out", engine=stops)
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name[0] != "_") == [
        "part-000000.parquet",
        "part-000001.parquet",
    ]
    summary = go(films, bundle, tmp_path / "out")
    assert (summary.films, summary.scored_now) == (COUNT, COUNT - 2 * SHARD)
    assert everything(tmp_path / "out").equals(everything(whole))


@pytest.mark.parametrize("size", [1, 7, CHUNK, 1000])
def test_shards_do_not_depend_on_table_sizes(
    films: Path, bundle: Bundle, whole: Path, tmp_path: Path, size: int
) -> None:
    def cut(chunks: Chunks, bundle: Bundle, workers: int) -> Generator[pa.Table, None, None]:
        table = pa.concat_tables(plain(chunks, bundle, workers))
        yield from (table.slice(start, size) for start in range(0, len(table), size))

    go(films, bundle, tmp_path / "out", engine=cut)
    assert everything(tmp_path / "out").equals(everything(whole))


def test_reordered_or_missing_rows_raise(films: Path, bundle: Bundle, tmp_path: Path) -> None:
    def turned(chunks: Chunks, bundle: Bundle, workers: int) -> Generator[pa.Table, None, None]:
        yield pa.concat_tables(reversed(list(plain(chunks, bundle, workers))))

    def short(chunks: Chunks, bundle: Bundle, workers: int) -> Generator[pa.Table, None, None]:
        yield pa.concat_tables(plain(chunks, bundle, workers)).slice(0, COUNT - 1)

    with pytest.raises(RuntimeError, match="changed the order"):
        go(films, bundle, tmp_path / "out", engine=turned)
    assert not list(tmp_path.glob("out/part-*"))
    with pytest.raises(RuntimeError, match="too few or too many rows"):
        go(films, bundle, tmp_path / "out", engine=short)
    assert everything(tmp_path / "out").num_rows == COUNT // SHARD * SHARD


def test_another_bundle_raises_before_reading(films: Path, whole: Path, tmp_path: Path) -> None:
    from lucency.bundle import open_bundle

    other = open_bundle(write_brightness_litert(tmp_path / "bundle"))
    with pytest.raises(OutputError, match="holds scores of the bundle brightness"):
        go(films, replace(other, digest="f" * 64), whole, engine=_none)


def test_a_longer_manifest_rescores_the_last_shard_only(bundle: Bundle, tmp_path: Path) -> None:
    films = write_films(tmp_path / "films", 100)
    names = films.read_text()
    films.write_text("".join(names.splitlines(keepends=True)[:90]))
    go(films, bundle, tmp_path / "out")
    films.write_text(names)
    summary = go(films, bundle, tmp_path / "out")
    assert (summary.films, summary.scored_now) == (100, 20)
    assert everything(tmp_path / "out")["row"].to_pylist() == list(range(100))


def test_retry_scores_transient_failures_again(bundle: Bundle, tmp_path: Path) -> None:
    films = write_films(tmp_path / "films", 30)
    go(films, bundle, tmp_path / "out", shard=10)
    (films.parent / "00011.png").write_bytes((films.parent / "00012.png").read_bytes())
    assert go(films, bundle, tmp_path / "out", shard=10).scored_now == 0
    again = go(films, bundle, tmp_path / "out", shard=10, retry=True)
    assert again.scored_now == 10, "the shard with the missing film; damaged ones stay as they are"
    assert again.failures == {"not_a_film": 1, "unreadable": 1}


def test_parts_make_up_the_manifest(films: Path, bundle: Bundle, whole: Path, tmp_path: Path) -> None:
    counts = [go(films, bundle, tmp_path / "out", part=(part, 3)).films for part in (1, 2, 3)]
    assert counts == [2 * SHARD - 10, SHARD, SHARD]
    assert everything(tmp_path / "out").equals(everything(whole))
    assert len(list((tmp_path / "out").glob("_summary-*-of-3.json"))) == 3


def test_keyed_names_hide_the_paths(films: Path, bundle: Bundle, whole: Path, tmp_path: Path) -> None:
    key = b"k" * 32
    go(films, bundle, tmp_path / "out", key=key)
    table = everything(tmp_path / "out")
    names = films.read_text().split()
    assert table["film"].to_pylist() == [hmac.new(key, name.encode(), hashlib.sha256).hexdigest() for name in names]
    assert table.drop_columns("film").equals(everything(whole).drop_columns("film"))
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    assert not any(name.encode() in written for name in names)
    assert go(films, bundle, tmp_path / "out", key=key).scored_now == 0
    with pytest.raises(OutputError, match="holds other films"):
        go(films, bundle, tmp_path / "out")


def test_films_and_scores_in_an_fsspec_store(bundle: Bundle, films: Path, whole: Path) -> None:
    store = fsspec.filesystem("memory")
    store.pipe({f"/scored/{path.name}": path.read_bytes() for path in films.parent.iterdir()})
    summary = go("memory://scored/list.txt", bundle, "memory://scored/out")
    assert summary.films == COUNT
    with store.open("/scored/out/part-000000.parquet") as stream:
        first = pa.parquet.read_table(stream)
    expected = everything(whole).slice(0, SHARD)
    good = [number for number in range(SHARD) if number not in BAD]
    assert first.take(good).equals(expected.take(good))
    assert first["error_kind"].to_pylist() == expected["error_kind"].to_pylist()
    assert go("memory://scored/list.txt", bundle, "memory://scored/out").scored_now == 0
    assert store.exists("/scored/out/_summary.json")


def test_an_empty_manifest_raises(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n\n")
    with pytest.raises(SourceError, match="expected films to score, it names none"):
        go(tmp_path / "list.txt", bundle, tmp_path / "out")


def test_a_folder_that_lacks_more_than_a_tenth_of_its_films_raises(bundle: Bundle, films: Path, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    for number in range(10):
        suffix = "jfif" if number in (3, 4) else "png"
        shutil.copy(films.parent / "00000.png", tmp_path / "films" / f"{number}.{suffix}")
    with pytest.raises(SourceError, match=r"2 of 10 pictures are not \(.jfif\).*--allow-missing"):
        go(tmp_path / "films", bundle, tmp_path / "out")
    assert not list((tmp_path / "out").glob("part-*"))
    assert go(tmp_path / "films", bundle, tmp_path / "out", allow_missing=True).scored_now == 8
    (tmp_path / "films" / "3.jfif").unlink()
    (tmp_path / "films" / "more").mkdir()
    for number in range(2):  # one of ten
        shutil.copy(tmp_path / "films" / "0.png", tmp_path / "films" / "more" / f"{number}.png")
    assert go(tmp_path / "films", bundle, tmp_path / "more").scored_now == 10


def test_a_manifest_of_bad_films(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.png\nb.png\n")
    summary = go(tmp_path / "list.txt", bundle, tmp_path / "out")
    assert (summary.films, summary.failed, summary.verdicts) == (2, 2, {})


def test_score_batch_equals_the_shards(films: Path, bundle: Bundle, whole: Path) -> None:
    from lucency.reader import Reader

    manifest = open_manifest(str(films))
    table = score_batch([manifest.place(name) for name in manifest.names()], Reader(bundle))
    assert everything(whole).drop_columns(["row", "film"]).equals(table.drop_columns("film"))


def _none(chunks: Chunks, bundle: Bundle, workers: int) -> Generator[pa.Table, None, None]:
    assert not list(chunks), "nothing was to be scored"
    yield from ()
