"""Networks from elsewhere, built from a list of layers instead of a row of BACKBONES."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from lucency.errors import BundleError
from lucency.files import parse_json
from lucency.models.classifier import Classifier, Head
from lucency.models.graph_ops import OPS, Shape, pull_back

ARCHITECTURE = "architecture.json"
FILM = "film"
"""What the first layer takes."""
MAX_VALUES = 1 << 26
"""Of one layer's output for one film."""
MAX_WEIGHTS = 1 << 28

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,200}$")]


class Layer(BaseModel):
    """One layer: what it does, and to the outputs of which others."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Name
    op: Annotated[str, Field(max_length=20)]
    """A row of OPS."""
    inputs: Annotated[tuple[Name, ...], Field(min_length=1, max_length=256)]
    settings: dict[str, bool | int | float | str | tuple[int, ...] | None] = {}


class Architecture(BaseModel):
    """The layers of an imported network, in the order in which they run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    channels: Literal[1, 3]
    side: Annotated[int, Field(ge=1, le=4096)]
    features: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=4096)]
    """The last one's output is the activations A (k, h, w) of the map."""
    head: Annotated[tuple[Layer, ...], Field(max_length=256)]
    """From A to what the last, dense layer reads."""
    findings: Annotated[int, Field(ge=1, le=4096)]


class Graph(nn.Module):
    """Layers that take the outputs of others by name."""

    def __init__(self, layers: Sequence[Layer], shape: Shape) -> None:
        """Build the layers for inputs of `shape`, on the meta device: no memory is taken yet.

        Raises:
            BundleError: settings that make no layer, or shapes that do not fit each other.
        """
        super().__init__()
        self.layers = tuple((layer.name, layer.inputs) for layer in layers)
        self.shapes = shapes = {FILM: shape}
        self.shape = shape
        last = {name: index for index, (_, inputs) in enumerate(self.layers) for name in inputs}
        self._done = [[name for name, at in last.items() if at == index] for index in range(len(self.layers))]
        for layer in layers:
            try:
                taken = [shapes[name] for name in layer.inputs]
                with torch.device("meta"):
                    module = OPS[layer.op](*taken, **layer.settings).eval()
                    found = tuple(module(*(torch.empty(1, *one) for one in taken)).shape[1:])
                self.add_module(layer.name, module)
            except (TypeError, ValueError, LookupError, RuntimeError, ArithmeticError, AssertionError) as error:
                reason = str(error).strip().partition("\n")[0][:200]
                raise BundleError(f"layer '{layer.name}' cannot be built ({reason}); save the network again") from error
            if len(found) not in (1, 3) or not 0 < torch.Size(found).numel() <= MAX_VALUES:
                raise BundleError(f"layer '{layer.name}' gives values of shape {found}: too many, none, or no map")
            self.shape = shapes[layer.name] = found

    @property
    def channels(self) -> int:
        """Of the output."""
        return self.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """(n, …) → the last layer's output."""
        values, out = {FILM: x}, x
        for (name, inputs), done in zip(self.layers, self._done, strict=True):
            out = values[name] = self.get_submodule(name)(*(values[one] for one in inputs))
            for one in done:
                del values[one]
        return out

    def gradient(self, x: Tensor, gains: Tensor) -> Tensor:
        """Derivatives by the output, (n, f, …), to those by the input x."""
        values = {FILM: x}
        for name, inputs in self.layers:
            values[name] = self.get_submodule(name)(*(values[one] for one in inputs))
        by: dict[str, Tensor] = {self.layers[-1][0] if self.layers else FILM: gains}
        for name, inputs in reversed(self.layers):
            if name in by:
                given = pull_back(self.get_submodule(name), by[name], [values[one] for one in inputs], values[name])
                for one, gradient in zip(inputs, given, strict=True):
                    by[one] = by[one] + gradient if one in by else gradient
        return by[FILM]


