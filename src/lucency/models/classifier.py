"""The network from gray film to logits: frame → normalise → features → pool → head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lucency.models.frame import LungFrame
from lucency.models.heads import Dense128, Linear


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
        frame: LungFrame | None = None,
    ) -> None:
        """Put the parts together; mean and std are those of the backbone's three channels, on a scale of 0..1."""
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

    def box(self, gray: Tensor) -> Tensor | None:
        """Gray films (n, 1, s, s) → where their lungs' frame lies, (n, 4) as shares; None where the film is read."""
        return None if self.frame is None else self.frame.box(gray)

    def seen(self, gray: Tensor, box: Tensor | None) -> Tensor:
        """What the backbone reads of gray films (n, 1, s, s): the square within the box, or the film."""
        if self.frame is None or box is None:
            return gray
        found: Tensor = self.frame(gray, box)
        return found

    def activations(self, gray: Tensor) -> Tensor:
        """Gray films (n, 1, s, s) → A (n, k, h, w), the activations entering the pool, in the lungs' frame."""
        return self.activations_in(gray, self.box(gray))

    def activations_in(self, gray: Tensor, box: Tensor | None) -> Tensor:
        """The same where the box is known."""
        found: Tensor = self.features(self.normalise(self.seen(gray, box)))
        return found

    def on_film(self, maps: Tensor, box: Tensor | None) -> Tensor:
        """Maps (n, f, h, w) of what was read → maps on the whole film, of the same mean."""
        return maps if self.frame is None or box is None else self.frame.on_film(maps, box)

    def forward(self, gray: Tensor) -> Tensor:
        """Gray films (n, 1, s, s) → logits (n, findings)."""
        logits: Tensor = self.head(self.activations(gray).mean((2, 3)))
        return logits

    def forward_map(self, gray: Tensor) -> tuple[Tensor, Tensor]:
        """Gray films (n, 1, s, s) → logits (n, findings) and signed maps (n, findings, h, w), in logits.

        In eval mode mean(map) + head.constant(pooled) is the logit; for the linear head that constant is its bias.
        Grad-CAM (Selvaraju et al. 2017) is ReLU(map) / (h · w).
        """
        box = self.box(gray)
        activations = self.activations_in(gray, box)
        return self.head(activations.mean((2, 3))), self.on_film(self.head.map(activations), box)

    def unframed(self) -> Classifier:
        """The same network, its weights shared, that reads squares already cut: for training, which draws their cut."""
        bare = Classifier(self.features, self.head, (0.0,) * 3, (1.0,) * 3)
        bare.scale, bare.shift = self.scale, self.shift
        return bare.train(self.training)
