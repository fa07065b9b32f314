"""A reader of colours without PyTorch: each label's logit is a weighted mean of red, green and blue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lucency.bundle import Card, Model, Square, write_bundle
from lucency.modality import MODALITIES

SIDE = 8


def write_colour_bundle(
    out: Path,
    modality: str,
    labels: tuple[str, ...],
    task: str = "multiclass",
    weights: np.ndarray | None = None,
    **stated: object,
) -> Path:
    """Write the bundle to `out`: an ONNX network of three operations; `stated` goes into its card.

    `weights` (channels, labels) by which red, green and blue are summed; otherwise some that differ.
    """
    channels, n = MODALITIES[modality].channels, len(labels)
    if weights is None:
        weights = np.cos(np.arange(channels * n).reshape(channels, n)) / 32
    nodes = [
        helper.make_node("MatMul", ["film", "weights"], ["map"]),
        helper.make_node("ReduceMean", ["map", "axes"], ["logit"], keepdims=0),
        helper.make_node("Softmax", ["logit"], ["probability"]),
    ]
    constants = [
        numpy_helper.from_array(weights.astype(np.float32), "weights"),
        numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes"),
    ]
    film = helper.make_tensor_value_info("film", TensorProto.FLOAT, [1, SIDE, SIDE, channels])
    shapes = {"logit": [1, n], "probability": [1, n], "map": [1, SIDE, SIDE, n]}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "colours", [film], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    card = Card(
        name="colours",
        task=task,
        labels=labels,
        modality=modality,
        preprocess=Square(version=2 if channels == 3 else 1, channels=channels, image_size=SIDE),
        model=Model(format="onnx", file="model.onnx", backbone="none"),
        **stated,
    )
    onnx.checker.check_model(model)
    write_bundle(out, card, {"model.onnx": model.SerializeToString()})
    return out


def lesion(seed: int = 0, side: int = SIDE) -> np.ndarray:
    """A dark spot on skin, uint8 (side, side, 3)."""
    y, x = np.mgrid[:side, :side]
    spot = ((y - side / 2) ** 2 + (x - side / 2) ** 2 < side**2 / 9)[..., None]
    noise = np.random.default_rng(seed).integers(0, 12, (side, side, 3))
    return (np.array([210, 160, 140]) - noise - spot * np.array([90, 80, 60])).astype(np.uint8)
