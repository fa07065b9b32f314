"""The gate: how far a film is from the training films, as four numbers computed inside the network.

    layout        distance of the 8 × 8 thumbnail without its brightness and contrast, in colour one of each channel:
                  where dark lungs, heart and shoulders lie. Hands, laterals, photographs, inverted films and films on
                  their side are far.
    upside_down   linear probe of the thumbnail: films against films upside down.
    mirrored      linear probe of the thumbnail: films against their mirror images, by the heart.
                  Either is left out where such an image is one of the same kind (lucency.modality, flips).
    features      distance of the direction of the pooled activations: blur, noise, other machines.

layout and features are distances from a Gaussian of a few principal directions and isotropic noise (probabilistic PCA,
Tipping & Bishop 1999). Unusual films have shorter pooled activations, which would bring them closer, so features are
scaled to length 1 first (Müller & Hein 2025; docs/calibration.md has figures with and without).

    doubt = 1/d (|x - m|² / s² + sum_k (1/l_k - 1/s²) (v_k · (x - m))²)

A training film has about 1. Only sums, products and a root, which every exporter supports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
"""The columns of `doubt`, in order."""
FLIP_CHECKS = CHECKS[1:3]
LUNG_CHECKS = ("lungs_missing", "lungs_cut", "lungs_flat")
"""Three more columns, of a network that crops to the lungs."""
TYPICAL_LUNG = 0.05
"""Share of a film that the smaller lung covers, about half of what is usual: `lungs_missing` is then about 1."""


class Gaussian(nn.Module):
    """Squared distance of d features from the training films', about 1 for these."""

    mean: Tensor
    directions: Tensor
    gains: Tensor
    noise: Tensor

    def __init__(self, size: int, directions: int) -> None:
        """Buffers for `directions` principal directions of `size` features."""
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
    """The log-odds that a thumbnail is flipped."""

    weight: Tensor
    bias: Tensor

    def __init__(self, size: int) -> None:
        """Buffers for `size` weights."""
        super().__init__()
        self.register_buffer("weight", torch.zeros(size, 1))
        self.register_buffer("bias", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) → (n, 1)."""
        return x @ self.weight + self.bias


class OODDetector(nn.Module):
    """Films and their pooled features to `doubt`, in the order of CHECKS."""

    def __init__(self, layout: Gaussian, features: Gaussian, flips: Sequence[str] = FLIP_CHECKS) -> None:
        """The detector before `lucency.train.ood` fits it; `flips`: which of FLIP_CHECKS it has."""
        super().__init__()
        self.layout = layout
        for name in flips:
            setattr(self, name, LinearProbe(len(layout.mean)))
        self.features = features
        self.on_thumbnail = [name for name in CHECKS[:-1] if hasattr(self, name)]

    def forward(self, films: Tensor, pooled: Tensor, cropped: CroppedInput | None = None) -> Tensor:
        """Films (n, channels, s, s) of 0..255 and their pooled features (n, k) → doubt (n, checks).

        For a network that crops to the lungs, the columns of LUNG_CHECKS follow.
        """
        doubts = [self.numbers(thumbnails(films), directions(pooled))]
        return torch.cat(doubts if cropped is None else [*doubts, lung_doubts(cropped)], 1)

    def numbers(self, small: Tensor, features: Tensor) -> Tensor:
        """Thumbnails and directions of the features of n films → (n, checks)."""
        return torch.cat([*(getattr(self, name)(small) for name in self.on_thumbnail), self.features(features)], 1)


def directions(pooled: Tensor) -> Tensor:
    """Pooled features (n, k) scaled to length 1."""
    return pooled / (pooled * pooled).sum(1, keepdim=True).sqrt().clamp(min=1e-6)


def thumbnails(gray: Tensor) -> Tensor:
    """Films (n, c, s, s), s at least 8 → (n, 64 c): mean of each cell, less the film's mean, over its spread.

    The spread counts as at least 4 levels of gray, so that a blank film stays finite.
    """
    cell = gray.shape[-1] // CELLS
    small = F.avg_pool2d(gray[:, :, : cell * CELLS, : cell * CELLS], cell).flatten(1)
    centred = small - small.mean(1, keepdim=True)
    spread = (centred * centred).mean(1, keepdim=True).sqrt()
    return centred / spread.clamp(min=4.0)


def lung_doubts(cropped: CroppedInput) -> Tensor:
    """Crops of n films → (n, 3), the columns of LUNG_CHECKS; (n, 0) for whole films.

    lungs_missing: small where the smaller lung (the half left or right of the lungs' mean) covers little of the film.
    lungs_cut: the share of the lungs along the film's edges.
    lungs_flat: the share of the lungs without detail.
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
    """The gate of a run, in evaluation mode; None if its card has none.

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
    """A gate with the given state: `layout.mean`, `layout.directions` …"""
    layout, features = (Gaussian(*numbers[f"{name}.directions"].shape[::-1]) for name in ("layout", "features"))
    gate = OODDetector(layout, features, [name for name in FLIP_CHECKS if f"{name}.weight" in numbers])
    gate.load_state_dict(dict(numbers))
    return gate.eval()
