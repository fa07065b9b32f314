"""A SavedModel is converted by TensorFlow in a child process; without TensorFlow the refusals are tested."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from lucency.cli import run as cli
from lucency.errors import ExtraError, LucencyError, WeightsError
from lucency.importing import import_model, saved_model
from lucency.importing.saved_model_child import keras_layers, named
from lucency.reader import Reader

HERE = Path(__file__).parent
NAMED = os.environ.get("LUCENCY_TENSORFLOW")
WITHOUT = NAMED is None and find_spec("tensorflow") is None


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "xray_model"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"")
    return folder


def _python(tmp_path: Path, script: str) -> Path:
    """A program in the place of TensorFlow's Python; $4 is where the file belongs."""
    if sys.platform == "win32":
        pytest.skip("a shell script stands in for Python")
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def _refused(saved: Path, tmp_path: Path, kind: type[LucencyError], python: Path | str | None = None) -> str:
    with pytest.raises(kind) as caught:
        import_model(saved, tmp_path / "run", pixel_range="-1..1", tensorflow=python)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
    return str(caught.value)


@pytest.mark.skipif(find_spec("tensorflow") is not None, reason="this Python has TensorFlow")
def test_without_tensorflow_one_line_says_what_to_do(saved: Path, tmp_path: Path) -> None:
    assert "--tensorflow" in _refused(saved, tmp_path, ExtraError)
    assert "No module named 'tensorflow'" in _refused(saved, tmp_path, ExtraError, sys.executable)
    assert "No such file" in _refused(saved, tmp_path, ExtraError, tmp_path / "nowhere")
    assert cli(["import", str(saved), "--out", str(tmp_path / "run")]) == ExtraError.exit_code


def test_a_failed_or_endless_conversion_is_named(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Op: Foo" in _refused(saved, tmp_path, WeightsError, _python(tmp_path, "echo Op: Foo >&2; exit 1"))
    monkeypatch.setattr(saved_model, "SECONDS", 0.2)
    assert "within" in _refused(saved, tmp_path, WeightsError, _python(tmp_path, "exec sleep 60"))


def test_the_child_gets_no_secrets(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    _refused(saved, tmp_path, WeightsError, _python(tmp_path, f"env > {tmp_path / 'env'}; : > $4.tflite"))
    found = (tmp_path / "env").read_text()
    assert "PATH=" in found
    assert "secret" not in found


def test_what_comes_of_it_is_imported(saved: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "made.h5", "w") as file:
        layers = [
            {"class_name": "InputLayer", "config": {"name": "film", "batch_input_shape": [None, 8, 8, 3]}},
            {"class_name": "Conv2D", "config": {"name": "conv", "filters": 1, "kernel_size": [1, 1]}},
            {"class_name": "GlobalAveragePooling2D", "config": {"name": "pool"}},
            {"class_name": "Dense", "config": {"name": "dense", "units": 1, "activation": "sigmoid"}},
        ]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"name": "a", "layers": layers}})
        file["model_weights/conv/kernel:0"], file["model_weights/conv/bias:0"] = np.ones((1, 1, 3, 1)), np.zeros(1)
        file["model_weights/dense/kernel:0"], file["model_weights/dense/bias:0"] = np.ones((1, 1)), np.zeros(1)
    python = _python(tmp_path, f"cp {tmp_path / 'made.h5'} $4.h5")
    found = import_model(saved, tmp_path / "run", pixel_range="0..1", tensorflow=python)
    assert "SavedModel" in found.says[0]
    assert found.card.training is not None
    assert found.card.training.recipe["imported"]["file"] == "xray_model"
    white = Reader.open(found.path).read_batch(np.full((1, 8, 8), 255, np.uint8))
    assert white.logits[0, 0] == pytest.approx(3)


def _field(number: int, content: bytes) -> bytes:
    """Of a message: number and wire type 2, length, content. https://protobuf.dev/programming-guides/encoding"""
    return bytes([number << 3 | 2, len(content) & 127 | 128, len(content) >> 7]) + content


def test_layers_are_told_by_their_place(tmp_path: Path) -> None:
    def node(path: str, **says: object) -> bytes:
        return _field(1, b"\x10\x07" + _field(3, path.encode()) + _field(5, json.dumps(says).encode()))

    shape = {"class_name": "__tuple__", "items": [None, 8, 8, 3]}
    content = node("root", name="net", config={"layers": [shape]})
    content += node("root.layer-0", name="inner") + node("root.layer-0.layer-1", name="conv")
    content += node("root.keras_api.metrics.0", name="loss")
    (tmp_path / "keras_metadata.pb").write_bytes(content)
    layers = keras_layers(tmp_path / "keras_metadata.pb")
    assert layers["root"]["config"] == {"layers": [[None, 8, 8, 3]]}
    assert list(named(layers)) == [(["layer-0"], ["inner"]), (["layer-0", "layer-1"], ["inner", "conv"])]
    assert keras_layers(tmp_path / "none") == {}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if WITHOUT:
        pytest.skip("no TensorFlow here; LUCENCY_TENSORFLOW names a Python that has it (and tf_keras)")
    folder = tmp_path_factory.mktemp("saved")
    program = NAMED or sys.executable
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(
        [program, str(HERE / "saved_models.py"), str(folder)], check=True, capture_output=True, env=environment
    )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "classes", "pixels", "backbone"),
    [
        ("lecture", 1, "-1..1", "mobilenet_v2_tf"),
        ("nested", 2, None, "imported"),
        ("graph", 1, "-1..1", "imported"),
    ],
)
def test_answers_are_tensorflows(
    made: Path, name: str, classes: int, pixels: str | None, backbone: str, tmp_path: Path
) -> None:
    if not (made / name).exists():
        pytest.skip("no tf_keras there, which writes what Keras 2 wrote")
    found = import_model(made / name, tmp_path / "run", pixel_range=pixels, tensorflow=NAMED)
    assert found.card.model.backbone == backbone
    squares = np.random.default_rng(1).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    answers = Reader.open(found.path).read_batch(squares).probabilities[:, 0]
    np.testing.assert_allclose(answers, np.load(made / f"{name}.npy")[:, classes - 1], atol=1e-5)
    assert np.ptp(answers) > 1e-4
