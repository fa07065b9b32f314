"""A Keras model as a flat list of layers, nested models unfolded; what each of them gives and becomes."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lucency.errors import WeightsError
from lucency.importing.keras_file import Array, Place, snake_case

MODELS = ("Functional", "Model", "Sequential")
MAX_LAYERS = 4000
MAX_NESTING = 8
Number = float | Sequence[float]


@dataclass(frozen=True)
class Call:
    """One layer, called once."""

    layer: Mapping[str, Any]
    """Its entry in the configuration."""
    place: Place
    output: str
    """What others call its output."""
    inputs: tuple[str, ...]
    numbers: tuple[float, ...] = ()
    """Among the arguments of an operator: x / 127.5."""

    @property
    def kind(self) -> str:
        """Class of the layer."""
        return str(self.layer.get("class_name"))

    @property
    def name(self) -> str:
        """Of the layer, as Keras shows it."""
        return self.place.names[-1]

    @property
    def config(self) -> Mapping[str, Any]:
        """The layer's own settings."""
        found = self.layer.get("config")
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Flat:
    """A whole model."""

    calls: tuple[Call, ...]
    """In an order in which they can run; the last gives the output."""
    shape: tuple[int | None, ...]
    """Of the input: (height, width, channels)."""


@dataclass
class _Walk:
    calls: list[Call] = field(default_factory=list)
    shape: tuple[int | None, ...] | None = None


