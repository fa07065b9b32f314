"""Any convolutional network of timm, as `timm:NAME`. Optional: timm is imported only when used."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor, nn

from lucency.errors import UsageError, WeightsError

PREFIX = "timm:"
STAGE_NAMES = ("blocks", "stages", "layer", "features")
"""Names of the parts that hold blocks in timm's families; these are opened, every other part is one block."""

Triple = tuple[float, float, float]


class TimmFeatures(nn.Module):
    """A timm network without its pool and classifier: normalised (n, 3, s, s) → A (n, k, h, w)."""

    def __init__(self, net: Any, channels: int) -> None:
        super().__init__()
        self.net = net
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Without pool and classes, a timm network returns the activations before its pool."""
        found: Tensor = self.net(x)
        return found

    def blocks(self) -> list[nn.Module]:
        """Its blocks in order, stages opened."""
        found: list[nn.Module] = []
        for name, child in self.net.named_children():
            stages = [*child.children()] if name.startswith(STAGE_NAMES) else []
            for stage in stages or [child]:
                inner = [*stage.children()] if stages and isinstance(stage, nn.Sequential) else []
                found += inner or [stage]
        return [block for block in found if any(True for _ in block.parameters())]


def features(name: str, width: float = 1.0) -> TimmFeatures:
    """The network `timm:NAME` with random weights.

    Raises:
        UsageError: timm is missing or does not know NAME, a width is asked for, or it ends in no maps (n, k, h, w).
    """
    if width != 1.0:
        raise UsageError(f"{name}: expected width = 1.0, got {width}; timm has a name for each width it knows")
    return _create(name, pretrained=False)


def pretrained(name: str) -> dict[str, Tensor]:
    """The state dict of `timm:NAME` with the weights that timm publishes; timm downloads and checks them.

    Raises:
        WeightsError: timm has none, or cannot fetch them.
    """
    try:
        return dict(_create(name, pretrained=True).state_dict())
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{name}: timm cannot provide its weights ({reason}); give a file with --weights") from error


def facts(name: str) -> tuple[Triple, Triple, int, str]:
    """Mean, standard deviation, native side and reference of `timm:NAME`, from timm."""
    config = _timm(name).get_pretrained_cfg(name.removeprefix(PREFIX))
    if config is None:
        raise UsageError(f"{name}: timm does not know it; timm.list_models() prints what it knows")
    paper = getattr(config, "paper_ids", None) or "see timm"
    return config.mean, config.std, int(config.input_size[-1]), str(paper)


def _create(name: str, *, pretrained: bool) -> TimmFeatures:
    known = name.removeprefix(PREFIX)
    try:
        net = _timm(name).create_model(known, pretrained=pretrained, num_classes=0, global_pool="")
    except RuntimeError as error:
        if "Unknown model" not in str(error):
            raise
        raise UsageError(f"{name}: timm does not know it; timm.list_models() prints what it knows") from error
    return TimmFeatures(net, _channels(net, name))


def _channels(net: Any, name: str) -> int:
    """Channels of the maps the network ends in, from a blank film; timm's own num_features leaves out some heads."""
    was_training = net.training
    try:
        with torch.no_grad():
            found = net.eval()(torch.zeros(1, 3, 96, 96))
    except (AssertionError, RuntimeError) as error:
        raise UsageError(f"{name}: takes no film of another side ({error}); choose a convolutional network") from error
    finally:
        net.train(was_training)
    if found.ndim != 4:
        raise UsageError(
            f"{name}: expected maps (n, k, h, w) before the pool, got {found.ndim} dimensions; choose another"
        )
    return int(found.shape[1])


def _timm(name: str) -> Any:
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise UsageError(
            f"{name}: expected timm to be installed; pip install timm, or choose another backbone"
        ) from error
