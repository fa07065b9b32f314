"""`lucency recalibrate`, from a site's films to a bundle that reads them otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lucency.bundle import read_card, verify
from lucency.cli import run

from .brightness import write_brightness_bundle, write_film, write_films


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, and a site whose films are 40 levels brighter than it expects, thirty of each kind, some misleading."""
    root = tmp_path_factory.mktemp("recalibrate")
    write_brightness_bundle(root / "bundle")
    rng = np.random.default_rng(0)
    normal, ill = rng.integers(100, 180, size=30), rng.integers(155, 235, size=30)
    write_films(root / "site", normal.tolist(), ill.tolist())
    return root


def recalibrate(place: Path, out: Path, *more: str) -> int:
    return run(["recalibrate", str(place / "bundle"), "--data", str(place / "site"), "--out", str(out), *more])


def test_a_new_bundle_with_the_gain_it_brings(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recalibrate(place, tmp_path / "new") == 0
    printed = capsys.readouterr().out
    assert "60 films of site; 60 patients" in printed
    assert "threshold" in printed
    card = verify(tmp_path / "new")
    assert (card.calibration.method, card.calibration.fitted_on) == ("platt", "60 films of site")
    assert not card.calibration.in_graph
    assert card.operating_point.chosen_by == "Youden"
    assert card.operating_point.sensitivity is not None
    assert card.abstention.method == "conformal"
    evidence = json.loads((tmp_path / "new" / "recalibration.json").read_text())
    gain = {one["name"]: one for one in evidence["gains"]}
    # Forty levels are 2.5 of the bundle's logits: it calls most normals ill, and is mended.
    assert gain["log_loss"]["difference"]["high"] < 0
    assert gain["specificity"]["difference"]["low"] > 0
    assert evidence["from"]["name"] == "brightness"
    assert read_card(place / "bundle").calibration.method == "none"  # the old one stays


def test_the_new_bundle_reads_by_the_new_numbers(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recalibrate(place, tmp_path / "new") == 0
    card = read_card(tmp_path / "new")
    capsys.readouterr()
    write_film(tmp_path / "film.png", 128)
    assert run(["read", str(tmp_path / "film.png"), "--bundle", str(tmp_path / "new"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    slope, offset = card.calibration.parameters["slope"][0], card.calibration.parameters["offset"][0]
    assert printed["probability"] == pytest.approx(1 / (1 + np.exp(-(slope * printed["logit"] + offset))), abs=1e-6)


def test_between_the_two_it_is_uncertain(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recalibrate(place, tmp_path / "new", "--coverage", "0.9") == 0
    capsys.readouterr()
    for gray in (110, 167, 230):
        write_film(tmp_path / f"{gray}.png", gray)
    films = [str(tmp_path / f"{gray}.png") for gray in (110, 167, 230)]
    assert run(["read", *films, "--bundle", str(tmp_path / "new"), "--json"]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["verdict"] for one in printed] == ["normal", "uncertain", "pneumonia"]
    assert printed[1]["called"] in ("normal", "pneumonia")
    assert "the evidence does not rule out normal or pneumonia" in printed[1]["warnings"]


def test_the_threshold_may_be_chosen_by_a_floor_or_kept(place: Path, tmp_path: Path) -> None:
    assert recalibrate(place, tmp_path / "floor", "--threshold", "sensitivity=1", "--coverage", "0") == 0
    floor = read_card(tmp_path / "floor")
    assert floor.operating_point.sensitivity == 1
    assert floor.abstention.method == "none"
    assert recalibrate(place, tmp_path / "kept", "--threshold", "keep", "--method", "keep") == 0
    assert read_card(tmp_path / "kept").operating_point.threshold == 0.5


def test_answers_in_place_of_films(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "judged"
    assert run(["evaluate", str(place / "bundle"), "--data", str(place / "site"), "--out", str(out)]) == 0
    where = ["--predictions", str(out / "predictions.csv"), "--out", str(tmp_path / "new")]
    assert run(["recalibrate", str(place / "bundle"), *where]) == 0
    assert recalibrate(place, tmp_path / "other") == 0
    one, other = (read_card(tmp_path / name).calibration.parameters for name in ("new", "other"))
    assert one["slope"] == pytest.approx(other["slope"])


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--method", "magic"], 2, "expected a calibration among none, temperature"),
        (["--threshold", "best"], 2, "expected youden, sensitivity=0.95 or cost=5:1; received 'best'"),
        (["--predictions", "x.csv"], 2, "and not both"),
    ],
)
def test_what_makes_no_sense(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], code: int, message: str
) -> None:
    assert recalibrate(place, tmp_path / "new", *more) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_nothing_is_written_over(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recalibrate(place, tmp_path / "new") == 0
    assert recalibrate(place, tmp_path / "new") == 10
    assert "holds a bundle already; choose another place" in capsys.readouterr().err


def test_a_blank_film_is_uncertain_whatever_the_network_says(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.full((40, 40), 250, np.uint8)).save(tmp_path / "blank.png")
    assert run(["read", str(tmp_path / "blank.png"), "--bundle", str(place / "bundle")]) == 0
    assert "no probability: the film shows nothing" in capsys.readouterr().out


def test_golden_answers_follow_the_calibration(tmp_path: Path) -> None:
    from lucency.bundle import Calibration, open_bundle, write_bundle
    from lucency.bundle.store import GOLDEN, Golden, GoldenFilm, Tolerance, golden_bytes, parse_golden
    from lucency.evaluate.recalibration import RecalibrationConfig
    from lucency.reader.recalibrate import recalibrate as fit_again
    from lucency.reader.recalibrate import write_recalibrated

    old = open_bundle(write_brightness_bundle(tmp_path / "old"))
    film = GoldenFilm(
        film="golden/a.png", square="golden/b.png", logits=(1.0,), probabilities=(0.73,), maps=(((1.0,),),)
    )
    golden = Golden(tolerance=Tolerance(logit=1, probability=1, map=1, doubt=1), films=(film,))
    files = {"model.onnx": old.read("model.onnx"), GOLDEN: golden_bytes(golden)}
    write_bundle(tmp_path / "golden", old.card, files)
    bundle = open_bundle(tmp_path / "golden")
    from evaluate.samples import drawn

    new = fit_again(bundle.card, drawn(200), RecalibrationConfig(), "drawn films", resamples=100)
    platt = Calibration(method="platt", parameters={"slope": (2.0,), "offset": (-1.0,)})
    fitted = replace(new, card=new.card.model_copy(update={"calibration": platt}))
    write_recalibrated(bundle, fitted, tmp_path / "new")
    found = parse_golden(open_bundle(tmp_path / "new").read(GOLDEN), "new").films[0]
    assert found.logits == (1.0,)
    assert found.probabilities[0] == pytest.approx(1 / (1 + np.exp(-1.0)))  # 2 · 1 - 1


def test_films_that_the_gate_refuses_stay_unanswered() -> None:
    from evaluate.samples import drawn
    from lucency.bundle import Card, Model
    from lucency.evaluate.recalibration import RecalibrationConfig
    from lucency.reader.recalibrate import recalibrate as fit_again

    card = Card(name="x", labels=("normal", "pneumonia"), model=Model(format="onnx", file="m", backbone="none"))
    films = drawn(200)
    let_in = np.arange(200) % 4 > 0
    for coverage, most in ((None, 0.75), (0.95, 0.74)):
        new = fit_again(card, films, RecalibrationConfig(coverage=coverage), "drawn", resamples=100, let_in=let_in)
        answered = new.crossfitted.predictions.answered
        assert answered is not None
        assert not answered[~let_in].any()
        assert answered.mean() <= most
