"""Keras's activations in ours."""

from __future__ import annotations

import math
import re

from lucency.errors import WeightsError
from lucency.importing.keras_graph import Call
from lucency.importing.layer_parts import Given, Part


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
