"""LiteRT and ONNX Runtime, on a network known by heart: logit = (mean gray - 128) / 16."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from cli.brightness import write_brightness_bundle
from lucency.bundle import Card, Model, Square, open_bundle, write_bundle
from lucency.errors import BundleError
from lucency.reader import ENGINES

from .brightness_litert import LOGIT, SIDE, network, write_brightness_litert

WRITERS = {"litert": write_brightness_litert, "onnx": write_brightness_bundle}


@pytest.fixture(scope="module", params=WRITERS)
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return WRITERS[request.param](tmp_path_factory.mktemp(request.param) / "bundle")


def flat(*grays: int) -> np.ndarray:
    return np.stack([np.full((SIDE, SIDE), gray, dtype=np.uint8) for gray in grays])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_by_hand(bundle: Path, threads: int) -> None:
    opened = open_bundle(bundle)
    engine = ENGINES[opened.card.model.format](opened, threads)
    squares = flat(128, 144, 96, 0, 255)
    squares[0, 0, 0] = 192  # 64 above the middle, one cell of 64
    for answers in (engine.batch(squares), engine.submit(squares)):
        assert answers.logits.shape == answers.probabilities.shape == (5, 1)
        assert answers.maps.shape == (5, 1, SIDE, SIDE)
        assert answers.doubts.shape == (5, 0)
        expected = [1 / 16, 1.0, -2.0, -8.0, 127 / 16]
        assert answers.logits[:, 0] == pytest.approx(expected, abs=1e-6)
        assert answers.probabilities[:, 0] == pytest.approx([1 / (1 + math.exp(-z)) for z in expected], abs=1e-6)
        assert answers.maps[0, 0, 0, 0] == 4.0
        assert np.count_nonzero(answers.maps[0]) == 1


def test_one_film_is_a_batch_of_one(bundle: Path) -> None:
    opened = open_bundle(bundle)
    engine = ENGINES[opened.card.model.format](opened, 2)
    assert engine.batch(flat(160)).logits.tolist() == engine.submit(flat(160)).logits.tolist() == [[2.0]]


def test_answers_are_not_views_into_the_runtime(bundle: Path) -> None:
    opened = open_bundle(bundle)
    engine = ENGINES[opened.card.model.format](opened, 1)
    first = engine.batch(flat(144))
    engine.batch(flat(0))
    assert first.logits.tolist() == [[1.0]]
    assert set(first.maps.ravel().tolist()) == {1.0}


@pytest.mark.parametrize("form", WRITERS)
def test_a_file_that_is_no_network(tmp_path: Path, form: str) -> None:
    card = Card(
        name="x",
        labels=("a", "b"),
        preprocess=Square(image_size=SIDE),
        model=Model(format=form, file="model.bin", backbone="none"),  # type: ignore[arg-type]
    )
    write_bundle(tmp_path / "bundle", card, {"model.bin": b"no network"})
    with pytest.raises(
        BundleError, match=r"model\.bin is not a network with the input film and the outputs logit, map"
    ):
        ENGINES[form](open_bundle(tmp_path / "bundle"), 1)  # type: ignore[index]


def test_a_network_without_a_map(tmp_path: Path) -> None:
    write_brightness_litert(tmp_path / "bundle", network({"logit": LOGIT}))
    with pytest.raises(BundleError, match=r"the outputs logit, map .*export it again"):
        ENGINES["litert"](open_bundle(tmp_path / "bundle"), 1)


@pytest.mark.parametrize(
    ("form", "module", "message"),
    [
        ("litert", "ai_edge_litert.interpreter", "needs LiteRT; pip install ai-edge-litert, or read the ONNX edition"),
        ("onnx", "onnxruntime", r"needs ONNX Runtime; pip install 'lucency\[onnx\]'"),
        ("torch", "torch", r"a run needs PyTorch; pip install 'lucency\[train\]'"),
    ],
)
def test_a_runtime_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, module: str, message: str
) -> None:
    bundle = open_bundle(write_brightness_bundle(tmp_path / "bundle"))
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BundleError, match=message):
        ENGINES[form](bundle, 1)  # type: ignore[index]
