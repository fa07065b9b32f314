"""Classifiers as .onnx and .tflite answer here as their runtime does, without a map."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucency
from lucency.bundle import DEFAULT
from lucency.cli import run as cli
from lucency.errors import BundleError, ExplainError, ExtraError, LucencyError, UsageError, WeightsError
from lucency.importing import import_model, network_file
from lucency.importing.saved_model_child import keras_layers, named
from lucency.reader import Reader

onnx = pytest.importorskip("onnx")
SIDE = 16


def _onnx(path: Path, last: str | None, units: int = 2, channels_first: bool = True, side: Any = SIDE) -> np.ndarray:
    """Mean gray of each channel → dense → `last`; returns the dense weights (3, units)."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(units).normal(0, 3, (3, units)).astype(np.float32)
    axes = [2, 3] if channels_first else [1, 2]
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["z"]),
        *([helper.make_node(last, ["z"], ["p"])] if last else []),
    ]
    shape = ["n", 3, side, side] if channels_first else ["n", side, side, 3]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("p" if last else "z", TensorProto.FLOAT, ["n", units])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array(axes), "axes")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return weights


def _squares(side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, side, side), dtype=np.uint8)


@pytest.mark.parametrize("channels_first", [True, False])
@pytest.mark.parametrize(
    ("last", "units", "classes"),
    [
        ("Softmax", 2, ("normal", "pneumonia")),
        ("Sigmoid", 1, ("normal", "pneumonia")),
        (None, 1, ("normal", "pneumonia")),
        ("Softmax", 3, ("normal", "bacteria", "virus")),
    ],
)
def test_an_onnx_classifier_by_the_sum_by_hand(
    last: str | None, units: int, classes: tuple[str, ...], channels_first: bool, tmp_path: Path
) -> None:
    weights = _onnx(tmp_path / "net.onnx", last, units, channels_first)
    imported = import_model(tmp_path / "net.onnx", tmp_path / "run", classes, pixel_range="-1..1")
    squares = _squares()
    z = (squares.mean(axis=(1, 2)) / 127.5 - 1)[:, None] * weights.sum(axis=0)
    raised = np.exp(z)
    wanted = raised / (1 + raised) if units == 1 else raised / raised.sum(axis=1, keepdims=True)
    found = Reader.open(imported.path).read_batch(squares).probabilities
    assert np.abs(found - (wanted[:, 1:] if units == 2 else wanted)).max() < 1e-5


def test_the_finding_may_be_the_first_class(tmp_path: Path) -> None:
    _onnx(tmp_path / "net.onnx", "Softmax")
    read = {}
    for classes in (("normal", "pneumonia"), ("pneumonia", "normal")):
        imported = import_model(tmp_path / "net.onnx", tmp_path / classes[0], classes, pixel_range="0..1")
        assert imported.card.labels == ("normal", "pneumonia")
        read[classes[0]] = Reader.open(imported.path).read_batch(_squares()).probabilities
    assert np.allclose(read["normal"] + read["pneumonia"], 1, atol=1e-6)


