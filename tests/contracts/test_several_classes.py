"""Every verb works for four classes in colour, with a map of each, and speaks of the organ at hand and of no other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lucency.cli import run

pytestmark = pytest.mark.long

LABELS = ("bcc", "df", "mel", "nv")
SPOTS = ((200, 120, 110), (150, 90, 60), (60, 40, 40), (120, 70, 50))
"""Colour of each kind of drawn spot."""
RECIPE = """
name = "spots"
[data]
modality = "skin"
image_size = 64
[model]
backbone = "mobilenet_v2"
width = 0.25
depth = 4
[head]
epochs = 3
lr = 0.02
"""
FOREIGN = re.compile(r"pneumonia|lung|chest|radiograph|x-ray|radiolog", re.IGNORECASE)


def draw_skin(folder: Path, each: int) -> Path:
    """`each` drawn pictures of every label: a spot on skin, its colour that of the label, more or less."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:64, :64]
    for label, colour in zip(LABELS, SPOTS, strict=True):
        (folder / label).mkdir(parents=True)
        for number in range(each):
            middle, radius = rng.integers(24, 40, 2), rng.integers(8, 18)
            spot = (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < radius**2
            picture = np.where(spot[..., None], colour, (225, 180, 160)) + rng.normal(0, 25, (64, 64, 3))
            Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / label / f"{label}{number}.png")
    return folder


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn skin, two runs of a cross-validation, and the first with a gate."""
    root = tmp_path_factory.mktemp("several")
    draw_skin(root / "skin", 36)
    (root / "spots.toml").write_text(RECIPE)
    data = ["--data", str(root / "skin")]
    assert run(["train", str(root / "spots.toml"), *data, "--folds", "2", "--out", str(root / "runs")]) == 0
    first = str(root / "runs" / "fold-1")
    assert run(["gate", first, *data, "--folds", "2", "--fold", "1", "--out", str(root / "gated")]) == 0
    return root


def words(*paths: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def test_the_gate_checks_what_a_mirrored_lesion_cannot_break(place: Path) -> None:
    checks = json.loads((place / "gated" / "card.json").read_text())["gate"]["checks"]
    assert [check["name"] for check in checks] == ["layout", "features"]


def test_a_reading_names_the_kind(place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    assert run(["read", str(tmp_path / "noise.png"), "--bundle", str(place / "gated")]) == 0
    said = capsys.readouterr().out
    assert "skin photograph" in said
    assert "calls the most probable class" in said
    assert "threshold" not in said
    assert not FOREIGN.search(said)


def test_drift_measures_colour_too(place: Path, tmp_path: Path) -> None:
    same = ["--reference", str(place / "skin"), "--now", str(place / "skin"), "--draws", "99", "--level", "0.05"]
    assert run(["drift", str(place / "gated"), *same, "--most", "40", "--out", str(tmp_path)]) == 0
    printed = json.loads((tmp_path / "drift.json").read_text())
    names = {shift["name"] for shift in printed["shifts"]}
    assert {"red cast", "blue cast", *(f"score of {label}" for label in LABELS)} <= names
    assert not FOREIGN.search(words(tmp_path / "drift.html"))


def test_compare_tells_each_class(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(place / "runs" / f"fold-{k}") for k in (1, 2)]
    assert run(["compare", *runs, "--data", str(place / "skin"), "--resamples", "100"]) == 0
    said = capsys.readouterr().out
    assert all(re.search(rf"^{label} +A", said, re.MULTILINE) for label in LABELS)


def test_shift_re_acquires_colour(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--only", "jpeg", "--only", "tone", "--json", "--out", str(tmp_path)]
    assert run(["shift", str(place / "runs" / "fold-1"), "--data", str(place / "skin"), *more]) == 0
    (printed,) = json.loads(capsys.readouterr().out)["runs"]
    assert "fold 1 of 2, not used in training" in printed["how"]
    plain, tone, jpeg = sorted(printed["figures"], key=lambda one: ["plain", "tone", "jpeg"].index(one["condition"]))
    assert plain["change"]["value"] == plain["called_otherwise"]["value"] == 0
    assert abs(jpeg["change"]["value"]) <= abs(tone["change"]["value"])  # it knows colours, which JPEG hardly changes
    assert list(tone["sensitivity"]) == list(LABELS)
    assert "tone" in printed["probe"]
    assert not FOREIGN.search(words(tmp_path / "shift.html"))


def test_the_baseline_of_shift_needs_two_classes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["shift", str(place / "gated"), "--data", str(place / "skin"), "--bias"]) == 2
    assert "--bias) needs two classes" in capsys.readouterr().err


def test_faith_leaves_out_what_is_not_there(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--data", str(place / "skin"), "--films", "2", "--resamples", "100", "--out", str(tmp_path)]
    assert run(["faith", str(place / "gated"), *more]) == 2
    assert "expected one of bcc, df, mel, nv" in capsys.readouterr().err
    assert run(["faith", str(place / "gated"), *more, "--finding", "mel"]) == 0
    printed = json.loads((tmp_path / "faith.json").read_text())
    assert printed["finding"] == "mel"
    assert {"deletion", "insertion", "occlusion"} <= {figure["name"] for figure in printed["methods"][0]["figures"]}
    assert not FOREIGN.search(capsys.readouterr().out + json.dumps(printed["methods"]))


def test_explain_draws_a_map_of_each_class(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = str(place / "skin" / "mel" / "mel0.png")
    more = ["--finding", "all", "--sheet", "--json", "--out", str(tmp_path)]
    assert run(["explain", film, "--bundle", str(place / "gated"), *more]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["explained"] for one in printed] == list(LABELS)
    assert len({json.dumps(one["map"]) for one in printed}) == len(LABELS)
    assert {path.name for path in tmp_path.iterdir()} == {"sheet.png", *(f"mel0.cam.{label}.png" for label in LABELS)}


def test_recalibrate_mends_each_class(place: Path, tmp_path: Path) -> None:
    more = ["--predictions", str(place / "runs"), "--folds", "3", "--resamples", "100", "--force"]
    assert run(["recalibrate", str(place / "gated"), *more, "--method", "auto", "--out", str(tmp_path / "new")]) == 0
    printed = json.loads((tmp_path / "new" / "recalibration.json").read_text())
    names = {gain["name"] for gain in printed["gains"]}
    assert {"ece", "balanced_accuracy", *(f"ece of {label}" for label in LABELS)} <= names


def test_costs_decide_in_place_of_the_most_probable_class(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{true},{','.join('0' if true == called else '1' for called in LABELS)},0.9" for true in LABELS]
    rows[2] = "mel,50,50,0,50,60"  # a missed melanoma costs fifty false alarms, so nothing else is called
    (tmp_path / "costs.csv").write_text("\n".join([f"true,{','.join(LABELS)},refer", *rows]))
    more = ["--predictions", str(place / "runs"), "--folds", "2", "--resamples", "100", "--force"]
    new, costs = str(tmp_path / "new"), ["--costs", str(tmp_path / "costs.csv")]
    assert run(["recalibrate", str(place / "runs" / "fold-1"), *more, *costs, "--out", new]) == 0
    assert "mean cost" in capsys.readouterr().out
    assert run(["read", str(place / "skin" / "nv" / "nv0.png"), "--bundle", new, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["called"], printed["finding"]) == ("mel", "mel")
    assert min(printed["expected_costs"], key=printed["expected_costs"].get) == "mel"


def test_a_report_speaks_of_skin_only(place: Path, tmp_path: Path) -> None:
    more = ["--data", str(place / "skin"), "--resamples", "100", "--out", str(tmp_path)]
    assert run(["report", str(place / "gated"), *more]) == 0
    written = words(*tmp_path.glob("*.md"), tmp_path / "report.html", tmp_path / "report.json")
    assert not FOREIGN.search(re.sub(r"data:image/png;base64,[\w+/=]+", "", written))
    assert "skin photograph" in written
    assert "64 × 64 RGB pixels" in written
    card = (tmp_path / "model-card.md").read_text()
    assert all(re.search(rf"^\| {label} \| 36 \|", card, re.MULTILINE) for label in LABELS)
