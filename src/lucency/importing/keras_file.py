"""Keras files, `.h5` and `.keras`, read without Keras: the configuration as JSON, the weights by layer.

Nothing in a file is run. HDF5 can point to other files and to plugins that unpack data: such links, virtual and
external data sets, and all filters are refused.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lucency.errors import WeightsError
from lucency.files import parse_json

Array = NDArray[np.float32]
MAX_FILE_BYTES = 1 << 30
MAX_CONFIG_BYTES = 1 << 25
BROKEN = (OSError, ValueError, TypeError, LookupError, RuntimeError, ArithmeticError, AttributeError, MemoryError)
"""What h5py and zipfile raise on a broken file."""
MAX_OBJECTS = 100_000
"""Groups and data sets of one file."""
SPELLINGS = {"kernel": ("kernel", "depthwise_kernel")}
"""What other versions call the same weight."""
CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
"""The group of a .keras file in which a model's layers lie."""


@dataclass(frozen=True)
class Place:
    """Where a layer's weights lie."""

    names: tuple[str, ...]
    """Of the models around it, and its own."""
    numbered: tuple[str, ...]
    """The same by class and number, as a .keras file calls its groups: functional, conv2d_1."""


@dataclass(frozen=True)
class KerasFile:
    """What a Keras file says."""

    major: int
    """Version of Keras that wrote it: 2 or 3."""
    config: Mapping[str, Any]
    """class_name and config of the whole model."""
    weights: Callable[[Place, tuple[str, ...]], dict[str, Array]]
    """(place, the weights that a layer has, in Keras's order) → those found, by name."""


def read_keras(content: bytes) -> KerasFile:
    """Read a whole model, saved by Keras 2 or 3 as `.h5` or `.keras`; told apart by content.

    Raises:
        WeightsError: truncated, weights without a network, or HDF5 that points elsewhere.
    """
    try:
        return _read_zip(content) if content[:2] == b"PK" else _read_h5(content)
    except BROKEN as error:
        raise WeightsError(f"no whole Keras file ({_reason(error)}); save the network again") from error


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error)).partition("\n")[0][:120] or type(error).__name__


def _read_zip(content: bytes) -> KerasFile:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            config = _member(archive, "config.json", MAX_CONFIG_BYTES)
            version = parse_json(_member(archive, "metadata.json", MAX_CONFIG_BYTES))["keras_version"]
            weights = _open(_member(archive, "model.weights.h5", MAX_FILE_BYTES))
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise WeightsError(f"no whole .keras file ({_reason(error)}); save the network again") from error
    inside = cache(lambda path: _layers_inside(weights[path]))
    return KerasFile(_major(version), _config(config), lambda place, kinds: _by_group(weights, inside, place, kinds))


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    if name not in archive.namelist():
        raise WeightsError(f"expected {name} inside the .keras file; save the whole network with model.save")
    with archive.open(name) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise WeightsError(f"{name} unpacks to more than {limit >> 20} MB, more than is read")
    return content


def _read_h5(content: bytes) -> KerasFile:
    if content[:8] != b"\x89HDF\r\n\x1a\n":
        found = "a .tflite" if content[4:8] == b"TFL3" else "neither"
        raise WeightsError(f"expected a Keras file, .h5 or .keras, found {found}; save the network with model.save")
    file = _open(content)
    if "model_config" not in file.attrs:
        raise WeightsError("holds weights but no network; save the whole network with model.save, not save_weights")
    every = dict(_datasets(_group(file, "model_weights")))
    version = _text(file.attrs.get("keras_version", "2"))
    return KerasFile(
        _major(version), _config(_text(file.attrs["model_config"])), lambda place, kinds: _by_name(every, place, kinds)
    )


def _open(content: bytes) -> h5py.File:
    return h5py.File(io.BytesIO(content), "r")


def _text(value: Any) -> str:
    text = value.decode() if isinstance(value, bytes) else value
    if not isinstance(text, str) or len(text) > MAX_CONFIG_BYTES:
        raise WeightsError("the network's description is no text, or longer than is read; save the network again")
    return text


def _major(version: Any) -> int:
    found = re.match(r"\d+", str(version))
    return int(found[0]) if found else 2


def _config(text: str | bytes) -> Mapping[str, Any]:
    try:
        config = parse_json(text)
    except ValueError as error:
        raise WeightsError(f"the network's description is not JSON ({error}); save the network again") from error
    if not isinstance(config, dict) or "config" not in config or "class_name" not in config:
        raise WeightsError("expected the description of a network, found something else; save it with model.save")
    return config


def _children(group: h5py.Group) -> Iterator[tuple[str, Any]]:
    """The parts of a group that lie in this file.

    Raises:
        WeightsError: a link to another file or place.
    """
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise WeightsError(f"'{name}' is a link to elsewhere, which is never followed; save the network again")
        yield name, group[name]


def _group(group: h5py.Group, name: str) -> h5py.Group:
    found = next((part for other, part in _children(group) if other == name), None)
    if not isinstance(found, h5py.Group):
        raise WeightsError(f"expected a group {name}, found none; save the network again")
    return found


