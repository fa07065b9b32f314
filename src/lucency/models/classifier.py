"""The network from gray film to logits: normalise → features → pool → head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lucency.models.heads import Dense128, Linear


class Classifier(nn.Module):
    """Gray films to logits, and to maps that add up to them.

    Films enter as float32 (n, 1, s, s) with the values 0..255 of their bytes; what the backbone expects of its input
    (three channels, normalised) is the network's own affair and travels with its weights.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, features: nn.Module, head: Linear | Dense128, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        """Put the parts together; mean and std are those of the backbone's three channels, on a scale of 0..1."""
        super().__init__()
        self.features = features
        self.head = head
        shape = (1, 3, 1, 1)
        self.register_buffer("scale", torch.tensor([1 / (255 * s) for s in std]).reshape(shape))
        self.register_buffer("shift", torch.tensor([-m / s for m, s in zip(mean, std, strict=True)]).reshape(shape))

    def normalise(self, gray: Tensor) -> Tensor:
        """(n, 1, s, s) of 0..255 → (n, 3, s, s): (gray / 255 - mean) / std in one product and one sum."""
        return gray * self.scale + self.shift

    def activations(self, gray: Tensor) -> Tensor:
        """Gray films (n, 1, s, s) → A (n, k, h, w), the activations entering the pool."""
        found: Tensor = self.features(self.normalise(gray))
        return found

    def forward(self, gray: Tensor) -> Tensor:
        """Gray films (n, 1, s, s) → logits (n, findings)."""
        logits: Tensor = self.head(self.activations(gray).mean((2, 3)))
        return logits

    def forward_map(self, gray: Tensor) -> tuple[Tensor, Tensor]:
        """Gray films (n, 1, s, s) → logits (n, findings) and signed maps (n, findings, h, w), in logits.

        In eval mode mean(map) + head.constant(pooled) is the logit; for the linear head that constant is its bias.
        Grad-CAM (Selvaraju et al. 2017) is ReLU(map) / (h · w).
        """
        activations = self.activations(gray)
        return self.head(activations.mean((2, 3))), self.head.map(activations)
