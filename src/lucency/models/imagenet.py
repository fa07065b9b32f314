"""A backbone with its ImageNet classifier, to hold ours to the published networks' answers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lucency.errors import WeightsError
from lucency.models import backbone as row_of
from lucency.models.weights import imagenet_state, load_pretrained


class ImageNet(nn.Module):
    """Colour photographs (n, 3, s, s) with the values 0..255 → probabilities (n, 1000) in ImageNet's own order."""

    mean: Tensor
    std: Tensor

    def __init__(self, features: nn.Module, dense: nn.Linear, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.features = features
        self.dense = dense
        self.register_buffer("mean", mean.reshape(1, 3, 1, 1))
        self.register_buffer("std", std.reshape(1, 3, 1, 1))

    def forward(self, rgb: Tensor) -> Tensor:
        """Softmax over the classes; without dropout, which only training would use."""
        pooled = self.features((rgb / 255 - self.mean) / self.std).mean((2, 3))
        probabilities: Tensor = self.dense(pooled).softmax(1)
        return probabilities


def imagenet(backbone: str, source: str = "imagenet", width: float = 1.0) -> ImageNet:
    """The published network with its published weights, in eval mode.

    Raises:
        UsageError: unknown backbone.
        WeightsError: weights missing, altered, or without a classifier.
    """
    row = row_of(backbone)
    features = row.build(width)
    load_pretrained(features, backbone, source, width)
    state, where = imagenet_state(backbone, source, width)
    if "dense.weight" not in state:
        raise WeightsError(f"{where}: expected an ImageNet classifier with the backbone, found the backbone alone")
    classes, channels = state["dense.weight"].shape
    dense = nn.Linear(channels, classes)
    dense.load_state_dict({"weight": state["dense.weight"], "bias": state["dense.bias"]})
    return ImageNet(features, dense, torch.tensor(row.mean), torch.tensor(row.std)).eval()
