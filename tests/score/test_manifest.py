from __future__ import annotations

import os
import sys
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lucency.errors import SourceError, UsageError
from lucency.score.manifest import open_manifest
from lucency.score.table import Failure, fetch_film

NAMES = ["a b.png", "sub/c;d.png", "/elsewhere/e.png", "s3://bucket/f.dcm"]


def write(path: Path, content: str) -> str:
    path.write_text(content, encoding="utf-8")
    return str(path)


def test_a_list_keeps_its_order_without_blank_lines(tmp_path: Path) -> None:
    source = write(tmp_path / "list.txt", "\ufeff" + "\r\n".join([*NAMES, "", " "]) + "\n")
    assert list(open_manifest(source).names()) == NAMES


def test_names_can_be_iterated_again(tmp_path: Path) -> None:
    manifest = open_manifest(write(tmp_path / "list.txt", "a.png\n"))
    assert list(manifest.names()) == list(manifest.names()) == ["a.png"]


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".csv", ";"), (".tsv", "\t")])
def test_a_table(tmp_path: Path, suffix: str, delimiter: str) -> None:
    lines = [delimiter.join(["age", "path"]), *(delimiter.join(["9", f'"{name}"']) for name in NAMES)]
    assert list(open_manifest(write(tmp_path / f"t{suffix}", "\n".join(lines))).names()) == NAMES


def test_the_chosen_column(tmp_path: Path) -> None:
    source = write(tmp_path / "t.csv", "path,other\na,b\n")
    assert list(open_manifest(source, "other").names()) == ["b"]


def test_a_parquet_table(tmp_path: Path) -> None:
    pq.write_table(pa.table({"age": [1] * 4, "film": NAMES}), tmp_path / "t.parquet")
    assert list(open_manifest(str(tmp_path / "t.parquet")).names()) == NAMES


def test_a_folder_is_sorted_and_filtered_by_suffix(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/10.PNG", "a/z.dcm", "note.txt", ".hidden/x.png", "a/._z.dcm", "top.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    manifest = open_manifest(str(tmp_path))
    assert list(manifest.names()) == ["top.jpeg", "a/z.dcm", "b/10.PNG", "b/2.png"]
    assert all(Path(manifest.place(name)).is_file() for name in manifest.names())


def test_a_folder_counts_pictures_that_are_not_named_like_films(tmp_path: Path) -> None:
    for name, content in (
        ("a.png", b""),
        ("b.jfif", b"\xff\xd8\xff\xe0"),
        ("c.txt", b"words"),
        ("d", b"\x89PNG\r\n\x1a\n"),
    ):
        (tmp_path / name).write_bytes(content)
    manifest = open_manifest(str(tmp_path))
    for _ in range(2):
        assert list(manifest.names()) == ["a.png"]
        assert manifest.skipped == {".jfif": 1, ".txt": 1, "no suffix": 1}
        assert +manifest.pictures == {".jfif": 1, "no suffix": 1}


def test_linked_folders_are_entered_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "films" / "a").mkdir(parents=True)
    for name in ("elsewhere/1.png", "elsewhere/deep/2.png", "films/a/3.png"):
        (tmp_path / name).touch()
    (tmp_path / "films" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "films")
    (tmp_path / "films" / "self").symlink_to(".")
    names = list(open_manifest(str(tmp_path / "films")).names())
    assert names == ["a/3.png", "linked/1.png", "linked/deep/2.png"]


def test_dangling_links_pipes_and_folders_named_like_films(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to("pool.png")
    (tmp_path / "pool.png").symlink_to("loop.png")
    manifest = open_manifest(str(tmp_path))
    kinds = {}
    for name in manifest.names():
        found = fetch_film(manifest.place(name))
        assert isinstance(found, Failure)
        kinds[name] = found.kind
    assert kinds == {"pipe.png": "not_a_film", **dict.fromkeys(("gone.png", "loop.png", "pool.png"), "missing")}


def test_files_not_named_like_films_are_counted(tmp_path: Path) -> None:
    for name in ("1.png", "note.txt", "b/list.TXT", "b/README", ".hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    manifest = open_manifest(str(tmp_path))
    for _ in range(2):
        assert list(manifest.names()) == ["1.png"]
        assert manifest.skipped == {".txt": 2, "no suffix": 1}


def test_a_glob(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "c.txt"):
        (tmp_path / name).touch()
    manifest = open_manifest(f"{tmp_path}/*.png")
    assert [manifest.place(name) for name in manifest.names()] == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]


def test_relative_names_start_at_the_manifest(tmp_path: Path) -> None:
    manifest = open_manifest(write(tmp_path / "list.txt", "x\n"))
    assert manifest.place("a/b.png") == str(tmp_path / "a" / "b.png")
    assert manifest.place("/c/d.png") == "/c/d.png"
    assert manifest.place("s3://bucket/d.png") == "s3://bucket/d.png"


def test_list_folder_and_glob_in_a_store() -> None:
    store = fsspec.filesystem("memory")
    store.pipe({"/m/list.csv": b"path\nfilms/a.png\n", "/m/films/a.png": b"", "/m/films/b.txt": b""})
    manifest = open_manifest("memory://m/list.csv")
    assert [manifest.place(name) for name in manifest.names()] == ["memory://m/films/a.png"]
    assert list(open_manifest("memory://m/films").names()) == ["memory:///m/films/a.png"]
    assert list(open_manifest("memory://m/films/*.png").names()) == ["memory:///m/films/a.png"]


@pytest.mark.parametrize("source", ["nothing/here.txt", "memory://nothing/here"])
def test_a_missing_file(source: str) -> None:
    with pytest.raises(SourceError, match="found nothing there"):
        open_manifest(source)


@pytest.mark.parametrize(("url", "extra"), [("s3://b/list.csv", "s3"), ("gs://b/list.csv", "gcs")])
def test_a_missing_store_library_names_the_extra(url: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["fsspec.registry"], "_registry", {})  # what was imported before is forgotten
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(UsageError, match=rf"cannot be read here \(it needs pip install 'lucency\[{extra}\]'\)"):
        open_manifest(url)
    found = fetch_film(url)
    assert isinstance(found, Failure)
    assert f"lucency[{extra}]" in found.message


def test_an_unknown_store_raises() -> None:
    with pytest.raises(UsageError, match="nowhere://: cannot be read here"):
        open_manifest("nowhere://bucket/list.txt")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", b"age,label\n1,2\n", "expected a column path, film, file or filename, found age, label"),
        ("t.csv", b"", "found none"),
        ("t.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "expected a list of paths, found binary data"),
        ("t.parquet", b"path\na.png\n", "expected a list of paths"),
    ],
)
def test_invalid_manifests_raise(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=words) as caught:
        list(open_manifest(str(tmp_path / name)).names())
    assert len(str(caught.value).splitlines()) == 1


def test_a_column_of_numbers_raises(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": [1, 2]}), tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="expected paths in its column, found int64"):
        list(open_manifest(str(tmp_path / "t.parquet")).names())
