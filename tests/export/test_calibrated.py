"""Calibration inside the network against lucency.evaluate.calibration, and on targets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lucency.bundle import Bundle, Calibration, Card
from lucency.errors import BundleError
from lucency.evaluate.calibration import PARAMETERS, apply, probabilities
from lucency.export import TARGETS
from lucency.export.network import SCORES, Calibrated, ExportNetwork
from lucency.files import sha256_bytes
from lucency.reader import coreml

from .small_runs import alive, card_of, few_units, squares

pytestmark = pytest.mark.long

EXAMPLES = {
    "none": {},
    "temperature": {"temperature": (2.5,)},
    "platt": {"slope": (0.8,), "offset": (-0.4,)},
    "beta": {"a": (0.6,), "b": (1.3,), "c": (0.2,)},
    "isotonic": {"logits": (-3.0, -1.0, -0.999, 0.5, 4.0), "probabilities": (0.02, 0.1, 0.4, 0.4, 0.97)},
}


def inside(calibration: Calibration, logits: np.ndarray, task: str = "binary") -> np.ndarray:
    module = Calibrated(calibration, task, logits.shape[1])
    return module(torch.from_numpy(logits.astype(np.float32))).numpy()


def test_every_calibration_method_has_a_module() -> None:
    assert {*EXAMPLES, "dirichlet"} == set(PARAMETERS) == {*SCORES, "isotonic"}


@pytest.mark.parametrize("method", EXAMPLES)
def test_calibration_equals_evaluates(method: str) -> None:
    calibration = Calibration(method=method, parameters=EXAMPLES[method])  # type: ignore[arg-type]
    # Single precision, as networks give them: half a unit of its last place, down a step of 300 a logit, is 1e-5.
    logits = np.concatenate([np.linspace(-30, 30, 241), [-1.0, -0.9995, -0.999, 4.0]]).astype(np.float32)[:, None]
    expected = probabilities(apply(calibration, logits), "binary")
    # isotonic rises by 300 a logit at its step, and float32 rounds a logit near 1 by 6e-8: 2e-5
    assert np.abs(inside(calibration, logits) - expected).max() < (2e-5 if method == "isotonic" else 1e-6)


def test_isotonic_by_hand() -> None:
    calibration = Calibration(
        method="isotonic", parameters={"logits": (0.0, 2.0, 3.0), "probabilities": (0.1, 0.5, 0.9)}
    )
    found = inside(calibration, np.array([[-5.0], [0.0], [1.0], [2.0], [2.5], [3.0], [9.0]]))
    assert found[:, 0] == pytest.approx([0.1, 0.1, 0.3, 0.5, 0.7, 0.9, 0.9], abs=1e-6)


def test_isotonic_step_between_close_logits() -> None:
    near = float(np.nextafter(np.float32(1), np.float32(2)))
    calibration = Calibration(method="isotonic", parameters={"logits": (1.0, near), "probabilities": (0.2, 0.8)})
    assert inside(calibration, np.array([[0.9], [1.0], [near], [1.1]]))[:, 0] == pytest.approx([0.2, 0.2, 0.8, 0.8])


def test_several_classes_by_hand() -> None:
    calibration = Calibration(method="temperature", parameters={"temperature": (2.0,)})
    found = inside(calibration, np.array([[0.0, 2 * math.log(2), 2 * math.log(5)]]), "multiclass")
    assert found[0] == pytest.approx([1 / 8, 2 / 8, 5 / 8])


def test_dirichlet_equals_evaluates() -> None:
    rng = np.random.default_rng(0)
    lists = {"matrix": tuple(rng.normal(size=16).tolist()), "offset": tuple(rng.normal(size=4).tolist())}
    calibration = Calibration(method="dirichlet", parameters=lists)
    logits = rng.normal(0, 6, size=(50, 4)).astype(np.float32)
    expected = probabilities(apply(calibration, logits), "multiclass")
    assert inside(calibration, logits, "multiclass") == pytest.approx(expected, abs=2e-6)


def test_a_slope_for_each_finding() -> None:
    calibration = Calibration(method="platt", parameters={"slope": (1.0, 2.0), "offset": (0.0, -1.0)})
    found = inside(calibration, np.array([[0.0, 0.5]]), "multilabel")
    assert found[0] == pytest.approx([0.5, 0.5])


@given(st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=12, unique=True), st.integers(0, 2**31))
@settings(deadline=None, max_examples=50)
def test_isotonic_polylines_are_monotone_and_bounded(logits: list[float], seed: int) -> None:
    levels = np.sort(np.random.default_rng(seed).uniform(0.01, 0.99, len(logits)))
    lists = {"logits": tuple(sorted(logits)), "probabilities": tuple(levels.tolist())}
    found = inside(Calibration(method="isotonic", parameters=lists), np.linspace(-25, 25, 101)[:, None])[:, 0]
    assert (np.diff(found) >= -1e-6).all()
    assert levels[0] - 1e-6 <= found.min() <= found.max() <= levels[-1] + 1e-6


def test_invalid_parameters_raise() -> None:
    with pytest.raises(BundleError, match="needs the numbers"):
        Calibrated(Calibration(method="platt", parameters={"slope": (1.0,)}), "binary", 1)


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("method", ["beta", "isotonic"])
def test_targets_support_every_operation(to: str, method: str, tmp_path: Path) -> None:
    """The other methods are sums, products and sigmoids; tests/contracts exports two of them."""
    calibration = Calibration(method=method, parameters=EXAMPLES[method])  # type: ignore[arg-type]
    card: Card = card_of("binary", "linear", 16, calibration=calibration)
    target = TARGETS[to]  # type: ignore[index]
    network = ExportNetwork(alive(few_units("linear", 1), 16), card)
    content = target.convert(network, 16)
    target.check(content, network.outputs)
    film = squares(1, 16)[0][None, :, :, None].astype(np.float32)
    logit, chance = answered(to, content, film)
    assert chance == pytest.approx(probabilities(apply(calibration, np.array([[logit]])), "binary")[0, 0], abs=1e-6)


def answered(to: str, content: bytes, film: np.ndarray) -> tuple[float, float]:
    """(logit, probability) of the file itself."""
    if to == "coreml":
        card = card_of("binary", "linear", 16)
        card = card.model_copy(update={"files": {card.model.file: sha256_bytes(content)}})
        bundle = Bundle(Path("small"), card, "", lambda _: content)
        printed = coreml.runner(bundle)(film)
        return printed["logit"].item(), printed["probability"].item()
    if to == "onnx":
        import onnxruntime

        found = onnxruntime.InferenceSession(content).run(["logit", "probability"], {"film": film})
        return found[0].item(), found[1].item()
    from ai_edge_litert.interpreter import Interpreter

    by_name = Interpreter(model_content=content).get_signature_runner()(film=film)
    return by_name["logit"].item(), by_name["probability"].item()
