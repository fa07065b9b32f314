"""Files as Keras 2 laid them out, written by hand from a network of Keras 3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def save_as_keras_2(model: Any, path: Path) -> None:
    """The same network and weights: inbound nodes as lists, batch_input_shape, weights called conv/kernel:0."""
    config = _old({"class_name": type(model).__name__, "config": json.loads(model.to_json())["config"]})
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.15.0"
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(config)
        group = file.create_group("model_weights")
        for layer in model.layers:
            _write(group.create_group(layer.name), layer)


def _write(group: h5py.Group, layer: Any) -> None:
    for inner in getattr(layer, "layers", [layer]):
        if inner is not layer and hasattr(inner, "layers"):
            _write(group.require_group(inner.name), inner)
            continue
        for weight in inner.weights:
            kind = weight.path.rpartition("/")[2]
            if type(inner).__name__ == "DepthwiseConv2D" and kind == "kernel":
                kind = "depthwise_kernel"
            values = np.asarray(weight.numpy() if not hasattr(weight.value, "detach") else weight.value.detach())
            group.create_dataset(f"{inner.name}/{kind}:0", data=values)


ARITHMETIC = {"TrueDivide": "math.truediv", "Subtract": "math.subtract", "Multiply": "math.multiply"}


def _old(layer: dict[str, Any]) -> dict[str, Any]:
    config = {**layer["config"]}
    kind = layer["class_name"]
    if "batch_shape" in config:
        config["batch_input_shape"] = config.pop("batch_shape")
    if kind == "LeakyReLU":
        config["alpha"] = config.pop("negative_slope")
    if "layers" in config:
        config["layers"] = [_old(inner) for inner in config["layers"]]
    nodes = [_node(node) for node in layer.get("inbound_nodes", [])]
    if kind in ARITHMETIC and nodes and len(nodes[0]) == 1 and "y" in nodes[0][0][3]:
        kind, config = "TFOpLambda", {"name": config["name"], "function": ARITHMETIC[kind]}
        nodes = [node[0] for node in nodes]
    return {"class_name": kind, "config": config, "name": config["name"], "inbound_nodes": nodes}


def _node(node: dict[str, Any]) -> list[list[Any]]:
    tensors, numbers = [], []
    for one in node["args"]:
        for value in one if isinstance(one, list) else [one]:
            (tensors if isinstance(value, dict) else numbers).append(value)
    extra = {"y": numbers[0], "name": None} if numbers else {}
    return [[*value["config"]["keras_history"], extra] for value in tensors]
