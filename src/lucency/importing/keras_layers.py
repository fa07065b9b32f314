"""Keras's layers in ours: an allow-list. What a layer computes comes from its settings, never from code in a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lucency.errors import WeightsError
from lucency.importing.keras_file import Array, KerasFile
from lucency.importing.keras_graph import (
    Call,
    Flat,
    Given,
    Part,
    activation,
    activation_name,
    elu,
    leaky_relu,
    relu,
    whole,
)
from lucency.models.imported import FILM, Layer

CODE = ("Lambda", "TFOpLambda", "SlicingOpLambda")
BINARY = ("sigmoid", "softmax")
"""Activations that turn logits to probabilities; only the last layer has them here."""


@dataclass(frozen=True)
class Translated:
    """A whole network in our layers, up to its last activation."""

    layers: tuple[Layer, ...]
    weights: dict[str, Tensor]
    """By layer and name: conv1.weight."""
    last: str | None
    """The activation that gave probabilities: sigmoid, softmax, or None where the network gives logits."""


def translate(flat: Flat, file: KerasFile) -> Translated:
    """Every layer in our terms.

    Raises:
        WeightsError: a layer that is not on the list, a setting that is not supported, or missing weights.
    """
    layers: list[Layer] = []
    weights: dict[str, Tensor] = {}
    outputs = {FILM: FILM}
    calls, last = _without_last_activation(flat.calls)
    for call in calls:
        inputs = tuple(outputs[name] for name in call.inputs)
        for index, part in enumerate(_parts(call, file)):
            name = _name(call.output + (f"_{index}" if index else ""), weights, layers)
            layers.append(Layer(name=name, op=part.op, inputs=inputs, settings=dict(part.settings)))
            weights |= {f"{name}.{key}": torch.from_numpy(np.array(value)) for key, value in part.weights.items()}
            inputs = (name,)
        outputs[call.output] = inputs[0] if inputs else FILM
    return Translated(tuple(layers), weights, last)


def _parts(call: Call, file: KerasFile) -> list[Part]:
    """Our layers for one of Keras's, its activation included."""
    _refuse_foreign(call)
    convert = LAYERS[call.kind]
    try:
        given = Given(call, file.weights(call.place, _kinds(call)) if _kinds(call) else {}, file.major)
        if given.setting("data_format", "channels_last") != "channels_last":
            raise WeightsError("has channels first; expected channels_last")
        parts = convert(given)
        if call.kind not in ("Activation", *STATELESS):
            parts = [*parts, *activation(given)]
        return parts
    except WeightsError as error:
        raise error.prefixed(f"layer '{call.name}' ({call.kind})") from None
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        raise WeightsError(
            f"layer '{call.name}' ({call.kind}): a setting is not as Keras writes it ({str(error)[:80]})"
        ) from error


def _refuse_foreign(call: Call) -> None:
    """Raises WeightsError where the layer is not Keras's own, or not on the list."""
    module, registered = call.layer.get("module"), call.layer.get("registered_name")
    ours = call.kind in LAYERS and (module is None or re.match(r"keras(\.|$)", str(module)))
    if call.kind in CODE and not _is_arithmetic(call):
        raise WeightsError(
            f"layer '{call.name}' ({call.kind}) is code, and code from a file is never run; replace it by a layer, "
            "such as Rescaling, and save the network again"
        )
    if call.kind not in CODE and (not ours or (registered not in (None, call.kind))):
        known = ", ".join(sorted(LAYERS))
        raise WeightsError(f"layer '{call.name}' ({call.kind:.60}) is not supported; known are {known}")


def _name(wanted: str, weights: Mapping[str, Any], layers: Sequence[Layer]) -> str:
    """A name that a module may have and no other layer has."""
    taken = {layer.name for layer in layers} | {FILM}
    name = re.sub(r"[^A-Za-z0-9_-]", "_", wanted)[:180] or "layer"
    while name in taken or hasattr(nn.Module(), name) or name in ("layers", "shapes", "shape", "channels", "gradient"):
        name += "_"
    return name


def _kinds(call: Call) -> tuple[str, ...]:
    """The weights that a layer has, in the order in which Keras keeps them."""
    config = call.config
    bias = ("bias",) if config.get("use_bias", True) else ()
    if call.kind == "BatchNormalization":
        scale, center = config.get("scale", True), config.get("center", True)
        return (*(("gamma",) if scale else ()), *(("beta",) if center else ()), "moving_mean", "moving_variance")
    if call.kind == "Normalization":
        return ("mean", "variance") if config.get("mean") is None else ()
    return (*WEIGHTS[call.kind], *bias) if call.kind in WEIGHTS else ()


WEIGHTS = {
    "Conv2D": ("kernel",),
    "DepthwiseConv2D": ("kernel",),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel"),
    "Dense": ("kernel",),
}
"""Class → its weights, but for the bias."""


