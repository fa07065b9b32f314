"""The network from gray film to logits: frame → normalise → features → pool → head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lucency.models.frame import Frame
from lucency.models.heads import Dense128, Linear


class Look(NamedTuple):
    """What the backbone reads."""

    seen: Tensor
    """Gray, float32 (n, 1, t, t)."""
    box: Tensor | None
    """Where on the film it was cut, (n, 4), or (1, 4) for all alike, as shares; None: it is the film."""


class Classifier(nn.Module):
    """Gray films to logits, and to maps that add up to them.

    Films enter as float32 (n, 1, s, s) with the values 0..255 of their bytes; what the backbone expects of its input
    (three channels, normalised, cut to the lungs) is the network's own affair and travels with its weights.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        features: nn.Module,
        head: Linear | Dense128,
        mean: Sequence[float],
        std: Sequence[float],
        frame: Frame | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            features: the backbone.
            head: from its pooled features to logits.
            mean, std: of the backbone's three channels, on a scale of 0..1.
            frame: cuts films to the part that is read; None reads whole films.
        """
        super().__init__()
        self.frame = frame
        self.features = features
        self.head = head
        shape = (1, 3, 1, 1)
        self.register_buffer("scale", torch.tensor([1 / (255 * s) for s in std]).reshape(shape))
        self.register_buffer("shift", torch.tensor([-m / s for m, s in zip(mean, std, strict=True)]).reshape(shape))

    def normalise(self, gray: Tensor) -> Tensor:
        """(n, 1, s, s) of 0..255 → (n, 3, s, s): (gray / 255 - mean) / std in one product and one sum."""
        return gray * self.scale + self.shift

    def look(self, gray: Tensor) -> Look:
        """What is read of gray films (n, 1, s, s)."""
        if self.frame is None:
            return Look(gray, None)
        box = self.frame.box(gray)
        return Look(self.frame(gray, box), box)

    def read(self, seen: Tensor) -> Tensor:
        """What is seen, (n, 1, t, t) → A (n, k, h, w), the activations entering the pool."""
        found: Tensor = self.features(self.normalise(seen))
        return found

    def activations(self, gray: Tensor) -> Tensor:
        """Gray films (n, 1, s, s) → A (n, k, h, w), in the frame where there is one."""
        return self.read(self.look(gray).seen)

    def pooled(self, gray: Tensor) -> Tensor:
        """Gray films (n, 1, s, s) → what the head reads, (n, k)."""
        return self.activations(gray).mean((2, 3))

    def on_film(self, maps: Tensor, look: Look) -> Tensor:
        """Maps (n, f, h, w) of what was seen → maps on the whole film, of the same mean."""
        return maps if self.frame is None or look.box is None else self.frame.on_film(maps, look.box)

    def forward(self, gray: Tensor) -> Tensor:
        """Gray films (n, 1, s, s) → logits (n, findings)."""
        logits: Tensor = self.head(self.pooled(gray))
        return logits

    def forward_map(self, gray: Tensor) -> tuple[Tensor, Tensor]:
        """Gray films (n, 1, s, s) → logits (n, findings) and signed maps (n, findings, h, w), in logits.

        In eval mode mean(map) + head.constant(pooled) is the logit; for the linear head that constant is its bias.
        Grad-CAM (Selvaraju et al. 2017) is ReLU(map) / (h · w).
        """
        logits, maps, _ = self.answers(gray)
        return logits, maps

    def answers(self, gray: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same, and what the head read, (n, k)."""
        look = self.look(gray)
        activations = self.read(look.seen)
        pooled = activations.mean((2, 3))
        return self.head(pooled), self.on_film(self.head.map(activations), look), pooled

    def unframed(self) -> Classifier:
        """The same network, its weights shared, that reads squares already cut: for training, which draws their cut."""
        bare = Classifier(self.features, self.head, (0.0,) * 3, (1.0,) * 3)
        bare.scale, bare.shift = self.scale, self.shift
        return bare.train(self.training)
