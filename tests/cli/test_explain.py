"""`lucency explain`, from a film on disk to the picture."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lucency.bundle import Card, Model, Square
from lucency.cli import run
from lucency.models import build
from lucency.models.classifier import Classifier
from lucency.models.run import save_run
from lucency.recipe import ModelSettings

from .brightness import write_brightness_bundle


def network(head: str = "linear") -> Classifier:
    """The smallest backbone with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = build(ModelSettings(backbone="mobilenet_v2", width=0.25, head=head)).eval()  # type: ignore[arg-type]
        torch.nn.init.normal_(classifier.head.last.weight, 0, 0.3)
    return classifier


def write_run(out: Path, classifier: Classifier, side: int = 64) -> Path:
    """A run of that network on disk."""
    card = Card(
        name="random",
        labels=("normal", "pneumonia"),
        preprocess=Square(image_size=side, resize_mode="crop"),
        model=Model(format="torch", file="model.safetensors", backbone="mobilenet_v2", width=0.25),
    )
    save_run(out, classifier, card)
    return out


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, a bundle and two films."""
    root = tmp_path_factory.mktemp("explain")
    write_run(root / "run", network())
    write_brightness_bundle(root / "bundle")
    for name, shift in (("a", 0), ("b", 60)):
        film = np.tile(np.linspace(0, 190, 120), (90, 1)) + shift
        Image.fromarray(film.astype(np.uint8)).save(root / f"{name}.png")
    return root


def pixels(path: Path) -> np.ndarray:
    """A picture as uint8 (h, w, 3)."""
    with Image.open(path) as picture:
        return np.asarray(picture)


def explain(place: Path, out: Path, *more: str, bundle: str = "run") -> int:
    return run(["explain", str(place / "a.png"), "--bundle", str(place / bundle), "--out", str(out), *more])


@pytest.mark.parametrize("method", ["cam", "grad_cam", "guided_backprop"])
def test_one_picture_per_film(place: Path, tmp_path: Path, method: str) -> None:
    assert explain(place, tmp_path, "--method", method) == 0
    height, width, _ = pixels(tmp_path / f"a.{method}.png").shape
    assert width > 3 * 120  # film, overlay, map and scale, the film at its own 120 × 90
    assert height > 90


@pytest.mark.parametrize("method", ["cam", "occlusion"])
def test_an_exported_bundle_needs_no_pytorch(place: Path, tmp_path: Path, method: str) -> None:
    arguments = ["explain", str(place / "a.png"), "--bundle", str(place / "bundle"), "--out", str(tmp_path)]
    code = (
        "import sys; from lucency.cli import run; "
        f"assert run({[*arguments, '--method', method]!r}) == 0; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
    assert (tmp_path / f"a.{method}.png").exists()


def test_methods_that_a_bundle_does_not_support(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(place, tmp_path, "--method", "shap", bundle="bundle") == 9
    assert "supports cam and occlusion, received method shap; explain the run" in capsys.readouterr().err
    assert explain(place, tmp_path, "--list-layers", bundle="bundle") == 9
    assert not list(tmp_path.iterdir())


def test_methods_and_layers_are_suggested(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(place, tmp_path, "--method", "gradcam") == 9
    assert "did you mean 'grad_cam'?" in capsys.readouterr().err
    assert explain(place, tmp_path, "--method", "grad_cam", "--layer", "features.99") == 9
    assert "--list-layers prints them all" in capsys.readouterr().err
    assert explain(place, tmp_path, "--method", "lime", "--layer", "features.3") == 9
    assert "lime has no choice of layer; grad_cam" in capsys.readouterr().err


def test_layers_are_listed_and_drawn(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "--bundle", str(place / "run"), "--list-layers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["features", "1280", "maps", "of", "2", "×", "2"]
    assert explain(place, tmp_path, "--method", "grad_cam", "--layer", "features.6", "--json") == 0
    assert np.shape(json.loads(capsys.readouterr().out)["map"]) == (8, 8)


def test_opposite_names_the_other_label(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = []
    for more in ([], ["--opposite"], ["--finding", "all"]):
        assert explain(place, tmp_path, "--json", *more) == 0
        maps.append(np.array(json.loads(capsys.readouterr().out)["map"]))
    np.testing.assert_allclose(maps[0], -maps[1])
    np.testing.assert_array_equal(maps[0], maps[2])  # two classes have one map


def test_a_doubt_is_painted_and_printed(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The mark is a dark red bar across overlay and map; nothing else on the page is dark red."""
    for method, doubted in (("guided_backprop", True), ("grad_cam", False)):
        assert explain(place, tmp_path, "--method", method) == 0
        assert ("fails the randomisation test" in capsys.readouterr().out) == doubted
        red = (pixels(tmp_path / f"a.{method}.png") == (170, 30, 0)).all(-1)
        assert (red.sum() > 200) == doubted
    assert explain(place, tmp_path, "--method", "guided_grad_cam", "--json", "--sheet") == 0
    assert json.loads(capsys.readouterr().out)["mark"] == "fails the randomisation test"
    assert (pixels(tmp_path / "sheet.png") == (170, 30, 0)).all(-1).sum() > 200


