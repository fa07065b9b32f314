"""Every verb works where a picture may have several findings at once: labels in columns, a sigmoid each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow.parquet import read_table
from pydantic import ValidationError

from lucency.bundle import Card, Model, OperatingPoint, read_card
from lucency.bundle.card import Task
from lucency.cli import run
from lucency.evaluate.calibration import apply, probabilities
from lucency.evaluate.report import open_predictions
from lucency.reader import Outputs, Reader, Reading
from lucency.reader.reading import reading
from lucency.serve.routes import FilmAnswer

pytestmark = pytest.mark.long

FINDINGS = ("haemorrhage", "pigment")
RECIPE = """
name = "findings"
[data]
modality = "photograph"
image_size = 64
[model]
backbone = "mobilenet_v2"
width = 0.25
depth = 4
[head]
epochs = 40
lr = 0.05
"""


def draw(folder: Path, films: int) -> None:
    """Pictures with a red spot, a dark one, both or none, and their table."""
    rng, rows = np.random.default_rng(5), ["path,patient,sex,haemorrhage,pigment"]
    y, x = np.mgrid[:64, :64]
    for number in range(films):
        has = (number % 2, number // 2 % 2)
        picture = np.full((64, 64, 3), (225, 180, 160)) + rng.normal(0, 15, (64, 64, 3))
        for there, colour, middle in zip(has, ((200, 20, 20), (40, 30, 30)), (20, 44), strict=True):
            spot = (y - middle) ** 2 + (x - rng.integers(20, 44)) ** 2 < 80
            picture = np.where(spot[..., None] & bool(there), colour, picture)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        rows.append(f"{number}.png,p{number // 2},{'FM'[number % 3 == 0]},{has[0]},{has[1]}")
    (folder / "films.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("findings")
    draw(root, 128)
    (root / "findings.toml").write_text(RECIPE)
    data = ["--data", str(root / "films.csv")]
    assert run(["train", str(root / "findings.toml"), *data, "--folds", "2", "--out", str(root / "runs")]) == 0
    return root


def readings(bundle: Path, place: Path) -> list[Reading]:
    """What a run or bundle says of the first films."""
    reader = Reader.open(bundle)
    return [reader.read(place / f"{number}.png") for number in range(24)]


@pytest.fixture(scope="module")
def calibrated(place: Path) -> Path:
    """The first fold's run with a calibration and a threshold for each finding."""
    fold, more = str(place / "runs" / "fold-1"), ["--folds", "2", "--resamples", "100", "--force"]
    out = place / "calibrated"
    assert run(["recalibrate", fold, "--predictions", str(place / "runs"), *more, "--out", str(out)]) == 0
    return out


def test_evaluate_judges_each_finding_by_patient(place: Path, calibrated: Path, tmp_path: Path) -> None:
    more = ["--data", str(place / "films.csv"), "--split", "all", "--resamples", "100", "--out", str(tmp_path)]
    assert run(["evaluate", str(calibrated), *more]) == 0
    told = json.loads((tmp_path / "report.json").read_text())
    measures = {(one["name"], one["finding"]): one for one in told["metrics"]}
    assert (told["task"], told["labels"]) == ("multilabel", list(FINDINGS))
    assert told["threshold"] == list(read_card(calibrated).thresholds)
    assert told["intervals"]["drawn"] == "patients"
    for finding in (*FINDINGS, "macro"):
        for name in ("auroc", "average_precision", "sensitivity", "specificity"):
            assert measures[name, finding]["value"] is not None
    again, at = open_predictions(tmp_path)
    assert at == read_card(calibrated).thresholds
    written = (tmp_path / "predictions.csv").read_text().splitlines()[1:]
    assert [line.split(",")[7] for line in written] == again.names_of(again.called(at))


def test_each_finding_has_a_calibration_and_a_threshold(place: Path, calibrated: Path) -> None:
    card, predictions = read_card(calibrated), open_predictions(place / "runs")[0]
    assert [len(values) for values in card.calibration.parameters.values()] == [2, 2]
    chances = probabilities(apply(card.calibration, predictions.logits), "multilabel")
    for index in range(2):
        truth, chance = predictions.labels[:, index] == 1, chances[:, index]
        best = max((chance[truth] >= at).mean() + (chance[~truth] < at).mean() for at in [*chance, 2.0])
        sides = (chance[truth] >= card.thresholds[index]).mean(), (chance[~truth] < card.thresholds[index]).mean()
        assert sum(sides) == pytest.approx(best)  # Youden
        point = card.operating_point
        assert (point.sensitivity[index], point.specificity[index]) == pytest.approx(sides)  # type: ignore[index]


def test_keep_calls_the_same_findings(place: Path, tmp_path: Path) -> None:
    more = ["--predictions", str(place / "runs"), "--folds", "2", "--resamples", "100", "--force"]
    fold, new = place / "runs" / "fold-1", tmp_path / "new"
    assert run(["recalibrate", str(fold), *more, "--threshold", "keep", "--out", str(new)]) == 0
    before, after = readings(fold, place), readings(new, place)
    assert [one.verdict for one in before] == [one.verdict for one in after]
    assert not np.allclose(before[0].probabilities, after[0].probabilities)


