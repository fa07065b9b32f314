"""The layers of a network that a map can be drawn from, by the names PyTorch gives them."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lucency.errors import ExplainError
from lucency.explain.network import untouched
from lucency.models import blocks
from lucency.models.classifier import Classifier

LAST = "features"
"""What enters the pool: the network's own map is drawn here."""


def layers(classifier: Classifier, side: int) -> dict[str, tuple[int, int, int]]:
    """Every layer with maps, from the film inward: name → (channels, height, width) for a film of `side` pixels."""
    found: dict[str, tuple[int, int, int]] = {}
    handles = [
        module.register_forward_hook(_noting(found, name))
        for name, module in classifier.named_modules()
        if name.startswith(LAST)
    ]
    try:
        with untouched(classifier), torch.no_grad():
            classifier(torch.zeros(1, 1, side, side, device=next(classifier.parameters()).device))
    finally:
        for handle in handles:
            handle.remove()
    return {name: found[name] for name, _ in classifier.named_modules() if name in found}


def layer(classifier: Classifier, name: str = LAST) -> nn.Module:
    """The layer called `name`.

    Raises:
        ExplainError: there is none of that name among the features; the nearest is suggested.
    """
    named: list[tuple[str, nn.Module]] = [*classifier.named_modules()]
    known = {found: module for found, module in named if found.startswith(LAST)}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ExplainError(f"the network has no layer '{name}'; {hint}--list-layers prints them all")
    return known[name]


def finer(classifier: Classifier, side: int) -> str:
    """The last block whose maps are finer than the network's own, or the last layer where no block is."""
    sizes = layers(classifier, side)
    names = {id(module): name for name, module in classifier.named_modules()}
    coarse = sizes[LAST][1]
    candidates = [names[id(block)] for block in blocks(classifier)]
    fine = [name for name in candidates if name in sizes and sizes[name][1] > coarse]
    return fine[-1] if fine else LAST


def _noting(found: dict[str, tuple[int, int, int]], name: str) -> Callable[[nn.Module, object, object], None]:
    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            found[name] = (output.shape[1], output.shape[2], output.shape[3])

    return note
