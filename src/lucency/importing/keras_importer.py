"""From a Keras file to a run: read, translate, assemble, choose the input, write.

A classifier is assembled from translated layers: where the map is, what the outputs mean, what the pixels become. Where
the network is one of our backbones, the same convolutions in the same order and the same answers, it becomes that one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lucency.bundle import Model
from lucency.bundle.card import IMPORTED
from lucency.errors import BundleError, UsageError, WeightsError
from lucency.importing.imported import (
    BYTES,
    RANGES,
    Imported,
    ImportOptions,
    Logits,
    Outputs,
    card_of,
    choose_input,
    read_outputs,
)
from lucency.importing.keras_file import read_keras
from lucency.importing.keras_graph import flatten
from lucency.importing.keras_layers import Translated, translate
from lucency.models import BACKBONES, Classifier, build
from lucency.models.classifier import HIDDEN
from lucency.models.imported import ARCHITECTURE, FILM, Architecture, Graph, Layer, build_imported
from lucency.models.layers import Unit
from lucency.models.run import WEIGHTS, save_run
from lucency.preprocess import Preprocess
from lucency.recipe import ModelSettings

BATCH = 16


def import_keras(path: Path, content: bytes, out: Path, options: ImportOptions) -> Imported:
    """Write a whole Keras model, the content of an `.h5` or `.keras`, as a run; errors as `import_model`."""
    try:
        network, says = _read(content, options)
    except WeightsError as error:
        raise error.prefixed(str(path)) from None
    outputs, side, own = network.outputs, network.architecture.side, BYTES if network.rescales else None
    chosen = choose_input(path, options, outputs.labels, _logits(network.classifier), side, own)
    with_range(network.classifier, *RANGES[chosen.pixel_range])
    model, classifier, files, is_ours = _as_ours(network)
    square = Preprocess(side, chosen.resize_mode)
    card = card_of(path, content, outputs, model, square, chosen.pixel_range, {"torch": version("torch")})
    says = (*says, outputs.says, chosen.says, is_ours)
    return Imported(out, save_run(out, classifier, card, files, options.replace), says, chosen.tried)


def _read(content: bytes, options: ImportOptions) -> tuple[Assembled, tuple[str, ...]]:
    file = read_keras(content)
    flat = flatten(file.config)
    shape = _shape(flat.shape, options.image_size)
    network = assemble(translate(flat, file), shape, options.classes, options.flip)
    return network, (f"Keras {file.major}, {len(flat.calls)} layers",)


def _shape(stated: Sequence[int | None], image_size: int | None) -> tuple[int, int, int]:
    height, width, channels = stated
    if channels is None:
        raise WeightsError("the number of channels is not stated; build the network before saving it")
    if image_size is not None and any(side not in (None, image_size) for side in (height, width)):
        raise UsageError(f"--image-size {image_size}: the network takes {height} × {width}")
    if image_size is None and (height is None or width is None):
        raise UsageError("the network takes films of any size; say which it learned from with --image-size")
    return height or image_size or 0, width or image_size or 0, channels


def _as_ours(network: Assembled) -> tuple[Model, Classifier, dict[str, bytes], str]:
    """The model table of the card, the classifier, further files, and in words whether it is one of ours."""
    architecture = network.architecture
    ours = onto_backbone(network.classifier, architecture.features, architecture.head, architecture.side)
    if ours is None:
        model = Model(format="torch", file=WEIGHTS, backbone=IMPORTED, head=IMPORTED, architecture=ARCHITECTURE)
        said = f"a network of its own, {len(architecture.features)} layers before the head"
        return model, network.classifier, {ARCHITECTURE: architecture.model_dump_json(indent=1).encode()}, said
    settings, classifier = ours
    shape = settings.model_dump(include={"backbone", "width", "head"})
    model = Model.model_validate({"format": "torch", "file": WEIGHTS, **shape})
    return model, classifier, {}, f"{settings.backbone} × {settings.width:g}, head {settings.head}: one of ours"


def _logits(classifier: Classifier) -> Logits:
    """The network's answers to films in a range; it is left as it was, with its own rescaling."""
    own = classifier.scale.clone(), classifier.shift.clone()

    def logits(pixel_range: str, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        with_range(classifier, *RANGES[pixel_range])
        try:
            with torch.inference_mode():
                films = torch.split(torch.from_numpy(squares[:, None].astype(np.float32)), BATCH)
                return torch.cat([classifier(some) for some in films]).numpy()
        finally:
            with torch.no_grad():
                classifier.scale.copy_(own[0])
                classifier.shift.copy_(own[1])

    return logits


WIDTHS = (1.0, 0.75, 0.5, 0.35, 0.25, 1.3, 1.4)
"""That Keras offers."""
TOLERANCE = 1e-4
"""Largest difference of logits, as a share of the largest activation, that rounding explains."""


def onto_backbone(network: Classifier, layers: Sequence[Layer], head: Sequence[Layer], side: int) -> (
    tuple[ModelSettings, Classifier] | None
):  # fmt: skip
    """The network as one of ours, or None where it is none.

    Args:
        network: as it was imported.
        layers: of its features.
        head: its layers after the last map.
        side: of its input; both networks answer to noise of this size.
    """
    name = _head(network, head)
    state = network.state_dict()
    convolutions = [layer.name for layer in layers if layer.op == "conv"]
    for backbone in BACKBONES if name else ():
        if len(_units(BACKBONES[backbone].build, 1.0)) != len(convolutions):
            continue
        for width in WIDTHS:
            units = _units(BACKBONES[backbone].build, width)
            kernels = [state[f"features.{conv}.weight"].shape for conv in convolutions]
            if [unit.conv.weight.shape for unit in units.values()] == kernels:
                settings = ModelSettings(backbone=backbone, width=width, head=name, dropout=_dropout(head))  # type: ignore[arg-type]
                twin = _twin(settings, network, layers, units)
                if twin is not None and _agree(network, twin, side):
                    return settings, twin
    return None


def _head(network: Classifier, head: Sequence[Layer]) -> str | None:
    ops = [
        (layer.op, layer.settings.get("how") or layer.settings.get("name")) for layer in head if layer.op != "dropout"
    ]
    hidden = [layer.settings.get("units") for layer in head if layer.op == "dense"]
    if ops == [("global_pool", "mean")]:
        return "linear"
    dense = [("global_pool", "mean"), ("dense", None), ("activation", "relu")]
    return "dense128" if ops == dense and hidden == [HIDDEN] else None


def _dropout(head: Sequence[Layer]) -> float:
    rates = [layer.settings["rate"] for layer in head if layer.op == "dropout"]
    return float(rates[-1] or 0.0) if rates else 0.0  # type: ignore[arg-type]


def _units(make, width: float) -> dict[str, Unit]:  # type: ignore[no-untyped-def]
    with torch.device("meta"):
        features: nn.Module = make(width)
    return {name: part for name, part in features.named_modules() if isinstance(part, Unit)}


def _twin(
    settings: ModelSettings, network: Classifier, layers: Sequence[Layer], units: Mapping[str, Unit]
) -> Classifier | None:
    """Our network with the imported weights; None where a convolution has no norm after it."""
    theirs = network.state_dict()
    twin = build(settings, findings=network.head.last.out_features)
    state = twin.state_dict()
    norms = {layer.inputs[0]: layer for layer in layers if layer.op == "batch_norm"}
    convolutions = [layer.name for layer in layers if layer.op == "conv"]
    for (unit, ours), conv in zip(units.items(), convolutions, strict=True):
        if conv not in norms or f"features.{conv}.bias" in theirs:
            return None
        norm = norms[conv]
        state[f"features.{unit}.conv.weight"] = theirs[f"features.{conv}.weight"]
        for key in ("weight", "bias", "running_mean", "running_var"):
            state[f"features.{unit}.norm.{key}"] = theirs[f"features.{norm.name}.{key}"]
        state[f"features.{unit}.norm.running_var"] = (
            theirs[f"features.{norm.name}.running_var"] + float(norm.settings["eps"] or 0.0) - ours.norm.eps  # type: ignore[arg-type]
        )
    state |= {name: theirs[name] for name in ("scale", "shift", "head.last.weight", "head.last.bias")}
    hidden = [name for name in theirs if name.startswith("head.graph.")]
    state |= {f"head.hidden.{name.rpartition('.')[2]}": theirs[name] for name in hidden}
    twin.load_state_dict(state)
    return twin.eval()


def _agree(one: Classifier, other: Classifier, side: int) -> bool:
    films: Tensor = torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(0)) * 255
    with torch.inference_mode():
        seen, again = one.activations(films), other.activations(films)
        logits, repeated = one(films), other(films)
    return seen.shape == again.shape and all(
        bool((a - b).abs().max() <= TOLERANCE * max(1.0, float(a.abs().max())))
        for a, b in ((seen, again), (logits, repeated))
    )


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
