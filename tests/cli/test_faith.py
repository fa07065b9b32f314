"""`lucency faith`, from films on disk to the table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lucency.cli import run
from lucency.data import read_dataset
from lucency.data.phantom import write_phantoms
from lucency.data.splits import Fold

from .brightness import write_brightness_bundle
from .test_explain import network, write_run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, another seed's, a bundle, and eight drawn films."""
    root = tmp_path_factory.mktemp("faith")
    write_run(root / "run", network())
    write_run(root / "other", network("linear"))
    write_brightness_bundle(root / "bundle")
    write_phantoms(root / "films", 8)
    return root


def faith(place: Path, out: Path, *more: str, reader: str = "run") -> int:
    where = ["--data", str(place / "films"), "--out", str(out), "--resamples", "100"]
    return run(["faith", str(place / reader), *where, *more])


@pytest.mark.long
def test_a_run(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--method", "cam", "--method", "guided_backprop", "--shuffled", str(place / "other"), "--films", "3"]
    assert faith(place, tmp_path, *more) == 0
    printed = capsys.readouterr().out
    assert "3 films with pneumonia" in printed
    assert "guided_backprop   ✗ fails the randomisation test" in printed
    report = json.loads((tmp_path / "faith.json").read_text())
    assert [row["method"] for row in report["methods"]] == ["cam", "guided_backprop", "random"]
    names = {figure["name"] for figure in report["methods"][0]["figures"]}
    assert {"pointing", "energy_in_lesion", "iou", "energy_in_lungs", "deletion", "occlusion", "labels_rank"} <= names
    assert report["methods"][0]["cascade"]["blocks"][-1] == 19
    assert report["methods"][2]["cascade"] is None
    same = {f["name"]: f["value"] for f in report["methods"][0]["figures"]}
    assert same["labels_rank"] == pytest.approx(1)  # the "other" run has the same weights
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_an_exported_bundle(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert faith(place, tmp_path, "--method", "all", "--films", "2", "--json", reader="bundle") == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in report["methods"]] == ["cam", "occlusion", "random"]
    assert all(row["fails_randomisation"] is None for row in report["methods"])


def test_invalid_options_are_one_line(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert faith(place, tmp_path, "--shuffled", str(place / "other"), reader="bundle") == 2
    assert "further runs are compared with a run, received a bundle" in capsys.readouterr().err
    assert faith(place, tmp_path, "--method", "gradcam") == 9
    assert "did you mean 'grad_cam'?" in capsys.readouterr().err
    assert not (tmp_path / "faith.json").exists()


def test_an_unreadable_film(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_phantoms(tmp_path / "films", 4)
    (tmp_path / "films" / "films" / "phantom-0001-0.png").write_bytes(b"not a film")
    where = ["--data", str(tmp_path / "films"), "--out", str(tmp_path / "out"), "--resamples", "100"]
    assert run(["faith", str(place / "bundle"), *where]) == 3
    assert "phantom-0001-0.png" in capsys.readouterr().err


def test_a_fold_is_evaluated_on_its_held_out_films(place: Path, tmp_path: Path) -> None:
    held = Fold(1, 2).split(read_dataset(str(place / "films")))[1]
    positive = sum(record.label == 1 for record in held.samples)
    assert faith(place, tmp_path, "--quick", "--fold", "1", "--folds", "2", reader="bundle") == 0
    report = json.loads((tmp_path / "faith.json").read_text())
    assert (report["films"], report["split"]) == (positive, "fold 1 of 2")
    assert not (tmp_path / "curves.png").exists()  # --quick draws none


def test_fold_and_split_exclude_each_other(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert faith(place, tmp_path, "--fold", "1", "--split", "test", reader="bundle") == 2
    assert "expected --fold or --split, received both" in capsys.readouterr().err


@pytest.mark.long
def test_a_constant_network_has_no_nan(place: Path, tmp_path: Path) -> None:
    """Its map is zero: a miss on every film, no energy, and no NaN."""
    classifier = network()
    torch.nn.init.zeros_(classifier.head.last.weight)
    write_run(tmp_path / "constant", classifier)
    assert faith(place, tmp_path, "--films", "3", reader=str(tmp_path / "constant")) == 0
    (row, _) = json.loads((tmp_path / "faith.json").read_text())["methods"]
    values = {figure["name"]: figure["value"] for figure in row["figures"]}
    assert values["pointing"] == values["pointing_near"] == values["energy_in_lesion"] == values["energy_in_lungs"] == 0
    assert None not in values.values()


def test_broken_weights_are_one_line_without_figures(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = network()
    with torch.no_grad():
        classifier.features[0].conv.weight.fill_(float("nan"))  # type: ignore[index, union-attr]
    write_run(tmp_path / "broken", classifier)
    for more in ((), ("--quick",)):
        assert faith(place, tmp_path, "--films", "2", *more, reader=str(tmp_path / "broken")) == 9
        printed = capsys.readouterr().err.strip().splitlines()
        assert "broken" in printed[-1]
    assert not (tmp_path / "faith.json").exists()