def _datasets(group: h5py.Group) -> Iterator[tuple[tuple[str, ...], h5py.Dataset]]:
    """Every data set below a group, by path."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), group)]
    seen = 0
    while waiting:
        path, part = waiting.pop()
        seen += 1
        if seen > MAX_OBJECTS or len(path) > 64:
            raise WeightsError("holds more groups than any network; save the network again")
        if isinstance(part, h5py.Dataset):
            yield path, part
        elif isinstance(part, h5py.Group):
            waiting += [((*path, name), child) for name, child in _children(part)]


def _by_name(every: Mapping[tuple[str, ...], h5py.Dataset], place: Place, kinds: tuple[str, ...]) -> dict[str, Array]:
    """In an .h5: under the outermost name, then …/LAYER/KIND:0; the names on the way differ from version to version."""
    found: dict[str, Array] = {}
    below = [(path, data) for path, data in every.items() if path[0] == place.names[0]]
    for kind in kinds:
        spelled = SPELLINGS.get(kind, (kind,))
        fits = [(path, data) for path, data in below if path[-1].partition(":")[0] in spelled]
        for wanted in (place.names[-1:], place.names):
            if len(fits) > 1:
                fits = [(path, data) for path, data in fits if _leads(path, wanted)] if wanted else fits
        nearest = min((len(path) for path, _ in fits), default=0)  # a model inside has the longer path
        fits = [(path, data) for path, data in fits if len(path) == nearest]
        if len(fits) > 1:
            raise WeightsError(f"layer '{place.names[-1]}': its {kind} is there {len(fits)} times; rename the layers")
        if fits:
            found[kind] = _values(fits[0][1], "/".join(fits[0][0]))
    return found


def _leads(path: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether a path ends at the layer, and comes by all the models around it."""
    return path[-2] == wanted[-1] and set(wanted) <= set(path)


Parts = dict[str, Any]
"""Groups by name."""


def _layers_inside(group: h5py.Group) -> tuple[Parts, Parts]:
    """The layers of a model in a .keras file, by their own names and by class and number."""
    held = dict(_children(group))
    container = next((held[one] for one in CONTAINERS if one in held), None)
    numbered = dict(_children(container)) if isinstance(container, h5py.Group) else {}
    names = {key: _name_of(part) for key, part in numbered.items()}
    counts = Counter(names.values())
    return {name: numbered[key] for key, name in names.items() if name and counts[name] == 1}, numbered


def _by_group(
    file: h5py.Group, inside: Callable[[str], tuple[Parts, Parts]], place: Place, kinds: tuple[str, ...]
) -> dict[str, Array]:
    """In a .keras: layers/CLASS_NUMBER/vars/0, 1, …, with the layer's name as an attribute of `vars`."""
    group = file
    for name, numbered in zip(place.names, place.numbered, strict=True):
        by_name, by_number = inside(group.name)
        found = by_name.get(name, by_number.get(numbered))
        if not isinstance(found, h5py.Group):
            raise WeightsError(f"layer '{name}': expected its weights, found none; save the network again")
        group = found
    held = dict(_children(group))
    values = dict(_children(held["vars"])) if isinstance(held.get("vars"), h5py.Group) else {}
    return {
        kind: _values(values[str(index)], f"{place.names[-1]}/{kind}")
        for index, kind in enumerate(kinds)
        if isinstance(values.get(str(index)), h5py.Dataset)
    }


def _name_of(part: Any) -> str | None:
    if not isinstance(part, h5py.Group) or not isinstance(part.get("vars", getlink=True), h5py.HardLink):
        return None
    name = part["vars"].attrs.get("name")
    name = name.decode() if isinstance(name, bytes) else name
    return name if isinstance(name, str) else None


def _values(data: h5py.Dataset, name: str) -> Array:
    """A data set's numbers as float32.

    Raises:
        WeightsError: data elsewhere, packed or too large, other than numbers, or numbers that are not finite.
    """
    packed = data.id.get_create_plist().get_nfilters() > 0
    if data.is_virtual or data.external or packed:
        raise WeightsError(f"{name}: its numbers lie elsewhere or are packed, which Keras never does; save it again")
    if data.dtype.kind not in "fiu" or data.size is None or data.size * data.dtype.itemsize > MAX_FILE_BYTES:
        raise WeightsError(f"{name}: expected numbers, found {data.dtype} {data.shape}; save the network in float32")
    if data.id.get_storage_size() < data.size * data.dtype.itemsize:
        raise WeightsError(f"{name}: {data.shape} is stated, fewer numbers are there; save the network again")
    with np.errstate(over="ignore"):
        values = np.asarray(data[()], dtype=np.float32)
    if not np.isfinite(values).all():
        raise WeightsError(f"{name}: holds numbers that are not finite; the network has failed to train")
    return values


def snake_case(name: str) -> str:
    """A class's name as .keras files spell it.

    >>> snake_case("SeparableConv2D"), snake_case("BatchNormalization")
    ('separable_conv2d', 'batch_normalization')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
