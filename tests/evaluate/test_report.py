"""The report: the figures of each task, their intervals, and the files it writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as sk

from lucency.errors import OutputError, SourceError
from lucency.evaluate import evaluate_predictions, open_predictions, write_report
from lucency.evaluate.metrics import METRICS
from lucency.evaluate.predictions import Predictions

from .samples import binary, drawn, several


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Predictions]:
    out = tmp_path_factory.mktemp("judged") / "deep" / "out"
    predictions = drawn(60)
    write_report(
        evaluate_predictions(predictions, 0.3, resamples=50), predictions, out, {"data": "films", "split": "test"}
    )
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
    write_report(evaluate_predictions(predictions, resamples=30), predictions, tmp_path)
    again, _ = open_predictions(tmp_path)
    np.testing.assert_array_equal(again.labels, predictions.labels)


def test_no_nan_in_json_even_with_one_class(tmp_path: Path) -> None:
    predictions = binary([1, 1, 1], [1.0, 2.0, 3.0], patients=(None, None, "a"))
    write_report(evaluate_predictions(predictions, resamples=30), predictions, tmp_path)
    text = (tmp_path / "report.json").read_text()
    assert "NaN" not in text
    report = json.loads(text)
    assert report["patients_known"] is False
    assert report["intervals"]["drawn"] == "films where the patient is unknown"


def test_an_unwritable_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    predictions = drawn(20)
    with pytest.raises(OutputError, match="cannot be written"):
        write_report(evaluate_predictions(predictions, resamples=20), predictions, tmp_path / "file" / "out")


def test_without_report_json_the_labels_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text(drawn(4).to_csv())
    with pytest.raises(SourceError, match=r"report\.json: expected the report\.json that lucency evaluate writes"):
        open_predictions(tmp_path)


def test_lecture_confusion_by_hand() -> None:
    """579 of 624: 384 of 390 ill found, 195 of 234 well cleared; sensitivity 98.5 %, specificity 83.3 %."""
    labels = [1] * 390 + [0] * 234
    logits = [1.0] * 384 + [-1.0] * 6 + [1.0] * 39 + [-1.0] * 195
    report = evaluate_predictions(binary(labels, logits), resamples=500)
    assert report.confusion["all"].tolist() == [[195, 39], [6, 384]]
    assert (report.films, report.patients, report.films_per_label) == (624, 624, (234, 390))
    expected = {"accuracy": 579 / 624, "sensitivity": 384 / 390, "specificity": 195 / 234, "precision": 384 / 423}
    assert {name: report.measure(name).value for name in expected} == pytest.approx(expected)
    # Independent films: close to Wilson's intervals, 90.5-94.6, 96.7-99.3, 78.0-87.6 %.
    wilson = {"accuracy": (0.905, 0.946), "sensitivity": (0.967, 0.993), "specificity": (0.780, 0.876)}
    for name, bounds in wilson.items():
        assert (report.measure(name).low, report.measure(name).high) == pytest.approx(bounds, abs=0.008)


def test_every_metric_has_a_value_inside_its_interval() -> None:
    report = evaluate_predictions(drawn(), resamples=300)
    assert [measure.name for measure in report.measures] == list(METRICS)
    for measure in report.measures:
        assert measure.finding == "PNEUMONIA"
        assert measure.value is not None
        assert measure.low is not None
        assert measure.high is not None
        assert measure.low <= measure.value <= measure.high
        assert not measure.reason


def test_the_threshold_moves_the_verdict_and_not_the_ranking() -> None:
    predictions = drawn()
    low, high = (
        evaluate_predictions(predictions, 0.1, resamples=50),
        evaluate_predictions(predictions, 0.9, resamples=50),
    )
    assert low.measure("sensitivity").value > high.measure("sensitivity").value  # type: ignore[operator]
    assert low.measure("specificity").value < high.measure("specificity").value  # type: ignore[operator]
    assert low.measure("auroc") == high.measure("auroc")


def test_ranking_does_not_drown_in_rounded_probabilities() -> None:
    """Logits of 40 and 50 both round to probability 1; they still rank."""
    predictions = binary([0, 1, 0, 1], [40.0, 50.0, 39.0, 45.0])
    assert predictions.probabilities.max() == predictions.probabilities.min() == 1.0
    assert evaluate_predictions(predictions, resamples=50).measure("auroc").value == 1.0


def test_one_class_only_gives_reasons_and_no_number() -> None:
    report = evaluate_predictions(binary([1, 1, 1], [1.0, 2.0, -1.0]), resamples=50)
    assert report.measure("sensitivity").value == pytest.approx(2 / 3)
    assert report.measure("specificity").value is None
    assert report.measure("specificity").reason == "every film has PNEUMONIA"
    assert report.measure("auroc").reason == "needs films with and without PNEUMONIA"
    assert str(report.measure("auroc")) == "not defined: needs films with and without PNEUMONIA"


def test_a_perfect_score_is_not_a_certain_one() -> None:
    """Twenty of twenty: exact bounds over patients instead of an interval of no width."""
    report = evaluate_predictions(binary([1] * 10 + [0] * 10, [5.0] * 10 + [-5.0] * 10), resamples=50)
    assert report.measure("sensitivity").low == pytest.approx(0.025**0.1)
    assert report.measure("auroc").low == pytest.approx(0.025**0.1)
    assert report.measure("auroc").high == 1.0
    assert "exact" in report.measure("auroc").reason
    assert report.measure("average_precision").low is None


def test_several_classes_equal_scikit_learn() -> None:
    predictions = several("multiclass", 300, 4)
    report = evaluate_predictions(predictions, resamples=50)
    truth, called = predictions.labels, predictions.probabilities.argmax(axis=1)
    assert report.threshold is None
    np.testing.assert_array_equal(report.confusion["all"], sk.confusion_matrix(truth, called))
    expected = {
        ("accuracy", "all"): sk.accuracy_score(truth, called),
        ("brier", "all"): sk.brier_score_loss(truth, predictions.probabilities),
        ("sensitivity", "macro"): sk.recall_score(truth, called, average="macro"),
        ("precision", "macro"): sk.precision_score(truth, called, average="macro"),
        ("f1", "macro"): sk.f1_score(truth, called, average="macro"),
        ("auroc", "macro"): sk.roc_auc_score(truth, predictions.probabilities, multi_class="ovr"),
        ("auroc", "finding 2"): sk.roc_auc_score(truth == 2, predictions.probabilities[:, 2]),
        ("average_precision", "finding 2"): sk.average_precision_score(truth == 2, predictions.probabilities[:, 2]),
    }
    assert {key: report.measure(*key).value for key in expected} == pytest.approx(expected)


def test_several_findings_equal_scikit_learn() -> None:
    predictions = several("multilabel", 300, 3)
    report = evaluate_predictions(predictions, 0.4, resamples=50)
    truth, called = predictions.labels, predictions.probabilities >= 0.4
    expected = {
        ("exact_match", "all"): sk.accuracy_score(truth, called),
        ("f1", "macro"): sk.f1_score(truth, called, average="macro"),
        ("auroc", "macro"): sk.roc_auc_score(truth, predictions.logits, average="macro"),
        ("auroc", "finding 0"): sk.roc_auc_score(truth[:, 0], predictions.logits[:, 0]),
        ("accuracy", "finding 1"): sk.accuracy_score(truth[:, 1], called[:, 1]),
    }
    assert {key: report.measure(*key).value for key in expected} == pytest.approx(expected)
    for k, name in enumerate(predictions.label_names):
        np.testing.assert_array_equal(report.confusion[name], sk.confusion_matrix(truth[:, k], called[:, k]))


def test_a_class_without_films_leaves_its_mean_undefined() -> None:
    predictions = several("multiclass", 40, 3)
    report = evaluate_predictions(predictions.pick(predictions.labels != 2), resamples=50)
    assert report.measure("auroc", "finding 2").value is None
    assert report.measure("auroc", "macro").value is None
    assert report.measure("auroc", "macro").reason == "not defined for every label"
    assert report.measure("accuracy", "all").value is not None


def test_no_film_is_refused() -> None:
    with pytest.raises(SourceError, match="expected films to evaluate, found none"):
        evaluate_predictions(drawn(10).pick([]))


def test_an_unknown_figure_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        evaluate_predictions(drawn(20), resamples=20).measure("charm")
