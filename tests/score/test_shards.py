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


def test_an_unwritable_store_is_one_line(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", full)
    with pytest.raises(OutputError, match=r"memory://closed: cannot be written \(Access Denied\)"):
        Shards("memory://closed", bundle, 10).begin()


def test_the_label_of_a_shard(bundle: Bundle, tmp_path: Path) -> None:
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


def test_written_shards_are_held(bundle: Bundle, tmp_path: Path) -> None:
    shards = Shards(str(tmp_path), bundle, 3)
    assert not shards.holds(0, NAMES)
    Shards(str(tmp_path), bundle, 3).write(0, NAMES, MISSING)
    assert Shards(str(tmp_path), bundle, 3).holds(0, NAMES)


def test_a_longer_shard_is_rescored_and_a_changed_one_raises(bundle: Bundle, tmp_path: Path) -> None:
    Shards(str(tmp_path), bundle, 5).write(0, NAMES, MISSING)
    shards = Shards(str(tmp_path), bundle, 5)
    assert not shards.holds(0, [*NAMES, "d.png"])
    with pytest.raises(OutputError, match="shard 0 holds other films"):
        shards.holds(0, ["b.png", "a.png", "c.png"])
    with pytest.raises(OutputError, match="shard 0 holds other films"):
        shards.holds(0, NAMES[:2])


def test_retry_applies_to_transient_failures_only(bundle: Bundle, tmp_path: Path) -> None:
    Shards(str(tmp_path), bundle, 3).write(0, NAMES, MISSING)
    Shards(str(tmp_path), bundle, 3).write(1, NAMES, UNREADABLE)
    shards = Shards(str(tmp_path), bundle, 3)
    assert [shards.holds(number, NAMES, retry=True) for number in (0, 1)] == [False, True]


def test_another_bundle_or_shard_size_raises(bundle: Bundle, tmp_path: Path) -> None:
    Shards(str(tmp_path), bundle, 3).write(0, NAMES, MISSING)
    with pytest.raises(OutputError, match=r"holds scores of the bundle brightness .*; choose another --out"):
        Shards(str(tmp_path), replace(bundle, digest="0" * 64), 3).holds(0, NAMES)
    with pytest.raises(OutputError, match="use --shard 3"):
        Shards(str(tmp_path), bundle, 4).holds(0, NAMES)


def test_a_shorter_manifest_raises(bundle: Bundle, tmp_path: Path) -> None:
    Shards(str(tmp_path), bundle, 3).write(1, NAMES, MISSING)
    Shards(str(tmp_path), bundle, 3).require_at_most(2)
    with pytest.raises(OutputError, match="holds shard 1, the manifest now ends at 0"):
        Shards(str(tmp_path), bundle, 3).require_at_most(1)


@pytest.mark.parametrize("content", [b"", b"PAR1 and nothing", b"PAR1\0\0\0\0PAR1"])
def test_foreign_files_are_ignored(bundle: Bundle, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "part-000000.parquet").write_bytes(content)
    assert not Shards(str(tmp_path), bundle, 3).holds(0, NAMES)


def test_drafts_of_a_killed_process_are_removed(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / ".part-000000.parquet.abc.parquet").touch()
    Shards(str(tmp_path), bundle, 3).write(0, NAMES, MISSING)
    assert [path.name for path in tmp_path.iterdir()] == ["part-000000.parquet"]


def test_an_unwritable_folder_raises(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        Shards(str(tmp_path / "file"), bundle, 3).write(0, NAMES, MISSING)


def test_digest_depends_on_order_and_boundaries() -> None:
    assert len({digest_of(names) for names in (["ab", "c"], ["a", "bc"], ["c", "ab"], ["abc"], [])}) == 5
