from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from lucency.bundle import Bundle
from lucency.errors import OutputError
from lucency.score.shards import KEY, Shards, digest_of
from lucency.score.table import Failure, failed_table

NAMES = ["a.png", "b.png", "c.png"]
MISSING = failed_table(NAMES, Failure("missing", "gone"))
UNREADABLE = failed_table(NAMES, Failure("unreadable", "cut"))


def test_a_store_that_cannot_be_written_is_told_in_a_line(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", full)
    with pytest.raises(OutputError, match=r"memory://closed: cannot be written \(Access Denied\)"):
        Shards("memory://closed", bundle, 10).begin()


def test_a_shard_says_what_it_is(bundle: Bundle, tmp_path: Path) -> None:
    Shards(str(tmp_path), bundle, 3).write(2, NAMES, MISSING)
    file = pq.ParquetFile(tmp_path / "part-000002.parquet")
    label = json.loads(file.metadata.metadata[KEY])
    assert label["digest"] == bundle.digest
    assert label["preprocess"] == {
        "version": 1,
        "image_size": 8,
        "resize_mode": "stretch",
        "filter": "bilinear-antialiased",
    }
    assert label["failures"] == {"missing": 3}
    assert label["notice"] == "Research use only. Not for diagnosis."
    table = file.read()
    assert table["row"].to_pylist() == [6, 7, 8]
    assert table["film"].to_pylist() == NAMES


def test_what_is_written_is_held(bundle: Bundle, tmp_path: Path) -> None:
    shards = Shards(str(tmp_path), bundle, 3)
    assert not shards.holds(0, NAMES)
    Shards(str(tmp_path), bundle, 3).write(0, NAMES, MISSING)
    assert Shards(str(tmp_path), bundle, 3).holds(0, NAMES)


def test_a_shard_that_grew_is_done_again_and_one_that_changed_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    Shards(str(tmp_path), bundle, 5).write(0, NAMES, MISSING)
    shards = Shards(str(tmp_path), bundle, 5)
    assert not shards.holds(0, [*NAMES, "d.png"])
    with pytest.raises(OutputError, match="shard 0 holds other films"):
        shards.holds(0, ["b.png", "a.png", "c.png"])
    with pytest.raises(OutputError, match="shard 0 holds other films"):
        shards.holds(0, NAMES[:2])


def test_only_what_may_pass_is_tried_again(bundle: Bundle, tmp_path: Path) -> None:
    Shards(str(tmp_path), bundle, 3).write(0, NAMES, MISSING)
    Shards(str(tmp_path), bundle, 3).write(1, NAMES, UNREADABLE)
    shards = Shards(str(tmp_path), bundle, 3)
    assert [shards.holds(number, NAMES, retry=True) for number in (0, 1)] == [False, True]


def test_another_bundle_and_another_size_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    Shards(str(tmp_path), bundle, 3).write(0, NAMES, MISSING)
    with pytest.raises(OutputError, match=r"holds scores of the bundle brightness .*; choose another --out"):
        Shards(str(tmp_path), replace(bundle, digest="0" * 64), 3).holds(0, NAMES)
    with pytest.raises(OutputError, match="use --shard 3"):
        Shards(str(tmp_path), bundle, 4).holds(0, NAMES)


def test_a_manifest_that_shrank_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    Shards(str(tmp_path), bundle, 3).write(1, NAMES, MISSING)
    Shards(str(tmp_path), bundle, 3).require_at_most(2)
    with pytest.raises(OutputError, match="holds shard 1, the manifest now ends at 0"):
        Shards(str(tmp_path), bundle, 3).require_at_most(1)


@pytest.mark.parametrize("content", [b"", b"PAR1 and nothing", b"PAR1\0\0\0\0PAR1"])
def test_a_file_that_is_no_shard_of_ours_counts_for_nothing(bundle: Bundle, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "part-000000.parquet").write_bytes(content)
    assert not Shards(str(tmp_path), bundle, 3).holds(0, NAMES)


def test_drafts_of_a_killed_process_go_with_the_next_writing(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / ".part-000000.parquet.abc.parquet").touch()
    Shards(str(tmp_path), bundle, 3).write(0, NAMES, MISSING)
    assert [path.name for path in tmp_path.iterdir()] == ["part-000000.parquet"]


def test_a_folder_that_cannot_be_written(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        Shards(str(tmp_path / "file"), bundle, 3).write(0, NAMES, MISSING)


def test_names_are_told_apart_by_order_and_division() -> None:
    assert len({digest_of(names) for names in (["ab", "c"], ["a", "bc"], ["c", "ab"], ["abc"], [])}) == 5
