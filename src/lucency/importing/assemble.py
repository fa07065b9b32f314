"""From translated layers to a classifier: where the map is, what the outputs mean, what the pixels become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lucency.errors import BundleError, WeightsError
from lucency.importing.keras_layers import Translated
from lucency.importing.outputs import Outputs, read_outputs
from lucency.models import Classifier
from lucency.models.imported import FILM, Architecture, Graph, Layer, build_imported

KNOWS_BYTES = 0.1
"""A network whose first layer makes numbers this many times smaller, or more, takes bytes of 0..255."""


@dataclass(frozen=True)
class Assembled:
    """A network ready to be written."""

    architecture: Architecture
    classifier: Classifier
    outputs: Outputs
    rescales: bool
    """Whether the network itself makes its range from bytes of 0..255."""


def assemble(network: Translated, shape: tuple[int, int, int], classes: Sequence[str], flip: bool) -> Assembled:
    """Cut the network at its last map, fold its outputs into logits and its first rescaling into the input's.

    Args:
        network: in our layers.
        shape: (height, width, channels) of the input.
        classes: names of the outputs, in their order; of one sigmoid unit (0, 1).
        flip: whether the finding is the first of two classes.

    Raises:
        WeightsError: layers that do not fit each other, no square gray or colour input, no map.
        UsageError: not as many classes as outputs.
    """
    height, width, channels = shape
    if height != width or channels not in (1, 3):
        raise WeightsError(f"expected a square of 1 or 3 channels, found {height} × {width} × {channels}")
    try:
        whole = Graph(network.layers, (channels, height, width))
        weights = _spread(network.weights, whole)
        layers, scale, shift = _without_rescaling(network.layers, weights, channels)
        at = _last_map(layers, whole)
        features, head = layers[: at + 1], _renamed(layers[at + 1 :], layers[at].name)
        head, last, bias = _last_dense(head, weights, whole)
        outputs = read_outputs(network.last, len(last), classes, flip)
        architecture = Architecture(
            channels=channels,  # type: ignore[arg-type]
            side=height,
            features=features,
            head=head,
            findings=len(outputs.fold),
        )
        fold = torch.from_numpy(outputs.fold)
        state = {f"features.{name}": value for name, value in weights.items() if _of(name, features)}
        state |= {f"head.graph.{name}": value for name, value in weights.items() if _of(name, head)}
        state |= {"head.last.weight": fold @ last, "head.last.bias": fold @ bias}
        state |= {"scale": scale, "shift": shift}
        classifier = build_imported(architecture, {name: value.contiguous() for name, value in state.items()})
    except BundleError as error:
        raise WeightsError(str(error)) from error
    return Assembled(architecture, classifier, outputs, bool(scale.abs().max() < KNOWS_BYTES))


def with_range(classifier: Classifier, mean: Sequence[float], std: Sequence[float]) -> None:
    """Let the network's input be (gray / 255 - mean) / std, which its own rescaling then follows; changed in place.

    Args:
        classifier: with nothing but its own rescaling so far.
        mean, std: three numbers, on a scale of 0..1.
    """
    channels = classifier.scale.shape[1]
    first, then = torch.tensor(std[:channels]), torch.tensor(mean[:channels])
    scale, shift = (1 / (255 * first)).reshape(1, -1, 1, 1), (-then / first).reshape(1, -1, 1, 1)
    with torch.no_grad():
        classifier.shift.copy_(classifier.scale * shift + classifier.shift)
        classifier.scale.copy_(classifier.scale * scale)


def _of(name: str, layers: Sequence[Layer]) -> bool:
    return name.rpartition(".")[0] in {layer.name for layer in layers}


def _spread(weights: Mapping[str, Tensor], whole: Graph) -> dict[str, Tensor]:
    """One number a channel where the file has one for all."""
    wanted = whole.state_dict()
    found = dict(weights)
    for name, value in weights.items():
        if name.endswith((".scale", ".offset")) and name in wanted and value.numel() in (1, wanted[name].shape[0]):
            found[name] = value.reshape(-1, *(1,) * (wanted[name].ndim - 1)).expand(wanted[name].shape)
    return found


def _without_rescaling(
    layers: tuple[Layer, ...], weights: Mapping[str, Tensor], channels: int
) -> tuple[tuple[Layer, ...], Tensor, Tensor]:
    """The layers after the affine ones that the network begins with, and these as one scale and shift."""
    scale, shift = torch.ones(1, channels, 1, 1), torch.zeros(1, channels, 1, 1)
    while len(layers) > 1 and layers[0].op == "affine" and sum(FILM in layer.inputs for layer in layers) == 1:
        first, offset = weights[f"{layers[0].name}.scale"], weights[f"{layers[0].name}.offset"]
        scale, shift = scale * first, shift * first + offset
        layers = _renamed(layers[1:], layers[0].name)
    return layers, scale, shift


def _renamed(layers: Sequence[Layer], name: str) -> tuple[Layer, ...]:
    """The layers with `name` among their inputs called FILM."""
    return tuple(
        layer.model_copy(update={"inputs": tuple(FILM if one == name else one for one in layer.inputs)})
        for layer in layers
    )


def _last_map(layers: Sequence[Layer], whole: Graph) -> int:
    """Index of the last layer whose output is a map and all that later layers read; of several cells if possible."""
    place = {FILM: -1} | {layer.name: index for index, layer in enumerate(layers)}
    earliest, found = len(layers), []
    for index in range(len(layers) - 1, -1, -1):
        if earliest >= index:
            shape = whole.shapes[layers[index].name]
            if len(shape) == 3:
                plain = all(_in_heads(layer, whole) for layer in layers[index + 1 :])
                found.append((plain and shape[1] * shape[2] > 1, index))
        earliest = min(earliest, *(place[name] for name in layers[index].inputs))
    if not found:
        raise WeightsError("the network has no map that its head alone reads; expected convolutions, then a head")
    return max(found)[1]


def _in_heads(layer: Layer, whole: Graph) -> bool:
    """Whether a layer is no convolution, or one of a single cell, which is a dense layer."""
    return layer.op not in ("conv", "pad") or all(whole.shapes[name][1:] == (1, 1) for name in layer.inputs)


def _last_dense(
    head: tuple[Layer, ...], weights: Mapping[str, Tensor], whole: Graph
) -> tuple[tuple[Layer, ...], Tensor, Tensor]:
    """The head without its last dense layer, and that layer's weight and bias; an identity where it ends otherwise."""
    if head and head[-1].op == "dense":
        weight = weights[f"{head[-1].name}.weight"]
        return head[:-1], weight, weights.get(f"{head[-1].name}.bias", torch.zeros(len(weight)))
    if len(whole.shape) != 1:
        raise WeightsError(f"ends in a map of shape {whole.shape}, not in classes; expected a classifier")
    units = whole.shape[0]
    return head, torch.eye(units), torch.zeros(units)
