from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from lucency.film import Film
from lucency.score import table
from lucency.score.table import KINDS, TRANSIENT, Failure, fetch_film

from .films import write_film

CONTENTS = {
    "not_a_film": b"a letter",
    "unreadable": b"\x89PNG\r\n\x1a\ncut",
}


def kind(place: str) -> str:
    found = fetch_film(place)
    assert isinstance(found, Failure)
    assert found.kind in KINDS
    assert len(found.message.splitlines()) == 1
    assert "secret" not in found.message, "the name of a film is written in one place only"
    return found.kind


def test_disk_and_store_give_the_same_film(tmp_path: Path) -> None:
    write_film(tmp_path / "a.png", 1, b"")
    fsspec.filesystem("memory").pipe("/fetch/a.png", (tmp_path / "a.png").read_bytes())
    one, other = fetch_film(str(tmp_path / "a.png")), fetch_film("memory://fetch/a.png")
    assert isinstance(one, Film)
    assert isinstance(other, Film)
    assert (one.pixels == other.pixels).all()


@pytest.mark.parametrize("expected", CONTENTS)
def test_kind_of_failure_by_content(tmp_path: Path, expected: str) -> None:
    (tmp_path / "secret.png").write_bytes(CONTENTS[expected])
    fsspec.filesystem("memory").pipe("/fetch/secret.png", CONTENTS[expected])
    assert kind(str(tmp_path / "secret.png")) == expected
    assert kind("memory://fetch/secret.png") == expected


class S3FileSystem(MemoryFileSystem):  # type: ignore[misc]
    """A store with s3fs's order of arguments that refuses every range of an empty object, as S3 does."""

    protocol = "likes3"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.removeprefix("likes3://")))

    def cat_file(
        self, path: str, version_id: str | None = None, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        assert version_id is None
        if not self.size(path):
            raise OSError(errno.EINVAL, "whatever the store says")
        return bytes(super().cat_file(path, start=start, end=end))


def test_a_film_from_a_store_like_s3(tmp_path: Path) -> None:
    fsspec.register_implementation("likes3", S3FileSystem, clobber=True)
    write_film(tmp_path / "a.png", 1, b"")
    fsspec.filesystem("likes3").pipe("/fetch/a.png", (tmp_path / "a.png").read_bytes())
    found, there = fetch_film("likes3://fetch/a.png"), fetch_film(str(tmp_path / "a.png"))
    assert isinstance(found, Film)
    assert isinstance(there, Film)
    assert (found.pixels == there.pixels).all()


def test_an_empty_object_fails_like_an_empty_file(tmp_path: Path) -> None:
    fsspec.register_implementation("likes3", S3FileSystem, clobber=True)
    fsspec.filesystem("likes3").pipe("/fetch/empty.png", b"")
    (tmp_path / "empty.png").write_bytes(b"")
    found = fetch_film("likes3://fetch/empty.png")
    assert isinstance(found, Failure)
    assert found == fetch_film(str(tmp_path / "empty.png"))
    assert found.kind == "not_a_film"


def test_a_missing_file(tmp_path: Path) -> None:
    assert kind(str(tmp_path / "secret.png")) == "missing"
    assert kind("memory://fetch/secret-missing.png") == "missing"


def test_folders_and_pipes_are_not_films(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "secret")
    assert kind(str(tmp_path)) == "not_a_film"
    assert kind(str(tmp_path / "secret")) == "not_a_film"


def test_an_unreachable_store() -> None:
    assert kind("http://127.0.0.1:9/secret.png") == "unreachable"
    assert kind("nowhere://secret.png") == "unreachable"


def test_an_unexpected_error_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> Film:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(table, "open_film", broken)
    assert kind(str(tmp_path / "secret.png")) == "failed"


def test_bad_content_is_not_transient() -> None:
    assert set(KINDS) - TRANSIENT == {"not_a_film", "unreadable"}
