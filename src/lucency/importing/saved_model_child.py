"""Turn a SavedModel into a file that lucency imports; a child process runs it, in a Python that has TensorFlow.

    python -I saved_model_child.py SAVED_MODEL OUT

writes OUT.h5 where Keras 2 saved the network: its description and numbers are read, nothing is run. Else OUT.tflite:
TensorFlow loads the program and converts it. It imports nothing of lucency, which that Python need not have.
"""

import contextlib
import ctypes
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MAX_BYTES = 1 << 30
"""Of the file that is written."""
MEMORY_BYTES = 16 << 30
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000
"""CLONE_NEWUSER and CLONE_NEWNET of Linux."""
NUMBERS = "VARIABLE_VALUE"


def main() -> None:
    """Convert; what fails is raised, and the last line of the traceback says why."""
    saved, out = Path(sys.argv[1]), Path(sys.argv[2])
    confine()
    if layers := keras_layers(saved / "keras_metadata.pb"):
        write_h5(saved, layers, out.with_suffix(".h5"))
    else:
        write_tflite(saved, out.with_suffix(".tflite"))


def confine() -> None:
    """Bound memory and files, and cut off the network where Linux allows it: a SavedModel is a program."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_BYTES, MAX_BYTES))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        unshare = ctypes.CDLL(None).unshare
        if unshare(NEW_NETWORK):  # root alone may; others do in a user namespace
            unshare(NEW_USER | NEW_NETWORK)


def keras_layers(metadata: Path) -> dict[str, dict[str, Any]]:
    """Path in the checkpoint → what Keras 2 says of the layer there; empty where it does not describe the network."""
    if not metadata.is_file():
        return {}
    nodes = [dict(fields(node)) for number, node in fields(metadata.read_bytes()) if number == 1]
    layers = {node[3].decode(): json.loads(node[5], object_hook=plain) for node in nodes}
    return layers if "layers" in layers["root"].get("config", {}) else {}


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a protocol buffer message that has numbers and bytes alone."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(message):
        key = number()
        value = number()
        if key & 7 == 2:
            at, value = at + value, message[at : at + value]  # type: ignore[assignment]
        yield key >> 3, value


def plain(found: dict[str, Any]) -> Any:
    """A tuple, as Keras 2 wraps it in JSON, as a list."""
    return found["items"] if found.get("class_name") == "__tuple__" else found


def write_h5(saved: Path, layers: Mapping[str, dict[str, Any]], out: Path) -> None:
    """The network in the layout of Keras 2's .h5."""
    import h5py
    import tensorflow as tf
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    checkpoint = tf.train.load_checkpoint(str(saved / "variables" / "variables"))
    graph = TrackableObjectGraph.FromString(checkpoint.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH")).nodes
    root = layers["root"]
    with h5py.File(out, "w") as file:
        file.attrs["keras_version"] = root["keras_version"]
        file.attrs["model_config"] = json.dumps({"class_name": root["class_name"], "config": root["config"]})
        group = file.create_group("model_weights")
        for path, names in named(layers):
            for weight, key in weights(graph, path):
                group[f"{'/'.join(names)}/{weight}:0"] = checkpoint.get_tensor(key)


def named(layers: Mapping[str, dict[str, Any]]) -> Iterator[tuple[list[str], list[str]]]:
    """Of each layer its path in the checkpoint, and the names of the models around it and its own."""
    for path in layers:
        steps = path.split(".")
        above = [".".join(steps[: depth + 1]) for depth in range(1, len(steps))]
        if above and all(one in layers for one in above):
            yield steps[1:], [layers[one]["name"] for one in above]


def weights(graph: Any, path: list[str]) -> Iterator[tuple[str, str]]:
    """Name and key of each weight of the layer at a path."""
    node = graph[0]
    for step in path:
        found = [child.node_id for child in node.children if child.local_name == step]
        if not found:
            return
        node = graph[found[0]]
    for child in node.children:
        for attribute in graph[child.node_id].attributes:
            if attribute.name == NUMBERS:
                yield child.local_name, attribute.checkpoint_key


def write_tflite(saved: Path, out: Path) -> None:
    """The function that the SavedModel serves, in TensorFlow Lite's own operators."""
    import tensorflow as tf

    out.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(saved)).convert())


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        main()
    os._exit(0)  # TensorFlow's threads may hang at the end