def test_a_sheet_and_an_unreadable_film(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.png").write_bytes(b"not a film")
    films = [str(place / "a.png"), str(tmp_path / "bad.png"), str(place / "b.png")]
    arguments = ["explain", *films, "--bundle", str(place / "run"), "--out", str(tmp_path / "maps"), "--sheet"]
    assert run(arguments) == 3
    assert "1 of 3 films could not be read" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["a.cam.png", "b.cam.png", "sheet.png"]


def test_films_of_one_name_have_separate_pictures(place: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "a.png"
    other.parent.mkdir()
    other.write_bytes((place / "b.png").read_bytes())
    run(["explain", str(place / "a.png"), str(other), "--bundle", str(place / "run"), "--out", str(tmp_path / "maps")])
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["a-2.cam.png", "a.cam.png"]


def test_missing_films_and_unknown_labels(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "--bundle", str(place / "run")]) == 2
    assert "expected at least one film" in capsys.readouterr().err
    assert explain(place, tmp_path, "--finding", "fracture") == 2
    assert "expected pneumonia, got 'fracture'" in capsys.readouterr().err


def test_broken_weights_are_one_line_without_a_picture(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = network()
    with torch.no_grad():
        classifier.features[0].conv.weight.fill_(float("nan"))  # type: ignore[index, union-attr]
    write_run(tmp_path / "broken", classifier)
    for method in ("cam", "occlusion", "guided_backprop"):
        film = str(place / "a.png")
        assert (
            run(["explain", film, "--bundle", str(tmp_path / "broken"), "--method", method, "--out", str(tmp_path)])
            == 9
        )
        printed = capsys.readouterr().err
        assert "broken" in printed
        assert len(printed.strip().splitlines()) == 1
    assert not list(tmp_path.glob("*.png"))


def test_constant_maps_and_maps_of_one_cell_are_remarked(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = network()
    torch.nn.init.zeros_(classifier.head.last.weight)
    write_run(tmp_path / "constant", classifier)
    film = str(place / "a.png")
    assert run(["explain", film, "--bundle", str(tmp_path / "constant"), "--out", str(tmp_path)]) == 0
    assert "the map is zero everywhere" in capsys.readouterr().out
    write_run(tmp_path / "small", network(), side=32)
    assert run(["explain", film, "--bundle", str(tmp_path / "small"), "--out", str(tmp_path)]) == 0
    assert "a map of one cell" in capsys.readouterr().out


def test_a_film_smaller_than_the_networks_input(place: Path, tmp_path: Path) -> None:
    Image.fromarray(np.arange(5 * 7, dtype=np.uint8).reshape(5, 7)).save(tmp_path / "tiny.png")
    arguments = ["explain", str(tmp_path / "tiny.png"), "--bundle", str(place / "run"), "--out", str(tmp_path)]
    assert run(arguments) == 0
    assert (tmp_path / "tiny.cam.png").exists()
