"""A reader of retinas that is known by heart: its three classes are the means of red, green and blue."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from pydicom import dcmread
from pydicom.uid import OphthalmicPhotography8BitImageStorage

from dicom.films import dataset, file
from lucency.bundle import Card, Model, Square, write_bundle

SIDE = 8
LABELS = ("cataract", "glaucoma", "drusen")


def write_colour_bundle(out: Path) -> Path:
    """The logit of each class is (mean of its channel - 128) / 16."""
    nodes = [
        helper.make_node("Sub", ["film", "middle"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], ["map"]),
        helper.make_node("ReduceMean", ["map", "axes"], ["logit"], keepdims=0),
        helper.make_node("Softmax", ["logit"], ["probability"]),
    ]
    constants = [
        numpy_helper.from_array(np.float32(128), "middle"),
        numpy_helper.from_array(np.float32(1 / 16), "scale"),
        numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes"),
    ]
    film = helper.make_tensor_value_info("film", TensorProto.FLOAT, [1, SIDE, SIDE, 3])
    shapes = {"logit": [1, 3], "probability": [1, 3], "map": [1, SIDE, SIDE, 3]}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "colours", [film], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    card = Card(
        name="colours",
        labels=LABELS,
        task="multiclass",
        modality="fundus",
        preprocess=Square(version=2, image_size=SIDE, channels=3),
        model=Model(format="onnx", file="model.onnx", backbone="none"),
    )
    write_bundle(out, card, {"model.onnx": model.SerializeToString()})
    return out


def retina(level: tuple[int, int, int] = (140, 180, 130), side: int = 64) -> np.ndarray[Any, Any]:
    """A disc of one colour on black."""
    rows, columns = np.mgrid[:side, :side] - side / 2 + 0.5
    return np.where((np.hypot(rows, columns) < side / 2)[..., None], level, 0).astype(np.uint8)


def photograph(number: int = 1, pixels: Any = None, syntax: str = "", **header: Any) -> bytes:
    """A photograph of a right eye in colour; compressed where a transfer syntax is named."""
    array = retina() if pixels is None else pixels
    attributes = {
        "SOPClassUID": OphthalmicPhotography8BitImageStorage,
        "Modality": "OP",
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
        "ImageLaterality": "R",
    }
    without = ("BodyPartExamined", "ViewPosition")
    content = file(dataset(number, array, without, **attributes | header))
    if not syntax:
        return content
    made = dcmread(io.BytesIO(content))
    made.compress(syntax, generate_instance_uid=False)
    return file(made)