class GraphHead(Head):
    """Whatever came after the last map, then dense.

        M_f(i, j) = h · w · sum_k G_fk(i, j) A_k(i, j),     G the derivative of logit f by A

    After a global pool this is Grad-CAM before its ReLU (Selvaraju et al. 2017); after Flatten, where each place has
    weights of its own, HiResCAM (Draelos & Carin 2020, arXiv:2011.08891). Its mean is the logit up to a constant.
    """

    def __init__(self, layers: Sequence[Layer], shape: Shape, findings: int) -> None:
        """`shape`: (k, h, w) of A. Raises BundleError as Graph does, and for layers whose derivative is not known."""
        super().__init__()
        self.graph = Graph(layers, shape)
        if len(self.graph.shape) != 1:
            raise BundleError(f"the network ends in a map {self.graph.shape}, not in classes; is it a classifier?")
        with torch.device("meta"):
            self.last = nn.Linear(self.graph.channels, findings)
        self.shape = shape
        entering = [layer for layer in layers if FILM in layer.inputs]
        self.averaged = all(one.op == "global_pool" and one.settings.get("how") == "mean" for one in entering)
        try:
            self.map(torch.empty(1, *shape, device="meta"))
        except ValueError as error:
            raise BundleError(f"{error}; end the network in pooling or Flatten, and Dense layers") from error

    def pool(self, activations: Tensor, weights: Tensor | None = None) -> Tensor:
        """A (n, k, h, w) → its means (n, k), or all of it (n, k · h · w) where the head reads more than means."""
        return super().pool(activations, weights) if self.averaged else activations.flatten(1)

    def forward(self, pooled: Tensor) -> Tensor:
        """What `pool` gives → logits (n, findings)."""
        logits: Tensor = self.last(self.graph(self._entering(pooled)))
        return logits

    def map(self, activations: Tensor) -> Tensor:
        """A (n, k, h, w) → signed map (n, findings, h, w), in logits."""
        places = activations.shape[2] * activations.shape[3]
        return (self._gradient(activations) * activations[:, None]).sum(2) * places

    def constant(self, pooled: Tensor) -> Tensor:
        """The part of each logit that the map leaves: (n, findings)."""
        entering = self._entering(pooled)
        shown = (self._gradient(entering) * entering[:, None]).flatten(2).sum(2)
        return self.forward(pooled) - shown

    def _entering(self, pooled: Tensor) -> Tensor:
        return pooled if self.averaged else pooled.reshape(-1, *self.shape)

    def _gradient(self, entering: Tensor) -> Tensor:
        gains = self.last.weight.expand(entering.shape[0], -1, -1)
        return self.graph.gradient(entering, gains)


def parse_architecture(content: bytes) -> Architecture:
    """The layers that a run's architecture.json lists.

    Raises:
        BundleError: not such a list.
    """
    try:
        return Architecture.model_validate(parse_json(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BundleError(f"{ARCHITECTURE} [{place}]: {first['msg']}; import the network again") from error
    except ValueError as error:
        raise BundleError(f"{ARCHITECTURE} is not JSON ({error}); import the network again") from error


def build_imported(architecture: Architecture, state: Mapping[str, Tensor]) -> Classifier:
    """The classifier of these layers and weights, in evaluation mode.

    Args:
        architecture: checked layer by layer before any memory is taken.
        state: every weight, named as `Classifier.state_dict` names it.

    Raises:
        BundleError: layers that do not fit each other, or weights that do not fit the layers.
    """
    channels, side = architecture.channels, architecture.side
    features = Graph(architecture.features, (channels, side, side))
    if len(features.shape) != 3:
        raise BundleError(f"the network's features are no map but {features.shape}; is it a network for pictures?")
    head = GraphHead(architecture.head, features.shape, architecture.findings)
    classifier = Classifier(features, head, (0.0,) * channels, (1.0,) * channels)
    wanted: dict[str, Any] = classifier.state_dict()
    if sum(value.numel() for value in wanted.values()) > MAX_WEIGHTS:
        raise BundleError(f"the layers need more than {MAX_WEIGHTS:,} weights, more than is read")
    for name in [*wanted, *state]:
        need, have = wanted.get(name), state.get(name)
        if need is None or have is None or need.shape != have.shape:
            shapes = ["nothing" if one is None else str(tuple(one.shape)) for one in (need, have)]
            raise BundleError(f"{name}: the layers need {shapes[0]}, the weights hold {shapes[1]}")
    classifier.load_state_dict(state, assign=True)
    return classifier.eval()
