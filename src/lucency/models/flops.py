"""Layers, parameters and multiply-adds of a network, counted from shapes.

Conventions, those of the MobileNet papers: one multiply-add (MAdd) is one product and its sum; norms, activations,
additions and pools are not counted, and a bias costs none. `weights` are kernels only, and shares by type are shares of
these. `trainable` adds the norms' scale and shift and all biases. `parameters` adds the norms' running mean and
variance too: it is the total that Keras prints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lucency.models import BACKBONES, channels, published
from lucency.models import backbone as row_of
from lucency.models.classifier import HEADS

Kind = Literal["convolution", "depthwise", "pointwise", "dense"]
KINDS: tuple[Kind, ...] = ("convolution", "depthwise", "pointwise", "dense")

Top = Literal["imagenet", "none", "linear", "dense128"]
"""The layer on the pooled features: the published 1000-class dense layer, none, or one of our heads."""


@dataclass(frozen=True)
class Layer:
    """One convolution or dense layer, with the norm that follows it."""

    name: str
    kind: Kind
    kernel: int
    stride: int
    inputs: int
    outputs: int
    height: int
    width: int
    weights: int
    others: int
    """Trainable parameters other than weights: bias, and the norm's scale and shift."""
    moments: int
    """Running means and variances of the norm."""

    @property
    def madds(self) -> int:
        """Each weight is used once for every place of the output."""
        return self.weights * self.height * self.width


@dataclass(frozen=True)
class Factored:
    """A depthwise layer and the pointwise one after it, against the full convolution between the same two shapes.

        (k² · inputs + inputs · outputs) / (k² · inputs · outputs) = 1 / outputs + 1 / k²        Howard et al. 2017, 3.1

    The output's size cancels out, so weights and multiply-adds shrink by the same factor.
    """

    name: str
    kernel: int
    inputs: int
    outputs: int
    places: int
    weights: int

    @property
    def full_weights(self) -> int:
        """Weights of the full convolution."""
        return self.kernel**2 * self.inputs * self.outputs

    @property
    def madds(self) -> int:
        """Multiply-adds of the pair."""
        return self.weights * self.places

    @property
    def full_madds(self) -> int:
        """Multiply-adds of the full convolution."""
        return self.full_weights * self.places


@dataclass(frozen=True)
class Flops:
    """A network's layers, and their sums."""

    layers: tuple[Layer, ...]

    def weights(self, kind: Kind | None = None) -> int:
        """Kernel weights, of all layers or of one kind."""
        return sum(layer.weights for layer in self.layers if kind in (None, layer.kind))

    def madds(self, kind: Kind | None = None) -> int:
        """Multiply-adds for one film, of all layers or of one kind."""
        return sum(layer.madds for layer in self.layers if kind in (None, layer.kind))

    @property
    def trainable(self) -> int:
        """Weights, biases, and the norms' scales and shifts."""
        return sum(layer.weights + layer.others for layer in self.layers)

    @property
    def parameters(self) -> int:
        """All parameters, including the norms' moments: the total that Keras prints."""
        return self.trainable + sum(layer.moments for layer in self.layers)

    def factored(self) -> tuple[Factored, ...]:
        """Each depthwise layer with the pointwise layer that follows it."""
        pairs = zip(self.layers, self.layers[1:], strict=False)
        return tuple(
            Factored(
                name=first.name.rpartition(".")[0] or first.name,
                kernel=first.kernel,
                inputs=first.inputs,
                outputs=second.outputs,
                places=first.height * first.width,
                weights=first.weights + second.weights,
            )
            for first, second in pairs
            if (first.kind, second.kind) == ("depthwise", "pointwise")
        )


@cache
def count_flops(
    backbone: str, width: float = 1.0, side: int | None = None, top: Top = "imagenet", findings: int = 1
) -> Flops:
    """Count a backbone with a layer on top, on the meta device.

    Args:
        backbone: a name in BACKBONES, or timm:NAME.
        width: the width multiplier.
        side: pixels along the film; by default the backbone's own.
        top: the layer on the pooled features.
        findings: logits of a linear or dense128 head.

    Raises:
        UsageError: unknown backbone.
    """
    row = row_of(backbone)
    with torch.device("meta"):
        features = row.build(width)
        parts = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *_top(channels(features), top, findings))
        return measure(parts.eval(), torch.empty(1, 3, side or row.side, side or row.side))


def measure(network: nn.Module, film: Tensor) -> Flops:
    """Count any network of convolutions, norms and dense layers by a forward pass, which may be on `meta`."""
    found: list[Layer] = []
    with torch.no_grad(), _hooks(network, found):
        network(film)
    return Flops(tuple(found))


def _top(inputs: int, top: Top, findings: int) -> list[nn.Module]:
    if top == "none":
        return []
    return [nn.Linear(inputs, 1000)] if top == "imagenet" else [HEADS[top](inputs, findings)]


