"""An ordinal head learns grades in order, and exports answer as it does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.small_runs import alive, card_of, few_units, squares
from lucency.cli import run
from lucency.export import TARGETS
from lucency.export.network import ExportNetwork

pytestmark = pytest.mark.long

RECIPE = """
name = "grades"
[data]
modality = "mri_slice"
image_size = 32
[model]
backbone = "mobilenet_v2"
width = 0.25
depth = 3
head = "{head}"
dropout = 0.0
[head]
epochs = 40
batch = 8
lr = 0.05
"""


def draw_grades(folder: Path, each: int, names: str = "01234") -> Path:
    """Drawn slices: the higher the grade, the wider the bright disc, with neighbours that overlap."""
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[:32, :32]
    for grade, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            disc = (rows - 16) ** 2 + (columns - 16) ** 2 < (3 + 2.5 * (grade + rng.normal(0, 0.3))) ** 2
            noisy = np.where(disc, 180, 60) + rng.normal(0, 20, (32, 32))
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / name / f"{name}-{number}.png")
    return folder


def test_it_learns_grades(tmp_path: Path) -> None:
    films = draw_grades(tmp_path / "films", 16)
    (tmp_path / "grades.toml").write_text(RECIPE.format(head="ordinal"))
    out, judged = tmp_path / "run", tmp_path / "judged"
    assert run(["train", str(tmp_path / "grades.toml"), "--data", str(films), "--out", str(out)]) == 0
    more = ["--data", str(films), "--split", "all", "--resamples", "100", "--out", str(judged)]
    assert run(["evaluate", str(out), *more]) == 0
    report = json.loads((judged / "report.json").read_text())
    kappa = next(one for one in report["metrics"] if one["name"] == "quadratic_kappa")
    assert 0.7 < kappa["low"] < kappa["value"] < kappa["high"]


def test_classes_without_an_order_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films = draw_grades(tmp_path / "films", 4, "abc")
    (tmp_path / "grades.toml").write_text(RECIPE.format(head="ordinal"))
    assert run(["train", str(tmp_path / "grades.toml"), "--data", str(films), "--out", str(tmp_path / "run")]) == 2
    assert "needs grades, such as 0, 1, 2; received a, b, c" in capsys.readouterr().err


@pytest.mark.parametrize("to", ["litert", "onnx"])
def test_an_export_answers_as_the_run(to: str) -> None:
    network = ExportNetwork(alive(few_units("ordinal", 4), 16), card_of("multiclass", "ordinal", 16))
    target = TARGETS[to]  # type: ignore[index]
    content = target.convert(network, 16)
    target.check(content, network.outputs)
    films = squares(3, 16)[..., None].astype(np.float32)
    expected = [{name: value.detach().numpy() for name, value in network(to_tensor(film)).items()} for film in films]
    for film, one in zip(films, expected, strict=True):
        printed = answered(to, content, film[None])
        assert printed["logit"] == pytest.approx(one["logit"], abs=1e-4)
        assert printed["probability"] == pytest.approx(one["probability"], abs=1e-5)
        assert printed["map"] == pytest.approx(one["map"], abs=1e-3)


def to_tensor(film: np.ndarray):  # type: ignore[no-untyped-def]
    import torch

    return torch.from_numpy(film[None])


def answered(to: str, content: bytes, film: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs of the file itself, by name."""
    names = ["logit", "probability", "map"]
    if to == "onnx":
        import onnxruntime

        return dict(zip(names, onnxruntime.InferenceSession(content).run(names, {"film": film}), strict=True))
    from ai_edge_litert.interpreter import Interpreter

    return dict(Interpreter(model_content=content).get_signature_runner()(film=film))
