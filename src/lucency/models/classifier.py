"""The network from film to logits: crop → normalise → features → pool → head."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lucency.models.heads import Head
from lucency.models.layers import Unit
from lucency.models.lung_crop import CroppedInput, LungCrop

Network = TypeVar("Network", bound=nn.Module)


class Classifier(nn.Module):
    """Films to logits, and to maps that add up to them.

    Input is float32 (n, 1, s, s), or (n, 3, s, s) in colour, with the values 0..255 of the films' bytes. Cropping,
    normalisation and the third channel are part of the network and travel with its weights.

        logit = sum over the cells of  weight(cell) · (w · A(cell)) + b

    The weight of a cell is its share of the lungs, or 1 / (h · w) where whole films are read.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        features: nn.Module,
        head: Head,
        mean: Sequence[float],
        std: Sequence[float],
        crop: LungCrop | None = None,
    ) -> None:
        """Assemble the network.

        Args:
            features: the backbone.
            head: from its pooled features to logits.
            mean, std: of the backbone's channels, on a scale of 0..1; unused with a crop, which standardises.
            crop: crops films to the lungs; None reads whole films.
        """
        super().__init__()
        self.crop = crop
        self.weights: Tensor | None = None
        self.features = features
        self.head = head
        if crop is not None:
            mean, std = (0.0,) * 3, (1 / 255,) * 3
        shape = (1, len(mean), 1, 1)
        self.register_buffer("scale", torch.tensor([1 / (255 * s) for s in std]).reshape(shape))
        self.register_buffer("shift", torch.tensor([-m / s for m, s in zip(mean, std, strict=True)]).reshape(shape))

    def normalise(self, films: Tensor) -> Tensor:
        """(n, 1 or 3, s, s) of 0..255 → (n, 3 or 1, s, s): (films / 255 - mean) / std in one product and one sum."""
        return films * self.scale + self.shift

    def crop_input(self, films: Tensor) -> CroppedInput:
        """The backbone's input for films (n, channels, s, s)."""
        return CroppedInput(films, self.weights, None, None) if self.crop is None else self.crop(films)

    def forward_features(self, pixels: Tensor) -> Tensor:
        """The backbone's input (n, channels, t, t) → A (n, k, h, w), the activations entering the pool."""
        found: Tensor = self.features(self.normalise(pixels))
        return found

    def activations(self, films: Tensor) -> Tensor:
        """Films (n, channels, s, s) → A (n, k, h, w), of the lungs' box where there is a crop, of each of its views."""
        return self.forward_features(self.crop_input(films).pixels)

    def pooled(self, films: Tensor) -> Tensor:
        """Films (n, channels, s, s) → the head's input (n, k)."""
        cropped = self.crop_input(films)
        return self.mean_of_views(self.head.pool(self.forward_features(cropped.pixels), cropped.weights))

    def forward(self, films: Tensor) -> Tensor:
        """Films (n, channels, s, s) → logits (n, findings)."""
        logits: Tensor = self.head(self.pooled(films))
        return logits

    def forward_map(self, films: Tensor) -> tuple[Tensor, Tensor]:
        """Films (n, channels, s, s) → logits (n, findings) and signed maps (n, findings, h, w), in logits.

        In eval mode mean(map) + head.constant(pooled) is the logit; for the linear head that constant is its bias.
        Grad-CAM (Selvaraju et al. 2017) is ReLU(map) / (h · w).
        """
        logits, maps, _ = self.forward_all(films)
        return logits, maps

    def forward_all(self, films: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits and maps as `forward_map`, and the head's input (n, k)."""
        return self.forward_cropped(self.crop_input(films))

    def forward_cropped(self, cropped: CroppedInput) -> tuple[Tensor, Tensor, Tensor]:
        """`forward_all` on cropped films."""
        activations = self.forward_features(cropped.pixels)
        pooled = self.mean_of_views(self.head.pool(activations, cropped.weights))
        return self.head(pooled), self.film_map(self.head.map(activations), cropped), pooled

    def film_map(self, evidence: Tensor, cropped: CroppedInput) -> Tensor:
        """Evidence of each cell of the crop, (v · n, f, h, w) → the map on the whole film, the mean of its views."""
        if cropped.weights is None:
            return evidence
        cells = evidence.shape[2] * evidence.shape[3]
        return self.mean_of_views(self.uncrop(evidence * cropped.weights[:, None] * cells, cropped))

    @property
    def views(self) -> int:
        """How many views of each film are read."""
        return 1 if self.crop is None else len(self.crop.scales)

    def mean_of_views(self, found: Tensor) -> Tensor:
        """(v · n, …) → (n, …)."""
        if self.views == 1:
            return found
        return found.reshape(self.views, len(found) // self.views, *found.shape[1:]).mean(0)

    def uncrop(self, maps: Tensor, cropped: CroppedInput) -> Tensor:
        """Maps (n, f, h, w) on the crop → maps on the whole film, of the same mean."""
        return maps if self.crop is None or cropped.box is None else self.crop.on_film(maps, cropped.box)

    def without_crop(self, weights: Tensor | None = None) -> Classifier:
        """The same network with shared parameters, for cropped input; `weights` of the cells."""
        bare = Classifier(self.features, self.head, (0.0,) * 3, (1.0,) * 3)
        bare.weights = weights
        bare.scale, bare.shift = self.scale, self.shift
        return bare.train(self.training)


def fuse_batchnorm(network: Network) -> Network:
    """A copy in evaluation mode whose batch norms are folded into the convolutions before them (Jacob et al. 2018).

    Norms take half the time of a forward pass on a CPU. Networks from elsewhere keep theirs; converters fold those too.
    """
    twin = copy.deepcopy(network).eval()
    for unit in twin.modules():
        if isinstance(unit, Unit):
            unit.conv = fuse_conv_bn_eval(unit.conv, unit.norm)
            unit.norm = nn.Identity()  # type: ignore[assignment]
            unit.act = nn.ReLU6(inplace=True) if isinstance(unit.act, nn.ReLU6) else unit.act
    return twin


def fuse_input_scale(twin: Classifier, channels: int) -> bool:
    """Move the scale of the input into the first convolution: conv(scale · (gray + shift / scale)).

    It saves one product over the whole film, a thirtieth of a reading. The padding stays zero, since the sum is padded.
    Networks from elsewhere are unchanged.

    Returns:
        whether the first convolution now takes films as they are: of one channel, with no shift to add.
    """
    first = twin.features[0] if isinstance(twin.features, nn.Sequential) else None
    if not isinstance(first, Unit):
        return False
    alike = channels == 1 and not twin.shift.any()
    with torch.no_grad():
        first.conv.weight.mul_(twin.scale)
        twin.shift.div_(twin.scale)
        twin.scale.fill_(1.0)
        if alike:  # three equal channels: one is enough
            first.conv.weight = nn.Parameter(first.conv.weight.sum(1, keepdim=True))
            first.conv.in_channels = 1
    return bool(alike)