def _conv2d(given: Given) -> list[Part]:
    kernel = given.weight("kernel")
    filters = whole(given.setting("filters"))
    return [_conv(given, kernel.transpose(3, 2, 0, 1), filters, whole(given.setting("groups", 1)), given.weights)]


def _depthwise(given: Given) -> list[Part]:
    kernel = _by_channel(given.weight("kernel"))
    multiplier = whole(given.setting("depth_multiplier", 1))
    return [_conv(given, kernel, len(kernel), len(kernel) // multiplier, given.weights)]


def _separable(given: Given) -> list[Part]:
    depthwise = _by_channel(given.weight("depthwise_kernel"))
    pointwise = given.weight("pointwise_kernel").transpose(3, 2, 0, 1)
    groups = len(depthwise) // whole(given.setting("depth_multiplier", 1))
    second = {"kernel": (1, 1), "strides": (1, 1), "dilation": (1, 1), "padding": "valid", "groups": 1}
    wide = {**second, "filters": whole(given.setting("filters")), "bias": "bias" in given.weights}
    return [
        _conv(given, depthwise, len(depthwise), groups, {}),
        Part("conv", wide, _weighted(pointwise, given.weights)),
    ]


def _by_channel(kernel: Array) -> Array:
    """(h, w, channels, multiplier) → (channels · multiplier, 1, h, w)."""
    height, width, channels, multiplier = kernel.shape
    return kernel.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)


def _conv(given: Given, kernel: Array, filters: int, groups: int, weights: Mapping[str, Array]) -> Part:
    settings = {
        "filters": filters,
        "kernel": given.pair("kernel_size", None),
        "strides": given.pair("strides"),
        "dilation": given.pair("dilation_rate"),
        "padding": _padding(given),
        "groups": groups,
        "bias": "bias" in weights,
    }
    return Part("conv", settings, _weighted(kernel, weights))


def _weighted(kernel: Array, weights: Mapping[str, Array]) -> dict[str, Array]:
    return {"weight": kernel, **({"bias": weights["bias"]} if "bias" in weights else {})}


def _padding(given: Given) -> str:
    padding = given.setting("padding", "valid")
    if padding not in ("valid", "same"):
        raise WeightsError(f"expected padding valid or same, found {padding!r}")
    return str(padding)


def _dense(given: Given) -> list[Part]:
    kernel = given.weight("kernel")
    settings = {"units": whole(given.setting("units")), "bias": "bias" in given.weights}
    return [Part("dense", settings, _weighted(kernel.T, given.weights))]


def _batch_norm(given: Given) -> list[Part]:
    axis = given.setting("axis", -1)
    if (axis[0] if isinstance(axis, list) else axis) not in (-1, 1, 3):
        raise WeightsError(f"expected the norm of each channel, axis -1, found {axis}")
    mean, variance = given.weight("moving_mean"), given.weight("moving_variance")
    weights = {
        "weight": given.weights.get("gamma", np.ones_like(mean)),
        "bias": given.weights.get("beta", np.zeros_like(mean)),
        "running_mean": mean,
        "running_var": variance,
        "num_batches_tracked": np.array(0),
    }
    return [Part("batch_norm", {"eps": float(given.setting("epsilon", 1e-3))}, weights)]


def _rescaling(given: Given) -> list[Part]:
    return [_affine(np.asarray(given.setting("scale"), np.float32), np.asarray(given.setting("offset", 0), np.float32))]


def _normalization(given: Given) -> list[Part]:
    axis = given.setting("axis", -1)
    if (axis[0] if isinstance(axis, list) and axis else axis) not in (-1, 3, []):
        raise WeightsError(f"expected one mean for each channel, axis -1, found {axis}")
    stated = given.call.config.get("mean") is not None
    mean, variance = (
        np.asarray(given.setting(name), np.float32) if stated else given.weight(name) for name in ("mean", "variance")
    )
    deviation: Array = np.maximum(np.sqrt(variance), np.float32(1e-7))
    if given.setting("invert", False):
        return [_affine(deviation, mean)]
    return [_affine(np.float32(1) / deviation, -mean / deviation)]


def _affine(scale: Array, offset: Array) -> Part:
    """One number, or one a channel; made as many as there are channels once these are known."""
    scale, offset = np.broadcast_arrays(np.squeeze(scale), np.squeeze(offset))
    if scale.ndim > 1:
        raise WeightsError(f"expected one number for each channel, found the shape {scale.shape}")
    return Part("affine", {}, {"scale": scale.reshape(-1), "offset": offset.reshape(-1)})


def _pool(how: str) -> Callable[[Given], list[Part]]:
    def convert(given: Given) -> list[Part]:
        size = given.pair("pool_size", (2, 2))
        settings = {"how": how, "size": size, "strides": given.pair("strides", size), "padding": _padding(given)}
        return [Part("pool", settings)]

    return convert


def _global(how: str) -> Callable[[Given], list[Part]]:
    return lambda given: [Part("global_pool", {"how": how, "keep": bool(given.setting("keepdims", False))})]


def _merge(how: str) -> Callable[[Given], list[Part]]:
    def convert(given: Given) -> list[Part]:
        if how == "concat" and given.setting("axis", -1) not in (-1, 3):
            raise WeightsError(f"expected channels after each other, axis -1, found {given.setting('axis')}")
        if given.call.numbers:
            return _arithmetic(given)
        return [Part("merge", {"how": how})]

    return convert


ARITHMETIC: dict[str, Callable[[float], tuple[float, float]]] = {
    "add": lambda y: (1.0, y),
    "subtract": lambda y: (1.0, -y),
    "multiply": lambda y: (y, 0.0),
    "truediv": lambda y: (1.0 / y, 0.0),
    "true_divide": lambda y: (1.0 / y, 0.0),
    "divide": lambda y: (1.0 / y, 0.0),
}
"""x ∘ y with a number y → scale, offset."""


def _is_arithmetic(call: Call) -> bool:
    """Whether an operator of Keras 2 does no more than reckon with one number: x / 127.5 - 1."""
    function = str(call.config.get("function", "")).rpartition(".")[2]
    return call.kind == "TFOpLambda" and function in ARITHMETIC and len(call.numbers) == 1 and len(call.inputs) == 1


def _arithmetic(given: Given) -> list[Part]:
    name = str(given.call.config.get("function") or given.call.kind).rpartition(".")[2]
    key = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()
    if len(given.call.numbers) != 1 or len(given.call.inputs) != 1:
        raise WeightsError("expected one number beside the tensor")
    scale, offset = ARITHMETIC[key](float(given.call.numbers[0]))
    return [_affine(np.float32(scale), np.float32(offset))]  # type: ignore[arg-type]


def _zero_padding(given: Given) -> list[Part]:
    padding = given.setting("padding", 1)
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    (top, bottom), (left, right) = ((side, side) if isinstance(side, int) else side for side in (rows, columns))
    return [Part("pad", {"margins": tuple(map(whole, (left, right, top, bottom)))})]


def _flatten(_given: Given) -> list[Part]:
    return [Part("reshape", {"target": (-1,)})]


def _reshape(given: Given) -> list[Part]:
    return [Part("reshape", {"target": tuple(int(side) for side in given.setting("target_shape"))})]


def _dropout(given: Given) -> list[Part]:
    return [Part("dropout", {"rate": float(given.setting("rate", 0.0))})]


def _identity(_given: Given) -> list[Part]:
    return []


STATELESS = ("ReLU", "LeakyReLU", "ELU", "Softmax")
ONLY_TRAINING = (
    *("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness"),
    *("GaussianNoise", "GaussianDropout", "AlphaDropout", "SpatialDropout2D", "ActivityRegularization", "InputLayer"),
)
"""Layers that do nothing when a film is read."""

LAYERS: dict[str, Callable[[Given], list[Part]]] = {
    "Conv2D": _conv2d,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "Dense": _dense,
    "BatchNormalization": _batch_norm,
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "MaxPooling2D": _pool("max"),
    "AveragePooling2D": _pool("mean"),
    "GlobalAveragePooling2D": _global("mean"),
    "GlobalMaxPooling2D": _global("max"),
    "ZeroPadding2D": _zero_padding,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Dropout": _dropout,
    "Activation": activation,
    "ReLU": relu,
    "LeakyReLU": leaky_relu,
    "ELU": elu,
    "Softmax": activation,
    "Add": _merge("add"),
    "Subtract": _merge("subtract"),
    "Multiply": _merge("multiply"),
    "Average": _merge("mean"),
    "Maximum": _merge("maximum"),
    "Minimum": _merge("minimum"),
    "Concatenate": _merge("concat"),
    "TrueDivide": _arithmetic,
    "Divide": _arithmetic,
    "TFOpLambda": _arithmetic,
    **dict.fromkeys(ONLY_TRAINING, _identity),
}
"""Class in Keras → what it becomes here."""


def _without_last_activation(calls: Sequence[Call]) -> tuple[list[Call], str | None]:
    """The calls without the sigmoid or softmax at the end, and its name."""
    last = calls[-1] if calls else None
    if last is None:
        raise WeightsError("the network has no layers")
    name = activation_name(last)
    if name not in BINARY:
        return list(calls), None
    if last.kind == "Softmax" and last.config.get("axis", -1) not in (-1, 1):
        raise WeightsError(f"layer '{last.name}' (Softmax): expected the axis -1, found {last.config['axis']}")
    layer = {**last.layer, "config": {**last.config, "activation": "linear"}}
    if last.kind == "Softmax":
        layer["class_name"] = "Activation"
    plain = Call(layer, last.place, last.output, last.inputs, last.numbers)
    return [*calls[:-1], plain], name
