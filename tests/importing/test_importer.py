"""Networks that Keras wrote answer here as they do there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lucency
from lucency.cli import run as cli
from lucency.errors import OutputError, SourceError, UsageError
from lucency.importing import import_model
from lucency.models.run import open_run
from lucency.reader import Reader

pytest.importorskip("keras")
pytest.importorskip("h5py")

from importing.networks import SIDE, VARIANTS, alive, answers, efficientnet_b0, efficientnet_lite0
from importing.old_keras import save_as_keras_2

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras itself

TOLERANCE = 1e-5
OURS = {"MobileNet V1, operators": "mobilenet_v1", "MobileNet V2, frozen, Dense 128": "mobilenet_v2_tf"}
"""Variants that are one of our backbones."""


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {}


def _model(models: dict[str, Any], variant: str) -> Any:
    if variant not in models:
        models[variant] = alive(VARIANTS[variant]())
    return models[variant]


def _squares(side: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, side, side), dtype=np.uint8)


def _probabilities(outputs: np.ndarray, activated: bool) -> np.ndarray:
    """Keras's outputs as probabilities: of the second of two classes, or of each of more."""
    if not activated:
        outputs = 1 / (1 + np.exp(-outputs)) if outputs.shape[1] == 1 else _softmax(outputs)
    return outputs[:, 1:] if outputs.shape[1] == 2 else outputs


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