def flatten(model: Mapping[str, Any]) -> Flat:
    """Unfold a model's configuration.

    Raises:
        WeightsError: no model of one input and one output, too many layers, nested too deeply, or broken references.
    """
    walk = _Walk()
    try:
        output = _model(walk, model, Place((), ()), None)
    except (TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
        raise WeightsError(
            f"the network's description is broken ({type(error).__name__}: {str(error)[:80]}); save the network again"
        ) from error
    if walk.shape is None:
        raise WeightsError("the shape of the network's input is not stated; build the network before saving it")
    return Flat(_leading_to(walk.calls, output), walk.shape)


def _leading_to(calls: Sequence[Call], output: str) -> tuple[Call, ...]:
    """The calls that the output depends on."""
    needed, found = {output}, []
    for call in reversed(calls):
        if call.output in needed:
            needed.update(call.inputs)
            found.append(call)
    return tuple(reversed(found))


def _model(walk: _Walk, model: Mapping[str, Any], place: Place, given: str | None) -> str:
    """Unfold one model whose input is `given`, or the film; the name of its output."""
    if len(place.names) > MAX_NESTING:
        raise WeightsError(f"models are nested more than {MAX_NESTING} deep; save the network unfolded")
    if model.get("class_name") not in MODELS or model.get("registered_name") not in (None, model["class_name"]):
        raise WeightsError(
            f"expected a Functional or Sequential model, found {model.get('class_name')!s:.60}: how it is called is "
            "code, which the file does not hold; save it as a Functional model"
        )
    config = model["config"]
    layers = config if isinstance(config, list) else config["layers"]
    if "input_layers" in config:
        return _functional(walk, config, _places(layers, place), given)
    return _sequential(walk, config, _places(layers, place), given)


def _places(layers: Sequence[Mapping[str, Any]], around: Place) -> list[tuple[Mapping[str, Any], Place]]:
    """Each layer's place; a .keras file counts the layers of each class."""
    if len(layers) > MAX_LAYERS:
        raise WeightsError(f"has {len(layers)} layers in a model, more than {MAX_LAYERS}")
    counts: Counter[str] = Counter()
    found = []
    for layer in layers:
        name, kind = str(layer["config"].get("name") or layer.get("name")), snake_case(str(layer["class_name"]))
        numbered = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
        found.append((layer, Place((*around.names, name), (*around.numbered, numbered))))
    return found


def _sequential(walk: _Walk, config: Any, layers: list[tuple[Mapping[str, Any], Place]], given: str | None) -> str:
    if given is None:
        given = _film(walk, _stated_shape(config, layers))
    for layer, place in layers:
        if layer["class_name"] != "InputLayer":
            given = _add(walk, layer, place, (given,), (), 0)
    return given


def _stated_shape(config: Any, layers: list[tuple[Mapping[str, Any], Place]]) -> Any:
    built = config.get("build_input_shape") if isinstance(config, dict) else None
    first: Mapping[str, Any] = layers[0][0]
    while first["class_name"] in MODELS:  # a Sequential that begins with a model
        inner = first["config"]
        first = (inner if isinstance(inner, list) else inner["layers"])[0]
    return _input_shape(first) or built


def _input_shape(layer: Mapping[str, Any]) -> Any:
    return layer["config"].get("batch_shape") or layer["config"].get("batch_input_shape")


def _film(walk: _Walk, shape: Any) -> str:
    if shape is not None:
        sides = tuple(shape[1:])
        if len(sides) != 3 or not all(side is None or (type(side) is int and 0 < side <= 4096) for side in sides):
            raise WeightsError(f"expected a network for pictures, (height, width, channels), found the input {sides}")
        walk.shape = sides
    return "film"


def _functional(
    walk: _Walk, config: Mapping[str, Any], layers: list[tuple[Mapping[str, Any], Place]], given: str | None
) -> str:
    ends = [_ends(config[key]) for key in ("input_layers", "output_layers")]
    if len(ends[0]) != 1 or len(ends[1]) != 1:
        raise WeightsError(f"expected one input and one output, found {len(ends[0])} and {len(ends[1])}")
    outputs: dict[tuple[str, int], str] = {}
    waiting = [
        (layer, place, index, *_arguments(node))
        for layer, place in layers
        if layer["class_name"] != "InputLayer"
        for index, node in enumerate(layer["inbound_nodes"])
    ]
    for layer, place in layers:
        if layer["class_name"] == "InputLayer":
            outputs[place.names[-1], 0] = given or _film(walk, _input_shape(layer))
    nodes = Counter(place.names[-1] for _, place, *_ in waiting)
    while waiting:
        later = []
        for entry in waiting:
            layer, place, index, tensors, numbers = entry
            keys = [(name, 0 if nodes[name] <= 1 else at) for name, at in tensors]
            if all(key in outputs for key in keys):
                at = 0 if nodes[place.names[-1]] == 1 else index
                outputs[place.names[-1], at] = _add(
                    walk, layer, place, tuple(outputs[key] for key in keys), numbers, at
                )
            else:
                later.append(entry)
        if len(later) == len(waiting):
            raise WeightsError(f"layer '{later[0][1].names[-1]}' takes the output of a layer that is not there")
        waiting = later
    name, at = ends[1][0]
    return outputs[name, 0 if nodes[name] <= 1 else at]


def _ends(stated: Any) -> list[tuple[str, int]]:
    """[name, 0, 0], or a list of such."""
    entries = [stated] if stated and isinstance(stated[0], str) else stated
    return [(entry[0], entry[1]) for entry in (entries.values() if isinstance(entries, dict) else entries)]


def _arguments(node: Any) -> tuple[list[tuple[str, int]], tuple[float, ...]]:
    """The tensors that a call takes, and the numbers; as Keras 3 or Keras 2 writes them."""
    tensors: list[tuple[str, int]] = []
    numbers: list[float] = []
    if isinstance(node, dict):
        _collect(node["args"], tensors, numbers)
        _collect([value for key, value in node["kwargs"].items() if key not in ("mask", "training")], tensors, numbers)
        return tensors, tuple(numbers)
    for entry in [node] if isinstance(node[0], str) else node:
        tensors.append((entry[0], entry[1]))
        extra = entry[3] if len(entry) > 3 else {}
        numbers += [value for key, value in extra.items() if key == "y" and isinstance(value, int | float)]
        if any(isinstance(value, list) for value in extra.values()):
            raise WeightsError(f"a layer takes '{entry[0]}' and others by name; give them as a list")
    return tensors, tuple(numbers)


def _collect(value: Any, tensors: list[tuple[str, int]], numbers: list[float]) -> None:
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        name, index, _ = value["config"]["keras_history"]
        tensors.append((name, index))
    elif isinstance(value, list | tuple):
        for one in value:
            _collect(one, tensors, numbers)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        numbers.append(value)


def _add(
    walk: _Walk, layer: Mapping[str, Any], place: Place, inputs: tuple[str, ...], numbers: tuple[float, ...], at: int
) -> str:
    """Note one call; a nested model is unfolded in its place."""
    if layer["class_name"] in MODELS:
        if at or len(inputs) != 1:
            raise WeightsError(f"model '{place.names[-1]}' is called more than once, or on several inputs")
        return _model(walk, layer, place, inputs[0])
    if len(walk.calls) > MAX_LAYERS:
        raise WeightsError(f"has more than {MAX_LAYERS} layers")
    output = "/".join((*place.names, str(at)) if at else place.names)
    walk.calls.append(Call(layer, place, output, inputs, numbers))
    return output


@dataclass(frozen=True)
class Part:
    """One of our layers, of the one or two that a layer of Keras becomes."""

    op: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """What a translation may ask for."""

    call: Call
    weights: Mapping[str, Array]
    major: int

    def setting(self, name: str, default: Any = None) -> Any:
        """A setting of the layer; its default where the file leaves it out."""
        found = self.call.config.get(name)
        return default if found is None else found

    def pair(self, name: str, default: Any = (1, 1)) -> tuple[int, int]:
        """A setting of one or two whole numbers."""
        found = self.setting(name, default)
        first, second = found if isinstance(found, list | tuple) else (found, found)
        return whole(first), whole(second)

    def weight(self, name: str) -> Array:
        """One of the layer's weights.

        Raises:
            WeightsError: the file has none.
        """
        if name not in self.weights:
            raise WeightsError(f"expected the weight {name}, found none; save the whole network with model.save")
        return self.weights[name]


def whole(value: Any) -> int:
    """A whole number of at least 0. Raises ValueError."""
    if type(value) is not int or not 0 <= value <= 1 << 20:
        raise ValueError(f"expected a whole number, found {value!r}")
    return value


def relu(given: Given) -> list[Part]:
    """ReLU by its largest value and slope. Raises WeightsError for a threshold, and for both together."""
    if given.setting("threshold", 0.0):
        raise WeightsError("has a threshold, which is not supported")
    slope, most = float(given.setting("negative_slope", 0.0)), given.setting("max_value")
    if most is None:
        return [_act("leaky_relu", slope) if slope else _act("relu")]
    if slope:
        raise WeightsError("has both a slope and a largest value, which is not supported")
    return [_act("relu6") if most == 6 else _act("clipped_relu", float(most))]


def leaky_relu(given: Given) -> list[Part]:
    """LeakyReLU: `negative_slope` in Keras 3, `alpha` in Keras 2."""
    return [_act("leaky_relu", float(given.setting("negative_slope", given.setting("alpha", 0.3))))]


def elu(given: Given) -> list[Part]:
    """ELU by its alpha."""
    return [_act("elu", float(given.setting("alpha", 1.0)))]


def _act(name: str, alpha: float | None = None) -> Part:
    if alpha is not None and not math.isfinite(alpha):
        raise WeightsError(f"expected a number, found {alpha}")
    return Part("activation", {"name": name, **({} if alpha is None else {"alpha": alpha})})


def activation(given: Given) -> list[Part]:
    """The activation that a layer names."""
    name = activation_name(given.call)
    if name == "linear":
        return []
    if name == "leaky_relu":
        return [_act("leaky_relu", 0.2)]
    if name == "hard_sigmoid" and given.major < 3:
        return [_act("hard_sigmoid_keras2")]
    if name not in FUNCTIONS:
        raise WeightsError(f"the activation {name!r:.60} is not supported; known are {', '.join(sorted(FUNCTIONS))}")
    return [_act(FUNCTIONS[name])]


def activation_name(call: Call) -> str:
    """The name of a layer's activation; "linear" where it has none."""
    if call.kind == "Softmax":
        return "softmax"
    stated = call.config.get("activation") or "linear"
    if isinstance(stated, dict):
        inner = stated.get("config")
        stated = inner if isinstance(inner, str) else snake(str(stated.get("class_name")))
    return str(stated)


def snake(name: str) -> str:
    """ReLU → relu, LeakyReLU → leaky_relu."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name.replace("ReLU", "Relu")).lower()


FUNCTIONS = {
    **{name: name for name in ("relu", "relu6", "elu", "selu", "gelu", "silu", "mish", "sigmoid", "hard_sigmoid")},
    **{name: name for name in ("tanh", "softplus", "softsign", "exponential", "hard_silu")},
    "swish": "silu",
    "hard_swish": "hard_silu",
}
"""Keras's name of an activation → ours."""
