"""What every target is given: one network with all arithmetic inside, so that a port has nothing to get wrong."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lucency.bundle import Card
from lucency.export.calibrated import Calibrated
from lucency.models import Classifier
from lucency.models.folded import folded, scale_inside
from lucency.models.gate import Gate

INPUT = "film"


class Answering(nn.Module):
    """Gray film to logit, calibrated probability, signed map and, where the run has a gate, doubt.

    film: float32 (1, s, s, 1) with the values 0..255 of its bytes. logit, probability: (1, f). map: (1, h, w, f), in
    logits. doubt: (1, k). Channels last throughout, as phones want it.
    """

    def __init__(self, classifier: Classifier, card: Card, gate: Gate | None = None) -> None:
        """Copy the classifier, which stays as it is, and put normalisation, calibration and gate inside.

        Raises:
            BundleError: the card's calibration does not fit its findings.
        """
        super().__init__()
        self.classifier = folded(classifier).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        scale_inside(self.classifier)
        self.scaled_inside = bool((self.classifier.scale == 1).all())
        self.calibrated = Calibrated(card.calibration, card.task, card.findings)
        self.gate = gate
        self.eval()

    def forward(self, film: Tensor) -> dict[str, Tensor]:
        """The answers by name."""
        gray = film.reshape(film.shape[0], 1, film.shape[1], film.shape[2])  # one channel: first is last
        look = self.classifier.look(gray)
        features = self.features(look.seen)
        pooled = features.permute(0, 2, 3, 1).mean((1, 2))  # channels last, as the target has them: nothing to turn
        logit = self.classifier.head(pooled)
        cells = self.classifier.on_film(self.classifier.head.map(features), look).permute(0, 2, 3, 1)
        answers = {"logit": logit, "probability": self.calibrated(logit), "map": cells}
        return answers if self.gate is None else {**answers, "doubt": self.gate(gray, pooled)}

    def features(self, seen: Tensor) -> Tensor:
        """The activations entering the pool; without the product by a scale that is 1 everywhere."""
        entering = seen + self.classifier.shift if self.scaled_inside else self.classifier.normalise(seen)
        found: Tensor = self.classifier.features(entering)
        return found

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the answers, in their order."""
        return ("logit", "probability", "map") if self.gate is None else ("logit", "probability", "map", "doubt")


def blank(side: int) -> Tensor:
    """A film to trace the network with: float32 (1, side, side, 1)."""
    return torch.full((1, side, side, 1), 127.0)
