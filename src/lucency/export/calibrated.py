"""Calibration as part of the network: the same arithmetic as lucency.evaluate.calibration, in float32 tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from lucency.evaluate.calibration import NAMES, Calibrating, check

Lists = Mapping[str, Tensor]
STEEPEST = 1e30
"""Slope of a step of the polyline, at most: beyond it float32 has no number."""


class Calibrated(nn.Module):
    """Logits (n, f) to calibrated probabilities (n, f), by any method of lucency.evaluate.calibration."""

    def __init__(self, calibration: Calibrating, task: str, findings: int) -> None:
        """Take the card's numbers.

        Raises:
            BundleError: the method is unknown, or its numbers do not fit it.
        """
        super().__init__()
        check(calibration, findings)
        self.method, self.task = calibration.method, task
        for name in NAMES[self.method]:
            self.register_buffer(name, torch.tensor(calibration.parameters[name], dtype=torch.float64))
        if self.method == "isotonic":
            self._prepare_steps()

    def _prepare_steps(self) -> None:
        """Differences are taken in float64, before the exporter rounds to float32."""
        x, y = self.get_buffer("logits"), self.get_buffer("probabilities")
        steepness = 1 / torch.diff(x).clamp_min(1 / STEEPEST)
        self.register_buffer("steepness", steepness)
        self.register_buffer("rises", torch.diff(y))

    def forward(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities, float32."""
        lists = {name: values.float() for name, values in self.named_buffers()}
        if self.method == "isotonic":
            return polyline(logits, lists)
        scores = SCORES[self.method](logits, lists)
        return torch.softmax(scores, dim=-1) if self.task == "multiclass" else torch.sigmoid(scores)


def polyline(z: Tensor, lists: Lists) -> Tensor:
    """The polyline through (logits, probabilities), flat beyond its ends.

        y(z) = y_1 + sum_i (y_(i+1) - y_i) · clip((z - x_i) / (x_(i+1) - x_i), 0, 1)

    Each term lies between 0 and its rise, so a step between two logits that nearly coincide loses no precision, as it
    would in a sum of hinges whose slopes cancel.
    """
    share = ((z - lists["logits"][:-1]) * lists["steepness"]).clamp(0, 1)
    return lists["probabilities"][0] + (share * lists["rises"]).sum(dim=-1, keepdim=True)


def softplus(z: Tensor) -> Tensor:
    """ln(1 + exp z) without overflow, of operations that every target has."""
    return torch.relu(z) + torch.log(1 + torch.exp(-torch.abs(z)))


def _none(z: Tensor, lists: Lists) -> Tensor:
    return z


def _temperature(z: Tensor, lists: Lists) -> Tensor:
    return z * (1 / lists["temperature"])


def _platt(z: Tensor, lists: Lists) -> Tensor:
    return lists["slope"] * z + lists["offset"]


def _beta(z: Tensor, lists: Lists) -> Tensor:
    return lists["b"] * softplus(z) - lists["a"] * softplus(-z) + lists["c"]


SCORES: dict[str, Callable[[Tensor, Lists], Tensor]] = {
    "none": _none,
    "temperature": _temperature,
    "platt": _platt,
    "beta": _beta,
}
"""Method to calibrated logits; isotonic answers with probabilities and has no row."""
