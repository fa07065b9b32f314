"""The gate: how unlike the films learned from a film is, as four small numbers inside the network.

    layout        of its 8 × 8 thumbnail, each film's own brightness and contrast taken out: where dark lungs, heart and
                  shoulders lie. A hand, a lateral, a photograph, a film inverted or on its side differ.
    upside_down   a line through those 64 numbers that tells films from themselves upside down.
    mirrored      another that tells films from their mirror images, by the heart.
    features      of the direction of the pooled activations that the head reads: blur, noise, other machines.

layout and features are the distance from a Gaussian of a few principal directions and even noise (probabilistic PCA,
Tipping & Bishop 1999). Strange films shorten the pooled activations, and so come nearer: their length is taken out
(Müller & Hein 2025), after which the distance finds what it is meant to (docs/calibration.md has both).

    doubt = 1/d (|x - m|² / s² + sum_k (1/l_k - 1/s²) (v_k · (x - m))²)

A film of the kind learned from has about 1. Only sums, products and a root: every exporter knows each step.
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
from lucency.models.lung_crop import CroppedInput

OOD_FILE = "gate.safetensors"
CELLS = 8
"""Rows and columns of the thumbnail."""
CHECKS = ("layout", "upside_down", "mirrored", "features")
"""The numbers in `doubt`, in their order."""
LUNG_CHECKS = ("lungs_missing", "lungs_cut", "lungs_flat")
"""Three more, of a network that crops to the lungs."""
TYPICAL_LUNG = 0.05
"""Share of a film that the smaller lung covers, about half of what is usual: `lungs_missing` is then about 1."""


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


class LinearProbe(nn.Module):
    """The log-odds that a thumbnail is turned."""

    weight: Tensor
    bias: Tensor

    def __init__(self, size: int) -> None:
        """Room for `size` weights."""
        super().__init__()
        self.register_buffer("weight", torch.zeros(size, 1))
        self.register_buffer("bias", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) → (n, 1)."""
        return x @ self.weight + self.bias


class OODDetector(nn.Module):
    """Gray films and their pooled features to the numbers of `doubt`, in the order of CHECKS."""

    def __init__(self, layout: Gaussian, features: Gaussian) -> None:
        """Room for what `lucency.train.ood` learns."""
        super().__init__()
        self.layout = layout
        self.upside_down = LinearProbe(CELLS * CELLS)
        self.mirrored = LinearProbe(CELLS * CELLS)
        self.features = features

    def forward(self, gray: Tensor, pooled: Tensor, cropped: CroppedInput | None = None) -> Tensor:
        """Gray films (n, 1, s, s) of 0..255 and their pooled features (n, k) → doubt (n, 4).

        Of a network that crops to the lungs, the numbers of LUNG_CHECKS follow: (n, 7).
        """
        small = thumbnails(gray)
        doubts = [self.layout(small), self.upside_down(small), self.mirrored(small), self.features(directions(pooled))]
        return torch.cat(doubts if cropped is None else [*doubts, lung_doubts(cropped)], 1)


def directions(pooled: Tensor) -> Tensor:
    """Pooled features (n, k) scaled to length 1."""
    return pooled / (pooled * pooled).sum(1, keepdim=True).sqrt().clamp(min=1e-6)


def thumbnails(gray: Tensor) -> Tensor:
    """Gray films (n, 1, s, s), s at least 8 → (n, 64): mean gray of each cell, less the film's mean, over its spread.

    The spread counts as at least 4 levels of gray, so that a blank film stays finite.
    """
    cell = gray.shape[-1] // CELLS
    small = F.avg_pool2d(gray[:, :, : cell * CELLS, : cell * CELLS], cell).flatten(1)
    centred = small - small.mean(1, keepdim=True)
    spread = (centred * centred).mean(1, keepdim=True).sqrt()
    return centred / spread.clamp(min=4.0)


def lung_doubts(cropped: CroppedInput) -> Tensor:
    """What is read of n films → (n, 3), the numbers of LUNG_CHECKS; (n, 0) of whole films.

    lungs_missing: how little the smaller of the halves left and right of the lungs' mean covers of the film.
    lungs_cut: the share of the lungs that lies along the film's edges.
    lungs_flat: the share of the lungs that shows no detail.
    """
    if cropped.lungs is None or cropped.flat is None:
        return cropped.pixels.new_empty((len(cropped.pixels), 0))
    mass, cells = cropped.lungs[:, 0], cropped.lungs.shape[-1]
    columns, total = mass.sum(1), mass.sum((1, 2)) + 1.0
    positions = torch.arange(cells, dtype=mass.dtype, device=mass.device)
    mean = (columns * positions).sum(1, keepdim=True) / total[:, None]
    left = (columns * (mean - positions + 0.5).clamp(0.0, 1.0)).sum(1)
    smaller = torch.minimum(left, columns.sum(1) - left) / (cells * cells)
    edges = mass[:, 0].sum(1) + mass[:, -1].sum(1) + mass[:, :, 0].sum(1) + mass[:, :, -1].sum(1)
    return torch.stack([TYPICAL_LUNG / (smaller + 0.005), edges / total, cropped.flat], 1)


def load_ood_detector(bundle: Bundle) -> OODDetector | None:
    """The gate of a run, in evaluation mode; None where its card has none.

    Raises:
        BundleError: the file is missing, altered, or not a gate.
    """
    if bundle.card.gate.file is None:
        return None
    try:
        return ood_detector_from_state(safetensors.torch.load(bundle.read(bundle.card.gate.file)))
    except (RuntimeError, KeyError, safetensors.SafetensorError) as error:
        raise BundleError(f"{bundle.path}: {bundle.card.gate.file} holds no gate; run lucency gate again") from error


def ood_detector_from_state(numbers: Mapping[str, Tensor]) -> OODDetector:
    """A gate of the numbers in GATE: `layout.mean`, `layout.directions` …"""
    sizes = [numbers[f"{name}.directions"].shape for name in ("layout", "features")]
    gate = OODDetector(*(Gaussian(size, directions) for directions, size in sizes))
    gate.load_state_dict(dict(numbers))
    return gate.eval()
