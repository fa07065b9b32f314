"""A PyTorch network as explainers need it: input, one number out, its layers, its state left as it was found."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lucency.errors import ExplainError
from lucency.models import blocks
from lucency.models.classifier import Classifier

Map = NDArray[np.float32]
Gray = NDArray[np.uint8]


class Evidence(nn.Module):
    """Gray films (n, 1, s, s) → (n,): the logit of one finding, or minus it to ask for the opposite verdict.

    A single sigmoid output thus answers for both of its labels: what speaks for normal is what lowers the logit.
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
    """Evaluation mode, no gradient to any weight, random numbers of our own; all of it put back afterwards."""
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
        for weight, wants, gradient in wanted:
            weight.requires_grad_(wants)
            weight.grad = gradient


def to_input(classifier: nn.Module, gray: Gray) -> Tensor:
    """A film's square, uint8 (s, s), as the network takes it: float32 (1, 1, s, s) on the network's device.

    Raises:
        ExplainError: not bytes, or not a square of at least one pixel.
    """
    if gray.dtype != np.uint8 or gray.ndim != 2 or gray.shape[0] != gray.shape[1] or not gray.size:
        raise ExplainError(
            f"expected a film prepared as bytes (s, s), came {gray.dtype} {gray.shape}; use Preprocess on the film"
        )
    device = next(classifier.parameters()).device
    return torch.from_numpy(np.array(gray, dtype=np.float32))[None, None].to(device)


def check_finding(findings: int, finding: int) -> None:
    """Refuse a finding that the network does not answer for.

    Raises:
        ExplainError: `finding` is not one of its logits.
    """
    if not 0 <= finding < findings:
        raise ExplainError(f"the network answers for {findings} finding(s), from 0; there is no number {finding}")


def to_map(values: Tensor) -> Map:
    """A map (h, w) of any origin as float32 (h, w).

    Raises:
        ExplainError: it holds a value that is not a number.
    """
    evidence = values.detach().to("cpu", torch.float32).numpy()
    if not np.isfinite(evidence).all():
        raise ExplainError(
            "the map holds values that are not numbers (NaN or infinite); the network's weights are broken: "
            "get or train the run again"
        )
    return np.ascontiguousarray(evidence)


def cell_index(side: int, cells: int) -> Tensor:
    """Which of cells × cells squares each pixel lies in: int64 (s, s), by rows; no more squares than pixels."""
    cells = min(cells, side)
    row = torch.arange(side) * cells // side
    return row[:, None] * cells + row[None, :]


def sum_into_cells(shares: Tensor, cells: int) -> Tensor:
    """Shares of the logit per pixel (s, s) → per square (c, c), scaled so that the mean of the map is their sum.

    This is the unit of the class activation map, in which maps of different sizes compare.
    """
    square = cell_index(shares.shape[-1], cells).to(shares.device)
    count = int(square.max()) + 1
    sums = torch.zeros(count, dtype=shares.dtype, device=shares.device).index_add(0, square.ravel(), shares.ravel())
    return sums.reshape(round(count**0.5), -1) * count


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
        with preserve_state(classifier), torch.no_grad():
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


def last_finer_layer(classifier: Classifier, side: int) -> str:
    """The last block whose maps are last_finer_layer than the network's own, or the last layer where no block is."""
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
