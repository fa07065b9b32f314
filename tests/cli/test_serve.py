"""`lucency web` as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lucency.bundle import DEFAULT
from lucency.cli import run


def test_writes_the_page_of_the_int8_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page"
    assert run(["web", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "http.server" in printed
    assert "Not for diagnosis" in printed
    assert (out / "bundle/card.json").read_bytes() == (DEFAULT.with_name("int8") / "card.json").read_bytes()
    assert run(["web", "--out", str(out), "--bundle", str(DEFAULT), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["out"] == str(out)
    assert (out / "bundle/card.json").read_bytes() == (DEFAULT / "card.json").read_bytes()


def test_a_missing_bundle_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["web", "--out", str(tmp_path / "page"), "--bundle", str(tmp_path / "none")]) == 7
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_translation_that_is_none_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "texts.js").write_text("export const TEXTS = {};")
    assert run(["web", "--out", str(tmp_path / "page"), "--texts", str(tmp_path / "texts.js")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "missing or unknown" in line
    assert not (tmp_path / "page").exists()
