"""Files that are broken, lie or would run code: one line each, and nothing is written."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lucency.errors import LucencyError
from lucency.importing import import_model
from lucency.reader import Reader

h5py = pytest.importorskip("h5py")

Json = dict[str, Any]
MAGIC = b"\x89HDF\r\n\x1a\n"


def _layer(kind: str, name: str, **config: Any) -> Json:
    return {"class_name": kind, "config": {"name": name, **config}}


def _network() -> Json:
    return {
        "class_name": "Sequential",
        "config": {
            "name": "sequential",
            "layers": [
                _layer("InputLayer", "input", batch_input_shape=[None, 8, 8, 3]),
                _layer("Rescaling", "rescaling", scale=1 / 255),
                _layer("Conv2D", "conv", filters=4, kernel_size=[3, 3], strides=[1, 1], padding="same"),
                _layer("GlobalAveragePooling2D", "pool"),
                _layer("Dense", "dense", units=1, activation="sigmoid"),
            ],
        },
    }


WEIGHTS = {
    "conv/kernel:0": np.ones((3, 3, 3, 4), np.float32),
    "conv/bias:0": np.zeros(4, np.float32),
    "dense/kernel:0": np.ones((4, 1), np.float32),
    "dense/bias:0": np.zeros(1, np.float32),
}


def _write(path: Path, network: Any = None, change: Callable[[Any], None] | None = None) -> Path:
    with h5py.File(path, "w") as file:
        text = network if isinstance(network, str) else json.dumps(network or _network())
        file.attrs["model_config"] = text
        file.attrs["keras_version"] = "2.15.0"
        for name, values in WEIGHTS.items():
            file[f"model_weights/{name.partition('/')[0]}/{name}"] = values
        if change is not None:
            change(file)
    return path


def _refused(path: Path, tmp_path: Path, **options: Any) -> str:
    with pytest.raises(LucencyError) as caught:
        import_model(path, tmp_path / "run", **options)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 700
    assert not (tmp_path / "run").exists()
    return line


def test_the_whole_file_is_read(tmp_path: Path) -> None:
    import_model(_write(tmp_path / "a.h5"), tmp_path / "run")
    found = Reader.open(tmp_path / "run").read_batch(np.full((1, 8, 8), 255, np.uint8))
    # 3 ones in each of 9 taps; of the 64 places 36 see 9 taps, 24 see 6, 4 see 4. Four channels are summed.
    assert found.logits[0, 0] == pytest.approx(4 * 3 * (36 * 9 + 24 * 6 + 4 * 4) / 64, rel=1e-6)


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04", MAGIC, MAGIC + bytes(900)])
def test_no_file_of_the_kind(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(content)
    _refused(tmp_path / "a.h5", tmp_path)


def test_other_formats_are_named(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    assert "SavedModel" in _refused(tmp_path / "saved", tmp_path)
    for name, says in (("a.h5", "found a .tflite"), ("a.tflite", "cannot be imported")):
        (tmp_path / name).write_bytes(b"\x1c\x00\x00\x00TFL3")
        assert says in _refused(tmp_path / name, tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    missing = _refused(tmp_path / "none.h5", tmp_path)
    assert "cannot be read" in missing
    assert "check the path" in missing
    assert "cannot be read" in _refused(tmp_path, tmp_path)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_truncated(share: float, tmp_path: Path) -> None:
    whole = _write(tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(whole[: int(len(whole) * share)])
    _refused(tmp_path / "a.h5", tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_end_in_a_line_or_a_run(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    content = bytearray(_write(tmp_path / "a.h5").read_bytes())
    for place in rng.integers(0, len(content), 12):
        content[place] = rng.integers(256)
    (tmp_path / "a.h5").write_bytes(content)
    with contextlib.suppress(LucencyError):
        import_model(tmp_path / "a.h5", tmp_path / "run")


def _dataset(**options: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file["model_weights/conv/conv/kernel:0"]
        file.create_dataset("model_weights/conv/conv/kernel:0", **options)

    return change


def _virtual(file: Any) -> None:
    del file["model_weights/conv/conv/kernel:0"]
    layout = h5py.VirtualLayout((3, 3, 3, 4), np.float32)
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3, 3, 3, 4))
    file.create_virtual_dataset("model_weights/conv/conv/kernel:0", layout)


def _linked(link: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file["model_weights/conv/conv/kernel:0"]
        file["model_weights/conv/conv/kernel:0"] = link

    return change


ONES = np.ones((3, 3, 3, 4), np.float32)
TRICKS: dict[str, tuple[Callable[[Any], None], str]] = {
    "missing weight": (lambda file: file.pop("model_weights/conv/conv/kernel:0"), "expected the weight kernel"),
    "no weights": (lambda file: file.pop("model_weights"), "expected a group"),
    "no network": (lambda file: file.attrs.pop("model_config"), "no network"),
    "external link": (_linked(h5py.ExternalLink("/etc/passwd", "/x")), "link"),
    "soft link": (_linked(h5py.SoftLink("/model_weights/dense")), "link"),
    "virtual": (_virtual, "lie elsewhere"),
    "packed": (_dataset(data=ONES, compression="gzip"), "packed"),
    "elsewhere": (
        _dataset(shape=(3, 3, 3, 4), dtype="f4", external=[("/etc/passwd", 0, 432)]),
        "lie elsewhere",
    ),
    "stated, not there": (_dataset(shape=(3, 3, 3, 4), dtype="f4", chunks=(1, 1, 1, 1)), "fewer numbers"),
    "huge": (_dataset(shape=(1 << 20, 1 << 12), dtype="f4", chunks=(1, 1)), "expected numbers"),
    "text": (_dataset(data=np.array([b"a" * 9])), "expected numbers"),
    "not finite": (_dataset(data=ONES * np.nan), "not finite"),
    "another shape": (_dataset(data=np.ones((3, 3, 3, 5), np.float32)), "the weights hold"),
    "another rank": (_dataset(data=np.ones(4, np.float32)), "conv"),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_weights_that_lie_or_lead_elsewhere(trick: str, tmp_path: Path) -> None:
    change, says = TRICKS[trick]
    assert says in _refused(_write(tmp_path / "a.h5", change=change), tmp_path)


def _with(place: int, layer: Json | None = None, **config: Any) -> Json:
    network = _network()
    if layer is not None:
        network["config"]["layers"].insert(place, layer)
    network["config"]["layers"][place]["config"] |= config
    return network


def _functional(layers: list[Json], inputs: Any = (("a", 0, 0),), outputs: Any = (("b", 0, 0),)) -> Json:
    return {"class_name": "Functional", "config": {"layers": layers, "input_layers": inputs, "output_layers": outputs}}


A = {**_layer("InputLayer", "a", batch_input_shape=[None, 8, 8, 3]), "name": "a", "inbound_nodes": []}
B = {**_layer("Flatten", "b"), "name": "b", "inbound_nodes": [[["c", 0, 0, {}]]]}
C = {**_layer("Flatten", "c"), "name": "c", "inbound_nodes": [[["b", 0, 0, {}]]]}


def _deep() -> str:
    return '{"class_name": "Sequential", "config": ' + '{"layers": [' * 5000


def _matryoshka() -> Json:
    inner = _network()
    for level in range(10):
        inner = {"class_name": "Sequential", "config": {"name": f"m{level}", "layers": [inner]}}
    return inner


LIES: dict[str, tuple[Any, str]] = {
    "Lambda": (_with(2, _layer("Lambda", "secret", function=["4wEAAA=="])), "code from a file is never run"),
    "operator": (_with(2, _layer("TFOpLambda", "op", function="image.resize")), "code from a file is never run"),
    "own layer": (_with(2, _layer("MyLayer", "mine")), "'mine' (MyLayer) is not supported"),
    "own layer by a known name": (
        _with(2, {**_layer("Dropout", "mine"), "module": "os", "registered_name": "os>Dropout"}),
        "not supported",
    ),
    "own activation": (_with(2, activation="my_function"), "'my_function' is not supported"),
    "own model": ({**_network(), "class_name": "MyModel"}, "expected a Functional or Sequential"),
    "recurrent": (_with(3, _layer("LSTM", "lstm", units=3)), "LSTM"),
    "channels first": (_with(2, data_format="channels_first"), "channels first"),
    "more filters than weights": (_with(2, filters=5), "the layers need"),
    "huge layer": (_with(2, filters=1 << 20), "conv"),
    "more than huge": (_with(2, filters=1 << 60), "conv"),
    "huge film": (_with(0, batch_input_shape=[None, 1 << 30, 1 << 30, 3]), "expected a network for pictures"),
    "no film": (_with(0, batch_input_shape=[None, 8]), "expected a network for pictures"),
    "oblong": (_with(0, batch_input_shape=[None, 8, 9, 3]), "expected a square"),
    "any size": (_with(0, batch_input_shape=[None, None, None, 3]), "--image-size"),
    "no shape": (_with(0, batch_input_shape=None), "not stated"),
    "two channels": (_with(0, batch_input_shape=[None, 8, 8, 2]), "expected a square"),
    "stride zero": (_with(2, strides=[0, 0]), "conv"),
    "negative padding": (_with(2, padding="diagonal"), "padding"),
    "kernel of text": (_with(2, kernel_size="3"), "conv"),
    "softmax of one": (_with(4, activation="softmax"), "softmax"),
    "dense on a map": (_with(3, _layer("Dense", "dense", units=1)), "Flatten"),
    "no end": ({"class_name": "Sequential", "config": {"layers": _network()["config"]["layers"][:3]}}, "classifier"),
    "no layers": ({"class_name": "Sequential", "config": {"layers": []}}, "broken"),
    "many layers": (
        {"class_name": "Sequential", "config": {"layers": [_layer("Dropout", "d")] * 5000}},
        "more than 4000",
    ),
    "circle": (_functional([A, B, C]), "not there"),
    "unknown layer": (_functional([A, B]), "not there"),
    "two inputs": (_functional([A, B, C], (("a", 0, 0), ("c", 0, 0))), "one input and one output"),
    "no output": (_functional([A], outputs=(("a", 0, 0),)), "no layers"),
    "no JSON": ("{", "not JSON"),
    "a list": ("[1, 2]", "description of a network"),
    "a number": ("1", "description of a network"),
    "config of text": ('{"class_name": "Sequential", "config": "x"}', "broken"),
    "nested JSON": (_deep(), "not JSON"),
    "nested models": (_matryoshka(), "nested more than"),
}


@pytest.mark.parametrize("lie", LIES)
def test_networks_that_lie(lie: str, tmp_path: Path) -> None:
    network, says = LIES[lie]
    assert says in _refused(_write(tmp_path / "a.h5", network), tmp_path)


def _zip(path: Path, **parts: bytes) -> Path:
    whole = {
        "config.json": json.dumps(_network()).encode(),
        "metadata.json": b'{"keras_version": "3.9.0"}',
        "model.weights.h5": _write(path).read_bytes(),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (whole | {key.replace("__", "."): value for key, value in parts.items()}).items():
            if content:
                archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"config__json": b""}, "expected config.json"),
        ({"model__weights__h5": b""}, "expected model.weights.h5"),
        ({"config__json": b" " * (1 << 26)}, "unpacks to more"),
        ({"metadata__json": b"[]"}, "no whole Keras file"),
        ({"model__weights__h5": b"nothing"}, "no whole Keras file"),
        ({}, "expected its weights"),
    ],
)
def test_broken_keras_zip(parts: dict[str, bytes], says: str, tmp_path: Path) -> None:
    line = _refused(_zip(tmp_path / "a.keras", **parts), tmp_path)
    assert says in line or "cannot be read" in line


def test_truncated_zip(tmp_path: Path) -> None:
    whole = _zip(tmp_path / "a.keras").read_bytes()
    for share in (0.3, 0.9):
        (tmp_path / "a.keras").write_bytes(whole[: int(len(whole) * share)])
        assert "no whole .keras file" in _refused(tmp_path / "a.keras", tmp_path)
    stream = io.BytesIO(whole[:-30])
    (tmp_path / "a.keras").write_bytes(stream.getvalue())
    _refused(tmp_path / "a.keras", tmp_path)


@pytest.mark.parametrize(("version", "value"), [("2.15.0", 0.2 * 1 + 0.5), ("3.9.0", (1 + 3) / 6)])
def test_hard_sigmoid_is_that_of_its_version(version: str, value: float, tmp_path: Path) -> None:
    """On a black film the convolution gives its bias, 1, in four channels that are summed."""

    def change(file: Any) -> None:
        file.attrs["keras_version"] = version
        file["model_weights/conv/conv/bias:0"][...] = 1

    import_model(_write(tmp_path / "a.h5", _with(2, activation="hard_sigmoid"), change), tmp_path / "run")
    found = Reader.open(tmp_path / "run").read_batch(np.zeros((1, 8, 8), np.uint8))
    assert found.logits[0, 0] == pytest.approx(4 * value, rel=1e-6)


def test_an_activation_is_not_ignored(tmp_path: Path) -> None:
    with pytest.raises(LucencyError, match="leave it out"):
        import_model(_zip(tmp_path / "a.keras"), tmp_path / "run", pixel_range="0..1", activation="softmax")
