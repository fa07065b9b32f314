"""The LiteRT target: checks and quantisation."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
from torch import nn

from lucency.errors import ExportError
from lucency.export import litert
from lucency.export.network import ExportNetwork
from lucency.models import Classifier
from lucency.models.classifier import HEADS
from lucency.models.layers import Unit

from .small_runs import alive, card_of, few_units, squares

SIDE, WIDE = 16, 64
OUTPUTS = ("logit", "probability", "map")


@pytest.fixture(scope="module")
def content() -> bytes:
    return litert.convert(ExportNetwork(alive(few_units("linear", 1), SIDE), card_of("binary", "linear", SIDE)), SIDE)


def changed(content: bytes, change) -> bytes:  # type: ignore[no-untyped-def]
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    change(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


@pytest.mark.long
def test_a_converted_network_passes(content: bytes) -> None:
    litert.check(content, OUTPUTS)


@pytest.mark.long
@pytest.mark.parametrize("first", ["unit", "plain"])
def test_a_gray_film_in_three_channels_without_a_shift(first: str) -> None:
    classifier = alive(few_units("linear", 1), SIDE)
    if first == "plain":  # a network from elsewhere, which nothing is moved into
        classifier.features = nn.Sequential(nn.Identity(), *classifier.features)
        classifier.scale.fill_(1.0)
    classifier.shift.zero_()
    square = squares(1, SIDE)
    with torch.no_grad():
        expected = classifier(torch.from_numpy(square[:, None].astype(np.float32)))
    content = litert.convert(ExportNetwork(classifier, card_of("binary", "linear", SIDE)), SIDE)
    np.testing.assert_allclose(litert.logits(content, square), expected.numpy(), rtol=1e-4, atol=1e-4)


def test_operators_outside_litert_raise(content: bytes) -> None:
    def flex(model: schema.ModelT) -> None:
        model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CUSTOM
        model.operatorCodes[0].customCode = b"FlexErf"

    with pytest.raises(ExportError, match="built-in operators only, found FlexErf"):
        litert.check(changed(content, flex), OUTPUTS)


def test_a_dynamic_shape_raises(content: bytes) -> None:
    def opened(model: schema.ModelT) -> None:
        tensor = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
        tensor.shapeSignature = np.array([-1, SIDE, SIDE, 1], dtype=np.int32)

    with pytest.raises(ExportError, match="static shape"):
        litert.check(changed(content, opened), OUTPUTS)


def test_other_output_names_raise(content: bytes) -> None:
    with pytest.raises(ExportError, match="doubt"):
        litert.check(content, (*OUTPUTS, "doubt"))


@pytest.mark.parametrize(("module", "what"), [("litert_torch", "convert"), ("ai_edge_quantizer", "quantise")])
def test_a_missing_library_raises(module: str, what: str, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    network = ExportNetwork(few_units("linear", 1), card_of("binary", "linear", SIDE))
    with pytest.raises(ExportError, match=r"pip install 'lucency\[export\]'") as caught:
        litert.convert(network, SIDE) if what == "convert" else litert.weights(content, None)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def deep() -> bytes:
    """Side 64; convolutions of 32, 16, 8, 4, 4 and 2 rows."""
    units = [
        Unit(3, 8, 3, 2),
        Unit(8, 16, 3, 2),
        Unit(16, 16, 3, 2),
        Unit(16, 64, 3, 2),
        Unit(64, 64),
        Unit(64, 64, 3, 2),
    ]
    classifier = Classifier(nn.Sequential(*units), HEADS["linear"](64, 1), (0.5,) * 3, (0.25,) * 3)
    return litert.convert(ExportNetwork(alive(classifier, WIDE), card_of("binary", "linear", WIDE)), WIDE)


def shortly(name: str) -> str:
    """As int8 files name their tensors."""
    return litert.PACKAGES.sub(rb"\1", name.encode()).decode()


@pytest.mark.long
def test_int8_files_name_layers_without_their_packages(deep: bytes) -> None:
    assert (
        shortly("lucency.models.layers.Unit_0/torch.nn.modules.conv.Conv2d_conv;1_dequant")
        == "Unit_0/Conv2d_conv;1_dequant"
    )
    small = litert.int8(deep, squares(8, WIDE))
    interpreter = Interpreter(model_content=small)
    assert not any("torch.nn" in item["name"] for item in interpreter.get_tensor_details())
    assert set(interpreter.get_signature_runner().get_output_details()) >= {"logit", "probability", "map"}


def test_int8_sums_are_int8_in_the_middle_only(deep: bytes) -> None:
    small = litert.int8(deep, squares(8, WIDE))
    interpreter = Interpreter(model_content=small)
    interpreter.allocate_tensors()
    kinds = {item["name"]: item["dtype"] for item in interpreter.get_tensor_details()}
    runner = interpreter.get_signature_runner()
    assert runner.get_input_details()["film"]["dtype"] == np.float32
    assert {item["dtype"] for item in runner.get_output_details().values()} == {np.float32}
    steps = [step for step in litert.steps(deep) if step.operator == "CONV_2D" and step.inside]
    found = [(step.rows, kinds[shortly(step.output)]) for step in steps]
    whole, less = np.float32, np.int8
    assert found == [(32, whole), (16, whole), (8, whole), (4, less), (4, less), (2, whole)]
    assert len(small) < 0.4 * len(deep)  # the large weights of the others are int8 too


def test_int8_ranges_include_the_brightest_film(deep: bytes) -> None:
    """One film of many is far brighter; a moving average would clip it."""
    films = np.concatenate([np.full((40, WIDE, WIDE), 10, np.uint8), np.full((1, WIDE, WIDE), 250, np.uint8)])
    films[:, ::2] += 5
    small = litert.int8(deep, films)
    film = films[-1][None, :, :, None].astype(np.float32)
    whole, less = (Interpreter(model_content=item).get_signature_runner()(film=film)["map"] for item in (deep, small))
    assert np.abs(whole - less).max() < 0.05 * np.abs(whole).max()


def test_int8_bias_correction_matches_the_float_mean(deep: bytes) -> None:
    films = squares(16, WIDE)
    small = litert.int8(deep, films)
    whole, less = litert.logits(deep, films), litert.logits(small, films)
    assert np.abs(whole - less).max() > 1e-3
    assert np.abs((whole - less).mean()) < 1e-5 * np.abs(whole).max()


def test_a_harmful_bias_correction_is_reverted(content: bytes) -> None:
    def moved(model: schema.ModelT) -> None:
        graph = model.subgraphs[0]
        dense = [step for step in graph.operators if len(graph.tensors[step.outputs[0]].shape) == 2]
        bias = next(step.inputs[2] for step in dense if len(step.inputs) == 3)
        buffer = model.buffers[graph.tensors[bias].buffer]
        buffer.data = np.frombuffer((np.frombuffer(bytes(buffer.data), "<f4") + 3).astype("<f4").tobytes(), np.uint8)

    films, other = squares(4, SIDE), changed(content, moved)
    before, after = litert.logits(content, films), litert.logits(other, films)
    np.testing.assert_allclose(after, before + 3, rtol=1e-5)
    np.testing.assert_allclose(litert.logits(litert.correct_bias(content, other, films), films), before, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("quantize", ["int8", "weights"])
def test_a_network_too_small_for_int8_is_told_so(quantize: str) -> None:
    units = [Unit(3, 4, 3, 2), Unit(4, 8, 3, 2), Unit(8, 8, 3, 2), Unit(8, 8)]
    small = Classifier(nn.Sequential(*units), HEADS["linear"](8, 1), (0.5,) * 3, (0.25,) * 3)
    content = litert.convert(ExportNetwork(alive(small, SIDE), card_of("binary", "linear", SIDE)), SIDE)
    with pytest.raises(ExportError, match=r"expected a layer of 4,096 weights.*the largest has [1-9]\d*;.*float16"):
        getattr(litert, quantize)(content, squares(2, SIDE))


def test_int8_without_films_raises(content: bytes) -> None:
    with pytest.raises(ExportError, match="--data"):
        litert.int8(content, None)


def test_half_precision_rounds_weights_to_eleven_bits(content: bytes) -> None:
    small = litert.float16(content, None)
    film = squares(1, SIDE)[0][None, :, :, None].astype(np.float32)
    whole, less = (
        Interpreter(model_content=item).get_signature_runner()(film=film)["map"] for item in (content, small)
    )
    assert 0 < np.abs(whole - less).max() < 2**-8 * np.abs(whole).max()
