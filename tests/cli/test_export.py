"""The commands export, parity and bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.brightness import write_brightness_bundle, write_films
from export.small_runs import write_run
from export.test_parity import write_pair
from lucency.bundle import DEFAULT, open_bundle, read_card
from lucency.cli import run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "run", "mobilenet_v1", "linear", side=32, width=0.25)


@pytest.mark.long
def test_export_verify_zip_show(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, packed = str(tmp_path / "bundle"), str(tmp_path / "bundle.zip")
    assert run(["export", str(trained), "--to", "onnx", "--out", out]) == 0
    assert "model.onnx" in capsys.readouterr().out
    assert run(["bundle", "zip", out, packed]) == 0
    assert run(["bundle", "verify", packed]) == 0
    assert "4 films with the recorded outputs" in capsys.readouterr().out
    assert run(["bundle", "verify", packed, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["golden"]["films"] == 4
    assert run(["bundle", "show", packed]) == 0
    assert "mobilenet_v1 × 0.25" in capsys.readouterr().out
    assert run(["bundle", "show", packed, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["format"] == "onnx"


@pytest.mark.long
def test_a_changed_byte_is_reported(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(trained), "--to", "onnx", "--out", str(tmp_path / "bundle")]) == 0
    model = tmp_path / "bundle" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    assert run(["bundle", "verify", str(tmp_path / "bundle")]) == 7
    assert capsys.readouterr().err.endswith(
        "model.onnx has changed since the bundle was written; get the bundle again\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "tflite"], "one of litert, onnx"),
        (["--quantize", "int4"], "received 'int4'"),
        (["--quantize", "int8"], "--data"),
        (["--quantize", "int8", "--data", "phantom:40"], "these are others"),
    ],
)
def test_invalid_options_are_one_line(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert run(["export", str(trained), "--out", str(tmp_path / "bundle"), *words]) != 0
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "bundle").exists()


def test_parity_lists_flips_and_writes_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, export = write_pair(tmp_path, shift=8)
    films = write_films(tmp_path / "films", normal=[100, 132, 110], ill=[200, 210, 220])
    words = ["parity", str(source), str(export), "--data", str(films)]
    assert run(words) == 0
    output = capsys.readouterr().out
    assert "called differently    1 films (16.67%)" in output
    assert "IM-0002-0001.png" in output
    parity = read_card(export).parity
    assert parity is not None
    assert (parity.films, parity.flips) == (6, 1)
    assert str(tmp_path) not in parity.data
    assert run([*words, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["flips"] == len(content["differences"]) == 1


@pytest.mark.parametrize(
    ("limit", "code"),
    [(["--max-flips", "1"], 0), (["--max-flips", "0"], 8), (["--max-logit", "0.4"], 8), (["--min-map", "1.5"], 8)],
)
def test_parity_fails_above_given_limits_only(tmp_path: Path, limit: list[str], code: int) -> None:
    source, export = write_pair(tmp_path, shift=8)
    films = write_films(tmp_path / "films", normal=[100, 132, 110], ill=[200, 210, 220])
    assert run(["parity", str(source), str(export), "--data", str(films), *limit]) == code


def test_parity_of_a_fold_uses_held_out_films(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, export = write_pair(tmp_path)
    films = write_films(tmp_path / "films", normal=[100, 101, 102, 103], ill=[200, 201, 202, 203])
    assert run(["parity", str(source), str(export), "--data", str(films), "--fold", "2", "--folds", "4", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["films"] == 2
    assert content["data"].endswith("held-out films of fold 2 of 4")


def test_parity_does_not_change_a_zip(tmp_path: Path) -> None:
    source, export = write_pair(tmp_path)
    assert run(["bundle", "zip", str(export), str(tmp_path / "export.zip")]) == 0
    before = (tmp_path / "export.zip").read_bytes()
    films = write_films(tmp_path / "films", normal=[100, 110], ill=[200, 210])
    assert run(["parity", str(source), str(tmp_path / "export.zip"), "--data", str(films)]) == 0
    assert (tmp_path / "export.zip").read_bytes() == before


def test_show_takes_the_shipped_bundle_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bundle", "show", "--json"]) == 0
    by_default = capsys.readouterr().out
    assert run(["bundle", "show", str(DEFAULT), "--json"]) == 0
    assert capsys.readouterr().out == by_default


def test_show_begins_with_how_well_and_on_whom(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bundle", "show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["sensitivity", "specificity", "population"]
    assert "Children of 1 to 5 years" in lines[3]


def test_a_bundle_without_golden_films_verifies_its_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bundle", "verify", str(write_brightness_bundle(tmp_path / "bundle"))]) == 0
    assert "no golden films" in capsys.readouterr().out
    assert open_bundle(tmp_path / "bundle").card.parity is None


@pytest.mark.parametrize(
    "command", [["export"], ["parity"], ["bundle"], ["bundle", "verify"], ["bundle", "zip"], ["bundle", "show"]]
)
def test_help_ends_with_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    assert "Example: lucency" in capsys.readouterr().out
