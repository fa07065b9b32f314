"""Whether an imported network is one of ours: the same convolutions in the same order, and the same answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lucency.models import BACKBONES, Classifier, build
from lucency.models.heads import HIDDEN
from lucency.models.imported import Layer
from lucency.models.layers import Unit
from lucency.recipe import ModelSettings

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
