"""The ONNX target: checks and quantisation."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from lucency.errors import ExportError
from lucency.export import onnx as target
from lucency.export.litert import MIN_WEIGHTS
from lucency.export.network import ExportNetwork

from .small_runs import alive, card_of, few_units, squares

SIDE = 16
OUTPUTS = ("logit", "probability", "map")
CHANNELS = 256
"""Channels of the last convolution, the only one large enough to be packed."""


@pytest.fixture(scope="module")
def content() -> bytes:
    classifier = alive(few_units("linear", 1), SIDE)
    return target.convert(ExportNetwork(classifier, card_of("binary", "linear", SIDE)), SIDE)


def answer(content: bytes, square: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(content)
    found: np.ndarray = session.run(["map"], {"film": square[None, :, :, None].astype(np.float32)})[0]
    return found


def test_a_converted_network_has_no_build_metadata(content: bytes) -> None:
    target.check(content, OUTPUTS)
    model = onnx.load_from_string(content)
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    assert b".py" not in content


def test_operators_outside_the_standard_raise(content: bytes) -> None:
    model = onnx.load_from_string(content)
    model.graph.node[0].domain = "com.microsoft"
    with pytest.raises(ExportError, match=r"ai\.onnx only, found com\.microsoft:"):
        target.check(model.SerializeToString(), OUTPUTS)


def test_external_weights_raise(content: bytes) -> None:
    model = onnx.load_from_string(content)
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "weights.bin")
    with pytest.raises(ExportError, match="self-contained"):
        target.check(model.SerializeToString(), OUTPUTS)


def test_a_dynamic_shape_raises(content: bytes) -> None:
    model = onnx.load_from_string(content)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    with pytest.raises(ExportError, match="static shape"):
        target.check(model.SerializeToString(), OUTPUTS)


def test_other_output_names_raise(content: bytes) -> None:
    with pytest.raises(ExportError, match="doubt"):
        target.check(content, (*OUTPUTS, "doubt"))


def test_a_missing_library_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    network = ExportNetwork(few_units("linear", 1), card_of("binary", "linear", SIDE))
    with pytest.raises(ExportError, match=r"pip install 'lucency\[export\]'") as caught:
        target.convert(network, SIDE)
    assert "\n" not in str(caught.value)


def test_weights_are_rounded_to_127_steps_per_channel(content: bytes) -> None:
    small = target.weights(content, None)
    target.check(small, OUTPUTS)
    before = {item.name: numpy_helper.to_array(item) for item in onnx.load_from_string(content).graph.initializer}
    after = {item.name: numpy_helper.to_array(item) for item in onnx.load_from_string(small).graph.initializer}
    packed = [name.removesuffix("_int8") for name in after if name.endswith("_int8")]
    assert packed
    for name in packed:
        scale = after[f"{name}_scale"].reshape(-1, 1, 1, 1)
        away = np.abs(after[f"{name}_int8"] * scale - before[name])
        assert (away <= scale / 2 * 1.001).all()
        assert np.abs(after[f"{name}_int8"]).reshape(CHANNELS, -1).max(axis=1).tolist() == [127] * CHANNELS


def rounded(content: bytes, edition: str) -> bytes:
    """The float32 file with the weights that the quantised file should have, computed here."""
    model = onnx.load_from_string(content)
    for item in model.graph.initializer:
        values = numpy_helper.to_array(item)
        if values.dtype != np.float32 or values.ndim < 2:
            continue
        if edition == "float16":
            values = values.astype(np.float16).astype(np.float32)
        elif values.size >= MIN_WEIGHTS:
            scale = np.abs(values).reshape(len(values), -1).max(axis=1).reshape(-1, *[1] * (values.ndim - 1)) / 127
            values = (np.rint(values / scale) * scale).astype(np.float32)
        item.CopyFrom(numpy_helper.from_array(values, item.name))
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("edition", ["float16", "weights"])
def test_quantized_files_equal_networks_with_rounded_weights(content: bytes, edition: str) -> None:
    small = getattr(target, edition)(content, None)
    film = squares(1, SIDE)[0]
    found, whole = answer(small, film), answer(content, film)
    assert len(small) < len(content)
    assert not np.array_equal(found, whole)
    np.testing.assert_allclose(found, answer(rounded(content, edition), film), atol=1e-4 * np.abs(whole).max())


def test_int8_covers_the_backbone_only(content: bytes) -> None:
    small = target.int8(content, squares(8, SIDE))
    target.check(small, OUTPUTS)
    graph = onnx.load_from_string(small).graph
    makers = {name: node for node in graph.node for name in node.output}
    heads = [node for node in graph.node if node.op_type in ("Gemm", "MatMul")]
    assert heads
    assert all(makers[name].op_type != "DequantizeLinear" for node in heads for name in node.input if name in makers)
    convolutions = [node for node in graph.node if node.op_type == "Conv" and "map" not in node.output]
    sources = [{makers[name].op_type for name in node.input[:2] if name in makers} for node in convolutions[:4]]
    assert sources[2:] == [{"DequantizeLinear"}] * 2  # side / 8
    assert not any("DequantizeLinear" in kinds for kinds in sources[:2])  # finer


def test_int8_without_films_raises(content: bytes) -> None:
    with pytest.raises(ExportError, match="--data"):
        target.int8(content, None)
