"""The contract of every row of TARGETS: the run's outputs, from one file, without PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export.small_runs import squares, write_run
from lucency.bundle import Calibration, open_bundle
from lucency.evaluate.calibration import apply, probabilities
from lucency.export import TARGETS
from lucency.export.exporter import export_run
from lucency.reader import ENGINES, Reader, coreml
from lucency.reader.reader import verify_golden

pytestmark = pytest.mark.long

SIDE = 64
SCALES = (0.93, 1.08)
RUNS = {
    "mobilenet_v1 linear": ("mobilenet_v1", "linear", "multilabel", 0.25, Calibration(), 6),
    "mobilenet_v2 linear": (
        "mobilenet_v2",
        "linear",
        "binary",
        0.35,
        Calibration(method="platt", parameters={"slope": (0.7,), "offset": (0.3,)}),
        8,
    ),
    "mobilenet_v2 dense128": (
        "mobilenet_v2",
        "dense128",
        "multiclass",
        0.35,
        Calibration(method="temperature", parameters={"temperature": (1.7,)}),
    ),
    "efficientnet_lite0 dense128": ("efficientnet_lite0", "dense128", "binary", 0.25, Calibration(), 7),
    "mobilenet_v2 finer": ("mobilenet_v2", "linear", "binary", 0.35, Calibration(), 0, 16),
    "mobilenet_v1 cut and finest": ("mobilenet_v1", "linear", "binary", 0.25, Calibration(), 8, 8),
    "mobilenet_v2 lungs": ("mobilenet_v2", "linear", "binary", 0.35, Calibration(), 8, 32, 192, SCALES),
    "mobilenet_v1 tta": (
        "mobilenet_v1",
        "linear",
        "multilabel",
        0.25,
        Calibration(),
        6,
        32,
        0,
        (1.0,),
        "both",
        (1, 0.7),
    ),
    "mobilenet_v1 whole": ("mobilenet_v1", "linear", "multilabel", 0.25, Calibration()),
    "mobilenet_v2 whole": ("mobilenet_v2", "linear", "binary", 0.35, Calibration()),
    "efficientnet_lite0 whole": ("efficientnet_lite0", "dense128", "binary", 0.25, Calibration()),
    "mobilenet_v2 lungs, as shipped": (
        "mobilenet_v2",
        "linear",
        "binary",
        0.35,
        Calibration(),
        14,
        32,
        192,
        (0.93, 1.08),
    ),
    "mobilenet_v2 lungs, one scale": ("mobilenet_v2", "linear", "binary", 0.35, Calibration(), 14, 32, 192),
}
"""Every kind of backbone, both heads, every task; maps made finer by stride and by depth; films cropped to their
lungs, at two scales and at one; films read mirrored too, and their middle. The first blocks alone, where their kinds
of layer are all there are: converting takes a time in proportion to the layers."""
LATER = (
    "mobilenet_v2 dense128",
    "mobilenet_v2 finer",
    "mobilenet_v1 whole",
    "mobilenet_v2 whole",
    "efficientnet_lite0 whole",
    "mobilenet_v2 lungs, as shipped",
    "mobilenet_v2 lungs, one scale",
)
"""Combinations of the above, and whole backbones; slow."""
SLOW_TARGETS = ("coreml",)
"""Half a minute an export; tests/export/test_coreml.py holds a small network's."""
pairs = pytest.mark.parametrize(
    "pair",
    [
        pytest.param(
            (to, name), marks=[pytest.mark.slow] if name in LATER or to in SLOW_TARGETS else [], id=f"{to}-{name}"
        )
        for to in TARGETS
        for name in RUNS
    ],
    indirect=True,
)
simple = {
    to: pytest.param((to, "mobilenet_v2 linear"), marks=[pytest.mark.slow] if to in SLOW_TARGETS else [], id=to)
    for to in TARGETS
}
targets = pytest.mark.parametrize("pair", simple.values(), indirect=True)
quantized = pytest.mark.parametrize(
    "pair",
    [pytest.param((to, "mobilenet_v2 whole"), id=to) for to, row in TARGETS.items() if row.quantize],
    indirect=True,
)

ALIKE = {"float16": 0.99, "weights": 0.99, "int8": 0.95}
"""Least correlation of logits and of maps. `lucency parity` compares trained networks. A wrong layout or swapped
channels give about 0."""
NO_TORCH = """
import sys
sys.modules["torch"] = None
import json, pathlib
import numpy as np
from lucency.reader import Reader
answers = Reader.open(pathlib.Path(sys.argv[1])).read_batch(np.load(sys.argv[2]))
print(json.dumps([answers.logits.tolist(), answers.maps.tolist()]))
"""


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("targets")


@pytest.fixture
def pair(request: pytest.FixtureRequest, place: Path) -> tuple[Path, Path]:
    """(run, bundle), made when first needed."""
    to, name = request.param
    backbone, head, task, width, *rest = RUNS[name]
    run, bundle = place / name, place / f"{to} {name}"
    if not run.exists():
        write_run(run, backbone, head, task, SIDE, width, *rest)
    if not bundle.exists():
        export_run(run, to, bundle)
    return run, bundle


def test_a_reader_opens_every_target() -> None:
    assert set(TARGETS) <= set(ENGINES)


