"""The gate: how unlike the films learned from a film is, as two small numbers inside the network.

    layout      of its 16 × 16 thumbnail, each film's own brightness and contrast taken out: where the dark lungs,
                the heart and the shoulders lie. A hand, a lateral, a film turned or inverted, a photograph differ.
    features    of the pooled activations that the head reads: blur, other machines, other patients.

Each is the distance from a Gaussian that a few principal directions and even noise make up (probabilistic PCA, Tipping
& Bishop 1999; distances in features find strange inputs: Lee et al. 2018):

    doubt = 1/d (|x - m|² / s² + sum_k (1/l_k - 1/s²) (v_k · (x - m))²)

so that a film of the kind learned from has about 1. Only sums and products: every exporter knows each step.
"""

from __future__ import annotations

from collections.abc import Mapping

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lucency.bundle import Bundle
from lucency.errors import BundleError

GATE = "gate.safetensors"
CELLS = 16
"""Rows and columns of the thumbnail."""
CHECKS = ("layout", "features")
"""The numbers in `doubt`, in their order."""


class Gaussian(nn.Module):
    """Distance of d numbers from those learned from, in units of what is usual."""

    mean: Tensor
    directions: Tensor
    gains: Tensor
    noise: Tensor

    def __init__(self, size: int, directions: int) -> None:
        """Room for `directions` principal directions of `size` numbers."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("directions", torch.zeros(directions, size))
        self.register_buffer("gains", torch.zeros(directions))
        self.register_buffer("noise", torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) → (n, 1)."""
        away = x - self.mean
        along = away @ self.directions.T
        far = (away * away).sum(1, keepdim=True) / self.noise + (along * along * self.gains).sum(1, keepdim=True)
        return far / away.shape[1]


class Gate(nn.Module):
    """Gray films and their pooled features to the two numbers of `doubt`."""

    def __init__(self, layout: Gaussian, features: Gaussian) -> None:
        """Of two Gaussians that have been fitted."""
        super().__init__()
        self.layout = layout
        self.features = features

    def forward(self, gray: Tensor, pooled: Tensor) -> Tensor:
        """Gray films (n, 1, s, s) of 0..255 and their pooled features (n, k) → doubt (n, 2)."""
        return torch.cat([self.layout(thumbnails(gray)), self.features(pooled)], 1)


def thumbnails(gray: Tensor) -> Tensor:
    """Gray films (n, 1, s, s), s at least 16 → (n, 256): mean gray of each cell, less the film's mean, over its spread.

    The spread counts as at least 4 levels of gray, so that a blank film stays finite.
    """
    cell = gray.shape[-1] // CELLS
    small = F.avg_pool2d(gray[:, :, : cell * CELLS, : cell * CELLS], cell).flatten(1)
    centred = small - small.mean(1, keepdim=True)
    spread = (centred * centred).mean(1, keepdim=True).sqrt()
    return centred / spread.clamp(min=4.0)


def load_gate(bundle: Bundle) -> Gate | None:
    """The gate of a run, in evaluation mode; None where its card has none.

    Raises:
        BundleError: the file is missing, altered, or not a gate.
    """
    if bundle.card.gate.file is None:
        return None
    try:
        return gate_from(safetensors.torch.load(bundle.read(bundle.card.gate.file)))
    except (RuntimeError, KeyError, safetensors.SafetensorError) as error:
        raise BundleError(f"{bundle.path}: {bundle.card.gate.file} holds no gate; run lucency gate again") from error


def gate_from(numbers: Mapping[str, Tensor]) -> Gate:
    """A gate of the numbers in GATE: `layout.mean`, `layout.directions` …"""
    sizes = [numbers[f"{name}.directions"].shape for name in CHECKS]
    gate = Gate(*(Gaussian(size, directions) for directions, size in sizes))
    gate.load_state_dict(dict(numbers))
    return gate.eval()
