"""A PyTorch network as explainers need it: input, one number out, its layers, and its state left as it was found."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from lucency.arrays import Floats32 as Map
from lucency.arrays import Pixels
from lucency.errors import ExplainError
from lucency.models import blocks
from lucency.models.classifier import Classifier
from lucency.preprocess import as_input

LAST = "features"
"""The layer that enters the pool, where the network's own map is drawn."""


class Evidence(nn.Module):
    """Films (n, 1, s, s) → (n,): the logit of one finding, or minus it for the opposite verdict.

    A single sigmoid output thus answers for both of its labels: what speaks for normal lowers the logit.
    """

    def __init__(self, classifier: Classifier, finding: int = 0, opposite: bool = False) -> None:
        super().__init__()
        self.classifier = classifier
        self.finding = finding
        self.sign = -1.0 if opposite else 1.0

    def forward(self, gray: Tensor) -> Tensor:
        """The evidence, in logits."""
        logits: Tensor = self.classifier(gray)
        return self.sign * logits[:, self.finding]


@contextlib.contextmanager
def preserve_state(classifier: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients to weights, forked random numbers; all of it restored afterwards."""
    modes = [(module, module.training) for module in classifier.modules()]
    wanted = [(weight, weight.requires_grad, weight.grad) for weight in classifier.parameters()]
    devices = {weight.device for weight, _, _ in wanted if weight.is_cuda}
    try:
        classifier.eval().requires_grad_(False)
        with torch.random.fork_rng(devices), torch.enable_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
        for weight, requires_grad, gradient in wanted:
            weight.requires_grad_(requires_grad)
            weight.grad = gradient


def to_input(classifier: nn.Module, gray: Pixels) -> Tensor:
    """A prepared film, uint8 (s, s) or (s, s, 3), as float32 (1, channels, s, s) on the network's device.

    Raises:
        ExplainError: not bytes, or not a square of at least one pixel.
    """
    if gray.dtype != np.uint8 or gray.shape[2:] not in ((), (3,)) or gray.shape[0] != gray.shape[1] or not gray.size:
        raise ExplainError(
            f"expected a prepared film, uint8 (s, s) or (s, s, 3), received {gray.dtype} {gray.shape}; "
            "use Preprocess on the film"
        )
    device = next(classifier.parameters()).device
    return torch.from_numpy(as_input(gray[None])).permute(0, 3, 1, 2).contiguous().to(device)


def to_map(values: Tensor) -> Map:
    """A map (h, w) of any origin as float32 (h, w).

    Raises:
        ExplainError: a value is not finite.
    """
    evidence = values.detach().to("cpu", torch.float32).numpy()
    if not np.isfinite(evidence).all():
        raise ExplainError("the map is not finite; the network's weights are broken: download or train it again")
    return np.ascontiguousarray(evidence)


def cell_index(side: int, cells: int) -> Tensor:
    """int64 (s, s): which of cells × cells squares each pixel lies in, by rows; no more squares than pixels."""
    cells = min(cells, side)
    row = torch.arange(side) * cells // side
    return row[:, None] * cells + row[None, :]


def sum_into_cells(attributions: Tensor, cells: int) -> Tensor:
    """Attributions per pixel (s, s) → per cell (c, c), scaled so that the mean of the map is their sum.

    This is the unit of the class activation map, in which maps of different sizes compare.
    """
    cell = cell_index(attributions.shape[-1], cells).to(attributions.device)
    count = int(cell.max()) + 1
    sums = torch.zeros(count, dtype=attributions.dtype, device=attributions.device)
    return sums.index_add(0, cell.ravel(), attributions.ravel()).reshape(round(count**0.5), -1) * count


def layers(classifier: Classifier, side: int) -> dict[str, tuple[int, int, int]]:
    """Layers that a map can be drawn from, in order: name → (channels, height, width) for a film of `side` pixels."""
    found: dict[str, tuple[int, int, int]] = {}

    def note(name: str, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            found[name] = (output.shape[1], output.shape[2], output.shape[3])

    handles = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: note(name, output))
        for name, module in classifier.named_modules()
        if name.startswith(LAST)
    ]
    try:
        with preserve_state(classifier), torch.no_grad():
            classifier(torch.zeros(1, 1, side, side, device=next(classifier.parameters()).device))
    finally:
        for handle in handles:
            handle.remove()
    return {name: found[name] for name, _ in classifier.named_modules() if name in found}


def layer(classifier: Classifier, name: str = LAST) -> nn.Module:
    """The layer called `name`.

    Raises:
        ExplainError: no feature layer has that name; the nearest is suggested.
    """
    known: dict[str, nn.Module] = {
        found: module for found, module in classifier.named_modules() if found.startswith(LAST)
    }
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ExplainError(f"the network has no layer '{name}'; {hint}--list-layers prints them all")
    return known[name]


def last_finer_layer(classifier: Classifier, side: int) -> str:
    """The last block whose maps are finer than the network's own, or the last layer where no block is."""
    sizes = layers(classifier, side)
    names = {id(module): name for name, module in classifier.named_modules()}
    candidates = [names[id(block)] for block in blocks(classifier)]
    finer = [name for name in candidates if name in sizes and sizes[name][1] > sizes[LAST][1]]
    return finer[-1] if finer else LAST
