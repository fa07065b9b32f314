"""`lucency evaluate`, from films on disk to the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lucency.cli import run

from .brightness import write_brightness_bundle, write_film, write_films


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle; chest_xray/ with a train and a test split. In test one normal film of four is too bright."""
    root = tmp_path_factory.mktemp("evaluate")
    write_brightness_bundle(root / "bundle")
    write_films(root / "chest_xray" / "train", [50, 60, 70], [180, 190, 200], first=100)
    write_films(root / "chest_xray" / "test", [60, 70, 80, 150], [140, 180, 190, 200, 210, 220])
    return root


def report_of(place: Path, data: str, out: Path, *more: str) -> dict:  # type: ignore[type-arg]
    where = ["--data", str(place / data), "--out", str(out), "--resamples", "100"]
    assert run(["evaluate", str(place / "bundle"), *where, *more]) == 0
    return json.loads((out / "report.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("data", ["chest_xray", "chest_xray/test"])
def test_the_test_split_from_its_parent_and_itself(place: Path, tmp_path: Path, data: str) -> None:
    report = report_of(place, data, tmp_path)
    assert (report["films"], report["patients"]) == (10, 10)
    assert report["confusion"]["counts"]["all"] == [[3, 1], [0, 6]]
    assert report["films_per_label"] == {"normal": 4, "pneumonia": 6}
    assert report["split"] == ("test" if data == "chest_xray" else "all")
    # One pair of 24 is the wrong way round: the normal of 150 before the positive of 140.
    assert next(m for m in report["metrics"] if m["name"] == "auroc")["value"] == pytest.approx(23 / 24)


def test_another_split(place: Path, tmp_path: Path) -> None:
    assert report_of(place, "chest_xray", tmp_path / "train", "--split", "train")["films"] == 6
    assert report_of(place, "chest_xray", tmp_path / "all", "--split", "all")["films"] == 16


def test_a_missing_split_is_an_error(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(place / "bundle"), "--data", str(place / "chest_xray"), "--split", "val"]) == 4
    assert "found test (10 films), train (6 films)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "there", "missing"),
    [("NORMAL", "specificity", "sensitivity"), ("PNEUMONIA", "sensitivity", "specificity")],
)
def test_films_of_one_class(place: Path, tmp_path: Path, kind: str, there: str, missing: str) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / kind).symlink_to(place / "chest_xray" / "test" / kind)
    report = report_of(place, str(tmp_path / "films"), tmp_path / "out")
    found = {one["name"]: one for one in report["metrics"]}
    assert found[there]["value"] == (0.75 if kind == "NORMAL" else 1.0)
    assert found[there]["low"] < found[there]["value"]
    assert found[missing]["value"] is None
    assert found["auroc"]["value"] is None


def test_a_given_threshold(place: Path, tmp_path: Path) -> None:
    report = report_of(place, "chest_xray", tmp_path, "--threshold", "0.95")
    assert report["threshold"] == 0.95
    assert report["threshold_chosen_by"] == "given"
    # The logit of gray 180 is 3.25, a probability of .963; gray 140 gives .75 and 150 .75 too little.
    assert report["confusion"]["counts"]["all"] == [[4, 0], [1, 5]]


def test_the_command_in_the_report_reproduces_it(place: Path, tmp_path: Path) -> None:
    import shlex

    first = report_of(place, "chest_xray", tmp_path / "first", "--threshold", "0.9")
    program, *arguments = shlex.split(first["command"])
    assert program == "lucency"
    assert run([*arguments, "--out", str(tmp_path / "again"), "--resamples", "100"]) == 0
    assert (tmp_path / "again" / "report.json").read_bytes() == (tmp_path / "first" / "report.json").read_bytes()


def test_unreadable_films_are_skipped_and_reported(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_films(tmp_path / "films", [60, 70], [200, 210])
    (data / "NORMAL" / "IM-0900-0001.png").write_bytes(b"not a film")
    assert run(["evaluate", str(place / "bundle"), "--data", str(data), "--out", str(tmp_path / "out")]) == 3
    printed = capsys.readouterr().err
    assert "1 of 5 films could not be read" in printed
    assert "IM-0900-0001.png" in printed
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["films"] == 4
    assert "IM-0900-0001.png" in report["unread"][0]


def test_table_and_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(place / "bundle"), "--data", str(place / "chest_xray")]) == 0
    table = capsys.readouterr().out
    assert "10 films, 10 patients (normal 4, pneumonia 6); split test of" in table
    assert "called at or above 0.5 (hand)" in table
    assert "sensitivity               1.000 (0.541 to 1.000)" in table
    assert run(["evaluate", str(place / "bundle"), "--data", str(place / "chest_xray"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["films"] == 10


def test_unknown_labels_are_an_error(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cat", "dog"):
        write_film(tmp_path / name / "a.png", 90)
    assert run(["evaluate", str(place / "bundle"), "--data", str(tmp_path)]) == 4
    assert "expected the labels normal, pneumonia" in capsys.readouterr().err


def test_by_a_column(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = report_of(place, "chest_xray", tmp_path, "--by", "cause")
    parts = {part["value"]: part for part in report["subgroups"]}
    assert set(parts) == {"bacteria", "normal"}
    assert (parts["bacteria"]["films"], parts["normal"]["films"]) == (6, 4)
    figures = {figure["name"]: figure["value"] for figure in parts["normal"]["figures"]}
    assert figures["specificity"] == pytest.approx(3 / 4)
    assert figures["sensitivity"] is None
    printed = capsys.readouterr().out
    assert "by cause" in printed
    assert "0.750 (" in printed


def test_by_a_missing_column(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(place / "bundle"), "--data", str(place / "chest_xray"), "--by", "sex"]) == 2
    assert "expected one of the columns that the films have (cause); received 'sex'" in capsys.readouterr().err


def test_stored_predictions_are_evaluated_again(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = report_of(place, "chest_xray", tmp_path / "first")
    capsys.readouterr()
    again = ["evaluate", str(tmp_path / "first"), "--resamples", "100", "--json"]
    assert run(again) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["metrics"] == first["metrics"]
    assert (output["split"], output["reader_sha256"]) == ("test", first["reader_sha256"])
    assert run([*again, "--threshold", "0.95"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert (output["threshold"], output["threshold_chosen_by"]) == (0.95, "given")
    assert output["confusion"]["counts"]["all"] == [[4, 0], [1, 5]]


def test_a_bundle_without_films_is_a_usage_error(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(place / "bundle")]) == 2
    assert "name the films it should read with --data DIR" in capsys.readouterr().err
