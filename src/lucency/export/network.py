"""The network that targets convert, with all arithmetic inside, so that ports need none."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from lucency.bundle import Card
from lucency.evaluate.calibration import PARAMETERS, Calibrating, check
from lucency.models import Classifier
from lucency.models.classifier import fuse_batchnorm, fuse_input_scale
from lucency.models.ood_detector import OODDetector

INPUT = "film"
MAX_SLOPE = 1e30
"""Of a segment of the polyline; float32 overflows beyond."""
Lists = Mapping[str, Tensor]


class ExportNetwork(nn.Module):
    """Film to logit, calibrated probability, signed map and, if the run has a gate, doubt.

    film: float32 (1, s, s, 1) or (1, s, s, 3) with the values 0..255 of its bytes. logit, probability: (1, f).
    map: (1, h, w, f), in logits. doubt: (1, k). Channels last throughout, as phones expect.
    """

    def __init__(self, classifier: Classifier, card: Card, gate: OODDetector | None = None) -> None:
        """Copy the classifier and add normalisation, calibration and gate.

        Raises:
            BundleError: the card's calibration does not match its findings.
        """
        super().__init__()
        self.classifier = fuse_batchnorm(classifier).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.takes_gray = fuse_input_scale(self.classifier, card.preprocess.channels)
        self.shifted = bool(self.classifier.shift.any())
        self.scaled_inside = bool((self.classifier.scale == 1).all())
        self.calibrated = Calibrated(card.calibration, card.task, card.findings)
        self.gate = gate
        self.channels = card.preprocess.channels
        self.eval()

    def forward(self, film: Tensor) -> dict[str, Tensor]:
        """The outputs by name."""
        if self.channels == 1:
            pixels = film.reshape(film.shape[0], 1, film.shape[1], film.shape[2])  # one channel: first is last
        else:
            pixels = film.permute(0, 3, 1, 2)
        cropped = self.classifier.crop_input(pixels)
        features = self.features(cropped.pixels)
        cells = features.permute(0, 2, 3, 1)  # channels last, as in the target: no transpose
        if cropped.weights is None:
            pooled = self.classifier.mean_of_views(cells.mean((1, 2)))
        elif self.classifier.views == 1:
            pooled = (cells * cropped.weights[..., None]).sum((1, 2))
        else:  # one film: its views and their cells in one sum
            pooled = (cells * (cropped.weights / self.classifier.views)[..., None]).sum((0, 1, 2))[None]
        if not self.classifier.head.averaged:
            pooled = self.classifier.head.pool(features)
        logit = self.classifier.head(pooled)
        found = self.classifier.film_map(self.classifier.head.map(features), cropped).permute(0, 2, 3, 1)
        outputs = {"logit": logit, "probability": self.calibrated(logit), "map": found}
        return outputs if self.gate is None else {**outputs, "doubt": self.gate(pixels, pooled, cropped)}

    def features(self, pixels: Tensor) -> Tensor:
        """The activations entering the pool; without a product by a scale that is 1 everywhere."""
        if self.takes_gray:
            entering = pixels
        else:
            if not self.shifted:  # or the converter makes a broadcast that LiteRT refuses
                pixels = torch.cat([pixels] * (self.classifier.shift.shape[1] // pixels.shape[1]), 1)
            entering = pixels + self.classifier.shift if self.scaled_inside else self.classifier.normalise(pixels)
        features: Tensor = self.classifier.features(entering)
        return features

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs, in their order."""
        return ("logit", "probability", "map") if self.gate is None else ("logit", "probability", "map", "doubt")


def example_film(side: int, channels: int = 1) -> Tensor:
    """Input to trace the network with: float32 (1, side, side, channels)."""
    return torch.full((1, side, side, channels), 127.0)


class Calibrated(nn.Module):
    """Logits (n, f) to calibrated probabilities (n, f): lucency.evaluate.calibration in float32 tensors."""

    def __init__(self, calibration: Calibrating, task: str, findings: int) -> None:
        """Take the card's parameters.

        Raises:
            BundleError: the method is unknown, or its parameters do not fit it.
        """
        super().__init__()
        check(calibration, findings)
        self.method, self.task = calibration.method, task
        for name in PARAMETERS[self.method]:
            self.register_buffer(name, torch.tensor(calibration.parameters[name], dtype=torch.float64))
        if self.method == "isotonic":  # differences in float64, before the exporter rounds to float32
            x, y = self.get_buffer("logits"), self.get_buffer("probabilities")
            self.register_buffer("steepness", 1 / torch.diff(x).clamp_min(1 / MAX_SLOPE))
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
    """ln(1 + exp z) without overflow, of operations that every target supports."""
    return torch.relu(z) + torch.log(1 + torch.exp(-torch.abs(z)))


def dirichlet(z: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Logits (n, k) → calibrated logits, by k · k numbers row by row and k offsets."""
    k = offset.shape[0]
    return torch.nn.functional.linear(torch.log_softmax(z, dim=-1), matrix.reshape(k, k), offset)


SCORES: dict[str, Callable[[Tensor, Lists], Tensor]] = {
    "none": lambda z, lists: z,
    "temperature": lambda z, lists: z * (1 / lists["temperature"]),
    "platt": lambda z, lists: lists["slope"] * z + lists["offset"],
    "beta": lambda z, lists: lists["b"] * softplus(z) - lists["a"] * softplus(-z) + lists["c"],
    "dirichlet": lambda z, lists: dirichlet(z, lists["matrix"], lists["offset"]),
}
"""Method to calibrated logits; isotonic returns probabilities and has no row."""
