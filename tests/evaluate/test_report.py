"""What a judgement leaves on disk."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lucency.errors import OutputError, SourceError
from lucency.evaluate import judge, open_predictions, write_report
from lucency.evaluate.predictions import Predictions

from .samples import binary, drawn, several


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Predictions]:
    out = tmp_path_factory.mktemp("judged") / "deep" / "out"
    predictions = drawn(60)
    write_report(judge(predictions, 0.3, resamples=50), predictions, out, {"data": "films", "split": "test"})
    return out, predictions


def test_report_json(written: tuple[Path, Predictions]) -> None:
    report = json.loads((written[0] / "report.json").read_text())
    assert report["data"] == "films"
    assert report["split"] == "test"
    assert (report["films"], report["patients"], report["threshold"]) == (60, 30, 0.3)
    assert report["labels"] == ["NORMAL", "PNEUMONIA"]
    assert sum(report["films_per_label"].values()) == 60
    assert np.sum(report["confusion"]["counts"]["all"]) == 60
    assert report["intervals"]["resamples"] == 50
    assert report["intervals"]["drawn"] == "patients"
    auroc = next(metric for metric in report["metrics"] if metric["name"] == "auroc")
    assert auroc["low"] <= auroc["value"] <= auroc["high"]


def test_predictions_csv(written: tuple[Path, Predictions]) -> None:
    with (written[0] / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["file", "patient", "label", "logit", "probability", "called", "verdict"]
    assert len(rows) == 60
    for row in rows:
        assert (row["called"] == row["verdict"] == "PNEUMONIA") == (float(row["probability"]) >= 0.3)


@pytest.mark.parametrize("name", ["confusion.png", "roc.png", "pr.png", "reliability.png", "risk.png"])
def test_pictures_can_be_read(written: tuple[Path, Predictions], name: str) -> None:
    with Image.open(written[0] / name) as picture:
        picture.load()
        assert min(picture.size) >= 500
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 20


def test_nothing_else_is_left(written: tuple[Path, Predictions]) -> None:
    assert {path.name for path in written[0].iterdir()} == {
        "report.json",
        "predictions.csv",
        "confusion.png",
        "roc.png",
        "pr.png",
        "reliability.png",
        "risk.png",
    }


def test_there_and_back(written: tuple[Path, Predictions]) -> None:
    for path in (written[0], written[0] / "predictions.csv"):
        predictions, threshold = open_predictions(path)
        assert threshold == 0.3
        np.testing.assert_array_equal(predictions.logits, written[1].logits)
        assert predictions.patients == written[1].patients


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_several_labels(tmp_path: Path, task: str) -> None:
    predictions = several(task, 60, 6)  # type: ignore[arg-type]
    write_report(judge(predictions, resamples=30), predictions, tmp_path)
    again, _ = open_predictions(tmp_path)
    np.testing.assert_array_equal(again.labels, predictions.labels)


def test_no_nan_in_json_even_with_one_class(tmp_path: Path) -> None:
    predictions = binary([1, 1, 1], [1.0, 2.0, 3.0], patients=(None, None, "a"))
    write_report(judge(predictions, resamples=30), predictions, tmp_path)
    text = (tmp_path / "report.json").read_text()
    assert "NaN" not in text
    report = json.loads(text)
    assert report["patients_known"] is False
    assert report["intervals"]["drawn"] == "films where the patient is unknown"


def test_an_unwritable_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    predictions = drawn(20)
    with pytest.raises(OutputError, match="cannot be written"):
        write_report(judge(predictions, resamples=20), predictions, tmp_path / "file" / "out")


def test_without_report_json_the_labels_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text(drawn(4).to_csv())
    with pytest.raises(SourceError, match=r"report\.json: expected the report\.json that lucency evaluate writes"):
        open_predictions(tmp_path)