@pairs
def test_logits_and_maps_equal_the_runs(pair: tuple[Path, Path]) -> None:
    source, export = (Reader.open(path) for path in pair)
    films = squares(6, SIDE)
    ours, theirs = source.read_batch(films), export.read_batch(films)
    assert np.ptp(ours.logits, axis=0).min() > 0.05  # or else anything would agree
    near = 1e-2 if "lungs" in pair[0].name else 1e-3  # rounded, a box's edge moves every pixel of the crop
    assert np.abs(ours.logits - theirs.logits).max() < near
    assert ours.maps.shape == theirs.maps.shape
    assert np.abs(ours.maps - theirs.maps).max() < near * max(1.0, np.abs(ours.maps).max())


@pairs
def test_probability_in_the_graph_equals_the_cards_calibration(pair: tuple[Path, Path]) -> None:
    bundle = open_bundle(pair[1])
    assert bundle.card.calibration.in_graph
    for square in squares(3, SIDE):
        found = raw(pair[1], square)
        expected = probabilities(apply(bundle.card.calibration, found["logit"]), bundle.card.task)
        assert np.abs(found["probability"] - expected).max() < 1e-5


@pairs
def test_one_file_static_shapes_channels_last(pair: tuple[Path, Path]) -> None:
    card = open_bundle(pair[1]).card
    assert [name for name in card.files if not name.startswith("golden/")] == ["LICENSE", card.model.file]
    found = raw(pair[1], squares(1, SIDE)[0])
    assert found["logit"].shape == found["probability"].shape == (1, card.findings)
    assert found["map"].shape == (1, *Reader.open(pair[0]).read_batch(squares(1, SIDE)).maps.shape[2:], card.findings)


@targets
def test_reads_where_torch_cannot_be_imported(pair: tuple[Path, Path], tmp_path: Path) -> None:
    np.save(tmp_path / "films.npy", films := squares(2, SIDE))
    command = [sys.executable, "-c", NO_TORCH, str(pair[1]), str(tmp_path / "films.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    logits, maps = json.loads(done.stdout.splitlines()[-1])
    ours = Reader.open(pair[0]).read_batch(films)
    assert np.abs(ours.logits - logits).max() < 1e-3
    assert np.abs(ours.maps - maps).max() < 1e-3


@targets
def test_the_bundle_verifies_and_has_no_local_paths(pair: tuple[Path, Path]) -> None:
    found = verify_golden(pair[1])
    assert found is not None
    assert found.films == 4
    assert found.logit < 1e-5
    bundle = open_bundle(pair[1])
    assert bundle.card.training.recipe["model"]["weights"] == "weights.pth"
    assert bundle.card.model.source == open_bundle(pair[0]).card.files["model.safetensors"]
    assert str(Path.cwd()).encode() not in bundle.read(bundle.card.model.file)


def test_targets_agree_with_each_other(place: Path) -> None:
    answers = []
    for to in ("litert", "onnx"):
        bundle = place / f"{to} mobilenet_v2 linear"
        if not bundle.exists():
            pytest.skip("the bundles are made by the tests above")
        answers.append(Reader.open(bundle).read_batch(squares(6, SIDE)))
    assert np.abs(answers[0].logits - answers[1].logits).max() < 1e-3
    assert np.abs(answers[0].maps - answers[1].maps).max() < 1e-3


@quantized
@pytest.mark.parametrize("quantize", ["float16", "weights", "int8"])
def test_quantized_outputs_correlate(pair: tuple[Path, Path], quantize: str, tmp_path: Path) -> None:
    run, whole = pair
    to = open_bundle(whole).card.model.format
    assert quantize in TARGETS[to].quantize  # type: ignore[index]
    export_run(run, to, tmp_path / "small", quantize, squares(32, SIDE, seed=2))  # type: ignore[arg-type]
    size = {path: len(open_bundle(path).read(TARGETS[to].file)) for path in (whole, tmp_path / "small")}  # type: ignore[index]
    assert size[tmp_path / "small"] < (0.6 if quantize == "float16" else 0.45) * size[whole]
    films = squares(16, SIDE, seed=3)
    ours, theirs = (Reader.open(path).read_batch(films) for path in (run, tmp_path / "small"))
    for name in ("logits", "maps"):
        assert np.corrcoef(getattr(ours, name).ravel(), getattr(theirs, name).ravel())[0, 1] > ALIKE[quantize]
    assert verify_golden(tmp_path / "small") is not None


def raw(path: Path, square: np.ndarray) -> dict[str, np.ndarray]:
    """All outputs of the file itself, without lucency's reader."""
    bundle = open_bundle(path)
    film = square[None, :, :, None].astype(np.float32)
    content = bundle.read(bundle.card.model.file)
    if bundle.card.model.format == "coreml":
        return coreml.runner(bundle)(film)
    if bundle.card.model.format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(content)
        names = [item.name for item in session.get_outputs()]
        return dict(zip(names, session.run(names, {"film": film}), strict=True))
    from ai_edge_litert.interpreter import Interpreter

    return {
        name: value.copy()
        for name, value in Interpreter(model_content=content).get_signature_runner()(film=film).items()
    }