def _tflite(path: Path, outputs: tuple[str, ...] = ("probability",)) -> None:
    """The file that ships, with some of its outputs, as another converter would write it: without a signature."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs((DEFAULT / "model.tflite").read_bytes(), 0))
    named = {item.name.decode(): item.tensorIndex for item in model.signatureDefs[0].outputs}
    model.signatureDefs = None
    model.subgraphs[0].outputs = [named[name] for name in outputs]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())


def test_a_tflite_classifier_answers_as_the_bundle_that_it_was_cut_from(tmp_path: Path) -> None:
    pytest.importorskip("flatbuffers")
    _tflite(tmp_path / "net.tflite")
    imported = import_model(tmp_path / "net.tflite", tmp_path / "run", pixel_range="0..255")
    reader, whole = Reader.open(imported.path), Reader.open()
    squares = _squares(reader.preprocess.image_size)
    found, wanted = reader.read_batch(squares), whole.read_batch(squares)
    assert np.abs(found.probabilities - wanted.probabilities).max() < 1e-5
    assert found.maps.shape == (3, 1, 1, 1)
    assert not found.maps.any()


def test_several_outputs_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("flatbuffers")
    _tflite(tmp_path / "net.tflite", ("logit", "probability"))
    with pytest.raises(WeightsError, match="one input and one output, found 1 and 2"):
        import_model(tmp_path / "net.tflite", tmp_path / "run", pixel_range="0..255")


@pytest.mark.parametrize(
    ("change", "options", "error", "says"),
    [
        (lambda path: path.write_bytes(b"noise"), {}, WeightsError, "cannot be imported"),
        (lambda path: path.unlink(), {}, WeightsError, "cannot be read"),
        (lambda path: None, {"pixel_range": None}, UsageError, "--range"),
        (lambda path: None, {"pixel_range": "0..2"}, UsageError, "--range"),
        (lambda path: None, {"classes": ("a", "b", "c")}, UsageError, "2 outputs, 3 classes"),
        (lambda path: None, {"activation": "relu"}, UsageError, "--activation"),
        (lambda path: None, {"image_size": 32}, UsageError, "16 × 16"),
        (lambda path: _onnx(path, "Softmax", side="s"), {}, UsageError, "--image-size"),
        (lambda path: path.write_bytes(path.read_bytes() + b"\x0a\x08location"), {}, WeightsError, "another file"),
    ],
)
def test_what_cannot_be_imported_says_why(
    change: Any, options: dict[str, Any], error: type[Exception], says: str, tmp_path: Path
) -> None:
    _onnx(tmp_path / "net.onnx", "Softmax")
    change(tmp_path / "net.onnx")
    with pytest.raises(error, match=says):
        import_model(tmp_path / "net.onnx", tmp_path / "run", **{"pixel_range": "0..1", **options})
    assert not (tmp_path / "run").exists()


def test_from_the_command_line_to_a_verdict_and_an_occlusion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _onnx(tmp_path / "net.onnx", "Softmax")
    folder = str(tmp_path / "run")
    given = ["import", str(tmp_path / "net.onnx"), "--out", folder, "--data", "phantom:12", "--json"]
    assert cli(given) == 0
    assert len(json.loads(capsys.readouterr().out)["tried"]) == 15
    film = str(DEFAULT / "golden" / "pneumonia.png")
    assert cli(["read", film, "--bundle", folder]) == 0
    assert cli(["explain", film, "--bundle", folder, "--method", "occlusion", "--out", str(tmp_path / "maps")]) == 0
    assert (
        cli(["evaluate", folder, "--data", "phantom:24:1", "--resamples", "100", "--out", str(tmp_path / "judged")])
        == 0
    )
    assert cli(["recalibrate", folder, "--data", "phantom:24:1", "--force", "--out", str(tmp_path / "ours")]) == 0
    assert lucency.load(tmp_path / "ours").read(film).probability is not None
    assert cli(["bundle", "verify", str(tmp_path / "ours")]) == 0


def test_a_map_is_refused_where_there_is_none(tmp_path: Path) -> None:
    _onnx(tmp_path / "net.onnx", "Softmax")
    folder = import_model(tmp_path / "net.onnx", tmp_path / "run", pixel_range="0..1").path
    film = DEFAULT / "golden" / "pneumonia.png"
    with pytest.raises(ExplainError, match="occlusion"):
        lucency.explain(folder, film)
    assert cli(["read", str(film), "--bundle", str(folder), "--map", str(tmp_path / "maps")]) == 2
    assert cli(["web", "--bundle", str(folder), "--out", str(tmp_path / "page")]) != 0


def test_an_altered_adapter_is_refused(tmp_path: Path) -> None:
    _onnx(tmp_path / "net.onnx", "Softmax")
    folder = import_model(tmp_path / "net.onnx", tmp_path / "run", pixel_range="0..1").path
    (folder / "adapter.json").write_text("{}")
    with pytest.raises(BundleError, match="changed"):
        Reader.open(folder)


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
    monkeypatch.setattr(network_file, "SECONDS", 0.2)
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
