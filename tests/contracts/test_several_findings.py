"""Every verb works where a picture may have several findings at once: labels in columns, a sigmoid each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lucency.cli import run

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
epochs = 4
lr = 0.02
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
    draw(root, 96)
    (root / "findings.toml").write_text(RECIPE)
    data = ["--data", str(root / "films.csv")]
    assert run(["train", str(root / "findings.toml"), *data, "--folds", "2", "--out", str(root / "runs")]) == 0
    return root


def test_evaluate_judges_each_finding_by_patient(place: Path, tmp_path: Path) -> None:
    data = ["--data", str(place / "films.csv"), "--split", "all"]
    more = [*data, "--resamples", "100", "--out", str(tmp_path)]
    assert run(["evaluate", str(place / "runs" / "fold-1"), *more]) == 0
    told = json.loads((tmp_path / "report.json").read_text())
    measures = {(one["name"], one["finding"]): one for one in told["metrics"]}
    assert (told["task"], told["labels"]) == ("multilabel", list(FINDINGS))
    assert told["intervals"]["drawn"] == "patients"
    for finding in FINDINGS:
        for name in ("auroc", "sensitivity", "specificity"):
            assert measures[name, finding]["value"] is not None
    assert {path.name for path in tmp_path.iterdir()} >= {"predictions.csv", "report.json"}


def test_recalibrate_read_and_explain_each_finding(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new, film = str(tmp_path / "new"), str(place / "3.png")
    more = ["--predictions", str(place / "runs"), "--folds", "2", "--resamples", "100", "--force", "--out", new]
    assert (
        run(
            [
                "recalibrate",
                str(place / "runs" / "fold-1"),
                *more,
                "--method",
                "platt",
                "--threshold",
                "keep",
                "--coverage",
                "0",
            ]
        )
        == 0
    )
    card = json.loads((tmp_path / "new" / "card.json").read_text())
    assert [len(values) for values in card["calibration"]["parameters"].values()] == [2, 2]
    capsys.readouterr()
    assert run(["read", film, "--bundle", new, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["label"] for one in told["leading"]} == set(FINDINGS)
    assert set(told["verdict"].split("|")) <= {*FINDINGS, ""}
    assert run(["explain", film, "--bundle", new, "--finding", "all", "--out", str(tmp_path / "maps")]) == 0
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {f"3.cam.{finding}.png" for finding in FINDINGS}