@contextmanager
def _hooks(network: nn.Module, found: list[Layer]) -> Iterator[None]:
    handles = [part.register_forward_hook(_counter(name, found)) for name, part in network.named_modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _counter(name: str, found: list[Layer]) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            found.append(_convolution(name, module, output))
        elif isinstance(module, nn.Linear):
            bias = 0 if module.bias is None else module.out_features
            size = module.in_features * module.out_features
            found.append(Layer(name, "dense", 1, 1, module.in_features, module.out_features, 1, 1, size, bias, 0))
        elif isinstance(module, nn.BatchNorm2d) and found:
            found[-1] = _with_norm(found[-1], module.num_features)

    return note


def _convolution(name: str, module: nn.Conv2d, output: Tensor) -> Layer:
    kernel = module.kernel_size[0]
    depthwise = module.groups > 1 and module.groups == module.in_channels
    kind: Kind = "depthwise" if depthwise else "pointwise" if kernel == 1 else "convolution"
    height, width = output.shape[-2:]
    bias = 0 if module.bias is None else module.out_channels
    size = module.weight.numel()
    return Layer(
        # Our units call their convolution conv; the unit's name is more telling.
        name=name.removesuffix(".conv").removeprefix("0."),
        kind=kind,
        kernel=kernel,
        stride=module.stride[0],
        inputs=module.in_channels,
        outputs=module.out_channels,
        height=height,
        width=width,
        weights=size,
        others=bias,
        moments=0,
    )


def _with_norm(layer: Layer, channels: int) -> Layer:
    return replace(layer, others=layer.others + 2 * channels, moments=layer.moments + 2 * channels)


CONVENTIONS = (
    "multiply-adds: one product and its sum; norms, activations, additions and pools are not counted. "
    "parameters: with the norms' running means and variances, as Keras prints; trainable: without. "
    "Shares by type: of kernel weights."
)


def overview(top: Top = "imagenet") -> list[dict[str, Any]]:
    """One dict per row of BACKBONES, at its own side and width 1."""
    return [_row(name, 1.0, backbone.side, top) for name, backbone in BACKBONES.items()]


def detail(name: str, width: float = 1.0, side: int | None = None, top: Top = "imagenet") -> dict[str, Any]:
    """One backbone: totals, shares by type, every layer, and published figures with our exact counts.

    Raises:
        UsageError: unknown backbone.
    """
    side = side or row_of(name).side
    counted = count_flops(name, width, side, top)
    return {
        **_row(name, width, side, top, counted),
        "each_layer": [{**asdict(layer), "madds": layer.madds} for layer in counted.layers],
        "published": [_with_exact(row) for row in published.of(name)],
        "errata": [asdict(erratum) for erratum in published.ERRATA],
        "conventions": CONVENTIONS,
    }


def factoring(name: str, width: float = 1.0, side: int | None = None) -> dict[str, Any]:
    """Savings of depthwise + pointwise against full convolutions, layer by layer, and a comparison with other networks.

    Raises:
        UsageError: unknown backbone.
    """
    side = side or row_of(name).side
    counted = count_flops(name, width, side)
    pairs = counted.factored()
    return {
        "name": name,
        "width": width,
        "side": side,
        "each_pair": [
            {
                **asdict(pair),
                "madds": pair.madds,
                "full_weights": pair.full_weights,
                "full_madds": pair.full_madds,
                "saving": pair.full_madds / pair.madds,
            }
            for pair in pairs
        ],
        "whole": {
            "weights": counted.weights(),
            "madds": counted.madds(),
            "full_weights": counted.weights() + sum(pair.full_weights - pair.weights for pair in pairs),
            "full_madds": counted.madds() + sum(pair.full_madds - pair.madds for pair in pairs),
        },
        "peers": [
            {
                **asdict(peer),
                "parameters_ratio": peer.parameters / counted.parameters,
                "madds_ratio": peer.madds_m * 1e6 / counted.madds(),
            }
            for peer in published.PEERS
        ],
        "conventions": CONVENTIONS,
    }


def _row(name: str, width: float, side: int, top: Top, counted: Flops | None = None) -> dict[str, Any]:
    counted = counted or count_flops(name, width, side, top)
    known = [row for row in published.of(name) if (row.width, row.side) == (width, side)]
    return {
        "name": name,
        "width": width,
        "side": side,
        "top": top,
        "layers": len(counted.layers),
        "parameters": counted.parameters,
        "trainable": counted.trainable,
        "weights": counted.weights(),
        "madds": counted.madds(),
        "by_type": {
            kind: {
                "layers": sum(layer.kind == kind for layer in counted.layers),
                "weights": counted.weights(kind),
                "madds": counted.madds(kind),
                "weights_share": counted.weights(kind) / counted.weights(),
                "madds_share": counted.madds(kind) / counted.madds(),
            }
            for kind in KINDS
        },
        "top1": known[0].top1 if known else None,
        "top5": known[0].top5 if known else None,
        "paper": row_of(name).paper,
    }


def _with_exact(row: published.Published) -> dict[str, Any]:
    counted = count_flops(row.backbone, row.width, row.side)
    return {**asdict(row), "exact_madds": counted.madds(), "exact_parameters": counted.parameters}
