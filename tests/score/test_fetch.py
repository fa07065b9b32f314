from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest

from lucency.film import Film
from lucency.score import fetch
from lucency.score.fetch import KINDS, PASSING, Failure, fetched

from .films import write_film

CONTENTS = {
    "not_a_film": b"a letter",
    "unreadable": b"\x89PNG\r\n\x1a\ncut",
}


def kind(place: str) -> str:
    found = fetched(place)
    assert isinstance(found, Failure)
    assert found.kind in KINDS
    assert len(found.words.splitlines()) == 1
    assert "secret" not in found.words, "the name of a film is written in one place only"
    return found.kind


def test_a_film_from_disk_and_from_a_store_is_the_same(tmp_path: Path) -> None:
    write_film(tmp_path / "a.png", 1, b"")
    fsspec.filesystem("memory").pipe("/fetch/a.png", (tmp_path / "a.png").read_bytes())
    one, other = fetched(str(tmp_path / "a.png")), fetched("memory://fetch/a.png")
    assert isinstance(one, Film)
    assert isinstance(other, Film)
    assert (one.pixels == other.pixels).all()


@pytest.mark.parametrize("expected", CONTENTS)
def test_why_bytes_are_no_film(tmp_path: Path, expected: str) -> None:
    (tmp_path / "secret.png").write_bytes(CONTENTS[expected])
    fsspec.filesystem("memory").pipe("/fetch/secret.png", CONTENTS[expected])
    assert kind(str(tmp_path / "secret.png")) == expected
    assert kind("memory://fetch/secret.png") == expected


def test_nothing_there(tmp_path: Path) -> None:
    assert kind(str(tmp_path / "secret.png")) == "missing"
    assert kind("memory://fetch/secret-missing.png") == "missing"


def test_a_folder_and_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "secret")
    assert kind(str(tmp_path)) == "not_a_film"
    assert kind(str(tmp_path / "secret")) == "not_a_film"


def test_a_store_that_does_not_answer() -> None:
    assert kind("http://127.0.0.1:9/secret.png") == "unreachable"
    assert kind("nowhere://secret.png") == "unreachable"


def test_an_error_nobody_foresaw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> Film:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(fetch, "open_film", broken)
    assert kind(str(tmp_path / "secret.png")) == "failed"


def test_what_lies_in_the_bytes_does_not_pass() -> None:
    assert set(KINDS) - PASSING == {"not_a_film", "unreadable"}
