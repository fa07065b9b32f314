"""A reader of brightness: logit = (mean gray - 128) / 16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from lucency.bundle import Card, Model, OperatingPoint, Square, write_bundle

SIDE = 8


def write_brightness_bundle(out: Path, threshold: float = 0.5) -> Path:
    """Write the bundle to `out`: an ONNX network of four operations."""
    nodes = [
        helper.make_node("Sub", ["film", "middle"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], ["map"]),
        helper.make_node("ReduceMean", ["map", "axes"], ["logit"], keepdims=0),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    constants = [
        numpy_helper.from_array(np.float32(128), "middle"),
        numpy_helper.from_array(np.float32(1 / 16), "scale"),
        numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes"),
    ]
    film = helper.make_tensor_value_info("film", TensorProto.FLOAT, [1, SIDE, SIDE, 1])
    shapes = {"logit": [1, 1], "probability": [1, 1], "map": [1, SIDE, SIDE, 1]}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "brightness", [film], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    card = Card(
        name="brightness",
        labels=("normal", "pneumonia"),
        preprocess=Square(image_size=SIDE),
        model=Model(format="onnx", file="model.onnx", backbone="none"),
        operating_point=OperatingPoint(threshold=threshold, chosen_by="hand", chosen_on="nothing"),
    )
    onnx.checker.check_model(model)
    write_bundle(out, card, {"model.onnx": model.SerializeToString()})
    return out


def write_film(path: Path, gray: int) -> None:
    """A film of one gray and one other pixel."""
    pixels = np.full((32, 32), gray, dtype=np.uint8)
    pixels[0, 0] = gray - 1
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_films(root: Path, normal: list[int], ill: list[int], first: int = 1) -> Path:
    """NORMAL/ and PNEUMONIA/ below `root`, named as the Kaggle edition names them, one patient a film."""
    for i, gray in enumerate(normal, first):
        write_film(root / "NORMAL" / f"IM-{i:04}-0001.png", gray)
    for i, gray in enumerate(ill, first):
        write_film(root / "PNEUMONIA" / f"person{i}_bacteria_{i}.png", gray)
    return root