def test_a_called_finding_leads_a_more_probable_one() -> None:
    model = Model(format="torch", file="m", backbone="none")
    names, chances = ("a", "b", "c", "d", "e"), np.array([[0.6, 0.05, 0.5, 0.4, 0.3]], np.float32)
    card = Card(
        name="x",
        task="multilabel",
        labels=names,
        model=model,
        operating_point=OperatingPoint(threshold=(0.7, 0.01, 0.6, 0.35, 0.3)),
    )
    answers = Outputs(
        chances, chances, np.arange(5, dtype=np.float32).reshape(1, 5, 1, 1), np.zeros((1, 0), np.float32)
    )
    found = reading(card, "film", answers, 0, ())
    assert (found.verdict, found.finding, found.probability) == ("b|d|e", "d", pytest.approx(0.4))
    assert found.map == 3
    assert list(found.leading.values()) == ["d", "e", "b"]


def test_thresholds_are_one_or_as_many_as_findings() -> None:
    def card(task: Task, labels: tuple[str, ...], *thresholds: float) -> Card:
        point = OperatingPoint(threshold=thresholds)
        model = Model(format="torch", file="m", backbone="none")
        return Card(name="x", task=task, labels=labels, model=model, operating_point=point)

    assert card("multilabel", ("a", "b"), 0.1, 0.2).thresholds == (0.1, 0.2)
    for task, labels in (("multilabel", ("a", "b", "c")), ("multiclass", ("a", "b")), ("binary", ("a", "b"))):
        with pytest.raises(ValidationError, match="expected one threshold"):
            card(task, labels, 0.1, 0.2)  # type: ignore[arg-type]


def test_read_and_explain_each_finding(
    place: Path, calibrated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = str(place / "3.png")
    assert run(["read", film, "--bundle", str(calibrated), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "haemorrhage|pigment"
    assert {one["label"] for one in told["leading"]} == set(FINDINGS)
    answer = FilmAnswer.model_validate(told)  # what the server promises
    assert answer.model.threshold == list(read_card(calibrated).thresholds)
    assert run(["explain", film, "--bundle", str(calibrated), "--finding", "all", "--out", str(tmp_path / "maps")]) == 0
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {f"3.cam.{finding}.png" for finding in FINDINGS}


def test_report_drift_and_compare(
    place: Path, calibrated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(place / "films.csv"), "--split", "all", "--resamples", "100"]
    assert run(["report", str(calibrated), *data, "--out", str(tmp_path)]) == 0
    written = (tmp_path / "report.html").read_text()
    assert all(
        f"{finding} {at:.4g}" in written for finding, at in zip(FINDINGS, read_card(calibrated).thresholds, strict=True)
    )
    capsys.readouterr()
    assert run(["compare", str(place / "runs" / "fold-2"), str(calibrated), *data, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["finding"] for one in told["findings"]] == list(FINDINGS)
    same = ["--reference", str(place / "films.csv"), "--now", str(place / "films.csv"), "--draws", "99"]
    more = ["--level", "0.05", "--most", "40", "--json", "--out", str(tmp_path / "drift")]
    assert run(["drift", str(calibrated), *same, *more]) == 0
    assert set(FINDINGS) <= set(json.loads(capsys.readouterr().out)["called"]["now"])


def test_gate_faith_and_score(
    place: Path, calibrated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(place / "films.csv")]
    fold = ["--fold", "1", "--folds", "2"]
    assert run(["gate", str(calibrated), *data, *fold, "--out", str(tmp_path / "gated")]) == 0
    some = ["--films", "6", "--resamples", "100", "--quick", "--out", str(tmp_path / "faith")]
    assert run(["faith", str(calibrated), *data, "--split", "all", *some]) == 2
    assert "haemorrhage, pigment" in capsys.readouterr().err
    assert run(["faith", str(calibrated), *data, "--split", "all", "--finding", "pigment", *some]) == 0
    scores = ["--manifest", str(place / "films.csv"), "--out", str(tmp_path / "scores"), "--engine", "plain"]
    assert run(["score", *scores, "--bundle", str(tmp_path / "gated")]) == 0
    rows = [row for path in (tmp_path / "scores").rglob("*.parquet") for row in read_table(path).to_pylist()]
    reader = Reader.open(tmp_path / "gated")
    assert len(rows) == 128
    for row in rows[:8]:
        assert row["verdict"] == (reader.read(place / row["film"]).verdict or "none")
        assert len(row["probabilities"]) == 2


def test_shift_refuses_several_findings(place: Path, calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["shift", str(calibrated), "--data", str(place / "films.csv"), "--split", "all"]) == 2
    assert "several findings" in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_bundle_states_and_answers_is_the_runs(place: Path, calibrated: Path, tmp_path: Path) -> None:
    assert run(["export", str(calibrated), "--out", str(tmp_path / "bundle")]) == 0
    assert read_card(tmp_path / "bundle").operating_point == read_card(calibrated).operating_point
    both = zip(readings(calibrated, place), readings(tmp_path / "bundle", place), strict=True)
    assert all(one.verdict == other.verdict for one, other in both)