@pytest.mark.long
@pytest.mark.parametrize("suffix", [".h5", ".keras", "keras2.h5"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_answers_as_in_keras(models: dict[str, Any], variant: str, suffix: str, tmp_path: Path) -> None:
    model = _model(models, variant)
    path = tmp_path / f"model{suffix}"
    if suffix == "keras2.h5":
        save_as_keras_2(model, path)
    else:
        model.save(path)
    classes = ("normal", "bacteria", "virus")[: max(2, model.output_shape[-1])]
    imported = import_model(path, tmp_path / "run", classes, pixel_range="0..255")
    squares = _squares(model.input_shape[1])
    outputs = Reader.open(imported.path).read_batch(squares)
    wanted = _probabilities(answers(model, squares), "logits" not in variant)
    assert np.abs(outputs.probabilities - wanted).max() <= TOLERANCE
    assert np.ptp(wanted[:, 0]) > 1e-4  # the network tells films apart, or this test could not fail
    assert imported.card.model.backbone == OURS.get(variant, "imported")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_efficientnet_b0_answers_as_in_keras(suffix: str, tmp_path: Path) -> None:
    """A network of its own: ours, EfficientNet-Lite, has no squeeze-and-excitation."""
    model = efficientnet_b0(suffix == ".keras")
    model.save(tmp_path / f"model{suffix}")
    imported = import_model(tmp_path / f"model{suffix}", tmp_path / "run", pixel_range="0..255")
    squares = _squares(64)
    outputs = Reader.open(imported.path).read_batch(squares)
    wanted = _probabilities(answers(model, squares), True)
    assert np.abs(outputs.probabilities - wanted).max() <= TOLERANCE
    assert np.ptp(wanted[:, 0]) > 1e-4
    assert imported.card.model.backbone == "imported"


@pytest.mark.slow
def test_efficientnet_lite0_becomes_ours(tmp_path: Path) -> None:
    model = efficientnet_lite0()
    model.save(tmp_path / "model.keras")
    imported = import_model(tmp_path / "model.keras", tmp_path / "run", pixel_range="0..255")
    squares = _squares(64)
    wanted = answers(model, squares)
    assert np.abs(Reader.open(imported.path).read_batch(squares).probabilities - wanted).max() <= TOLERANCE
    assert np.ptp(wanted) > 1e-4
    assert imported.card.model.backbone == "efficientnet_lite0"


@pytest.mark.long
@pytest.mark.parametrize("variant", [name for name in VARIANTS if "MobileNet" not in name])
def test_the_map_is_the_derivative_by_autograd_and_adds_up(
    models: dict[str, Any], variant: str, tmp_path: Path
) -> None:
    model = _model(models, variant)
    model.save(tmp_path / "model.keras")
    classes = ("normal", "bacteria", "virus")[: max(2, model.output_shape[-1])]
    import_model(tmp_path / "model.keras", tmp_path / "run", classes, pixel_range="0..255")
    classifier = open_run(tmp_path / "run").classifier
    films = torch.from_numpy(_squares(model.input_shape[1], 2)[:, None].astype(np.float32))
    entering = classifier.activations(films).detach().requires_grad_()
    logits = classifier.head(classifier.head.pool(entering))
    maps = classifier.head.map(entering)
    constant = classifier.head.constant(classifier.head.pool(entering))
    torch.testing.assert_close(maps.mean((2, 3)) + constant, logits, rtol=1e-4, atol=1e-4)
    for finding in range(logits.shape[1]):
        (gradient,) = torch.autograd.grad(logits[:, finding].sum(), entering, retain_graph=True)
        by_hand = (gradient * entering).sum(1) * maps.shape[2] * maps.shape[3]
        torch.testing.assert_close(maps[:, finding], by_hand, rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def plain(models: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keras") / "plain.keras"
    _model(models, "plain CNN, Flatten, sigmoid").save(path)
    return path


def test_the_finding_may_come_first(plain: Path, tmp_path: Path) -> None:
    one = import_model(plain, tmp_path / "one", ("PNEUMONIA", "NORMAL"))
    other = import_model(plain, tmp_path / "other", ("NORMAL", "PNEUMONIA"))
    assert one.card.labels == other.card.labels == ("NORMAL", "PNEUMONIA")
    squares = _squares(SIDE)
    first, second = (Reader.open(found.path).read_batch(squares).probabilities for found in (one, other))
    np.testing.assert_allclose(first, 1 - second, atol=1e-6)


def test_a_network_that_does_not_rescale_needs_its_range(models: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "lecture.h5"
    model = _model(models, "MobileNet V2, frozen, Dense 128")
    model.save(path)
    with pytest.raises(UsageError, match="--range"):
        import_model(path, tmp_path / "run")
    import_model(path, tmp_path / "run", pixel_range="-1..1")
    squares = _squares(64)
    found = Reader.open(tmp_path / "run").read_batch(squares).probabilities
    films = np.repeat(squares[..., None].astype(np.float32), 3, axis=-1) / 127.5 - 1
    np.testing.assert_allclose(found, np.asarray(model.predict(films, verbose=0)), atol=TOLERANCE)


def test_wrong_options_are_named(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1 output, 3 classes"):
        import_model(plain, tmp_path / "run", ("a", "b", "c"))
    with pytest.raises(UsageError, match="different names"):
        import_model(plain, tmp_path / "run", ("a", "A"))
    with pytest.raises(UsageError, match=r"expected one of 0\.\.1"):
        import_model(plain, tmp_path / "run", pixel_range="0-1")
    with pytest.raises(UsageError, match="takes 24 × 24"):
        import_model(plain, tmp_path / "run", image_size=32)
    import_model(plain, tmp_path / "run")
    with pytest.raises(OutputError):
        import_model(plain, tmp_path / "run")


def test_labelled_films_choose_the_range(tmp_path: Path) -> None:
    """A network that calls a film by its brightness as it is in 0..1 fits no other range as well."""
    import keras

    from lucency.data import read_dataset

    films = read_dataset("phantom:24")
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            keras.layers.Conv2D(1, 1),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    means = np.array([sample.load().gray8().mean() / 255 for sample in films.samples])
    labels = films.label_array()
    middle = (means[labels == 0].mean() + means[labels == 1].mean()) / 2
    slope = 20 * np.sign(means[labels == 1].mean() - middle)
    model.set_weights([np.ones((1, 1, 1, 1)), np.zeros(1), np.full((1, 1), slope), np.array([-slope * middle])])
    model.save(tmp_path / "bright.keras")
    imported = import_model(tmp_path / "bright.keras", tmp_path / "run", films.labels, films=films)
    assert imported.tried[0].pixel_range == "0..1"
    assert len(imported.tried) == 15
    ordered = [one.log_likelihood for one in imported.tried]
    assert ordered == sorted(ordered, reverse=True)
    with pytest.raises(SourceError, match="expected the labels"):
        import_model(tmp_path / "bright.keras", tmp_path / "no", ("cat", "dog"), films=films)


@pytest.mark.slow
def test_the_lecture_network_at_full_size(tmp_path: Path) -> None:
    """MobileNetV2 without its top, pool, Dense 128, Dense 1: 2,422,081 numbers, 34,112 of them moments of norms."""
    import keras

    base = keras.applications.MobileNetV2((224, 224, 3), include_top=False, weights=None)
    dense = keras.layers.Dense
    model = alive(
        keras.Sequential(
            [base, keras.layers.GlobalAveragePooling2D(), dense(128, activation="relu"), dense(1, activation="sigmoid")]
        )
    )
    assert model.count_params() == 2_422_081
    model.save(tmp_path / "xray_model.h5")
    imported = import_model(tmp_path / "xray_model.h5", tmp_path / "run", pixel_range="-1..1")
    assert (imported.card.model.backbone, imported.card.model.head) == ("mobilenet_v2_tf", "dense128")
    assert imported.card.model.parameters == 2_422_081 - 34_112
    squares = _squares(224, 2)
    films = np.repeat(squares[..., None].astype(np.float32), 3, axis=-1) / 127.5 - 1
    found = Reader.open(imported.path).read_batch(squares).probabilities
    np.testing.assert_allclose(found, np.asarray(model.predict(films, verbose=0)), atol=TOLERANCE)


def test_load_reads_a_keras_file_that_rescales(plain: Path) -> None:
    run = lucency.load(plain)
    squares = _squares(SIDE)
    again = lucency.load(plain).read_batch(squares).probabilities
    np.testing.assert_array_equal(run.read_batch(squares).probabilities, again)


def test_the_command_says_how_it_was_understood(plain: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli(["import", str(plain), "--out", str(tmp_path / "run"), "--json"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert facts["card"]["labels"] == ["NORMAL", "PNEUMONIA"]
    assert any("rescales by itself" in line for line in facts["says"])
    assert cli(["import", str(plain), "--out", str(tmp_path / "run")]) == OutputError.exit_code
    assert cli(["import", str(plain), "--out", str(tmp_path / "other"), "--resize", "squash"]) == UsageError.exit_code
