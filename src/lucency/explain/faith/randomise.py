"""Does a map show the network, or only the film? Weights are made random from the last layer to the first.

Adebayo et al. 2018, section 3.1: a map that stays the same when what was learned is destroyed cannot explain what was
learned.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from lucency.explain.network import Gray, untouched
from lucency.models import blocks
from lucency.models.classifier import Classifier

CHUNK = 16
"""Films in a forward pass."""


def depths(classifier: Classifier, stops: int = 4) -> list[int]:
    """How many blocks, counted from the last, to randomise at each stop of the cascade: 0 is the head alone."""
    count = len(blocks(classifier))
    return sorted({round(count * stop / stops) for stop in range(stops + 1)})


def randomised(classifier: Classifier, depth: int, films: Gray, seed: int = 0) -> Classifier:
    """A copy whose head and last `depth` blocks have random weights.

    Each weight is drawn anew from a normal distribution with the mean and spread of the tensor that it replaces. The
    running means of the norms behind them are taken anew from `films`: left as they were, no signal would live, and
    any method would pass.

    Args:
        classifier: left as it is.
        depth: blocks, from the last.
        films: uint8 (n, s, s).
        seed: of the draw.
    """
    network = copy.deepcopy(classifier).eval()
    chosen = [network.head, *reversed(blocks(network)[len(blocks(network)) - depth :])]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in chosen:
            for weight in part.parameters():
                _draw(weight, generator)
        _settle([module for part in chosen for module in part.modules()], network, films)
    return network


def _draw(weight: Tensor, generator: torch.Generator) -> None:
    spread = weight.std() if weight.numel() > 1 else weight.abs().max()
    fresh = torch.randn(weight.shape, generator=generator).to(weight)
    weight.copy_(weight.mean() + spread * fresh)


def _settle(modules: list[nn.Module], network: Classifier, films: Gray) -> None:
    """Take the running means of the norms among `modules` from `films`, all other norms as they are."""
    norms = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    with untouched(network), torch.no_grad():
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average over the batches
            norm.train()
        device = next(network.parameters()).device
        for start in range(0, len(films), CHUNK):
            network(torch.from_numpy(films[start : start + CHUNK, None].astype(np.float32)).to(device))
