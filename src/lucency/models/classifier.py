"""The network from film to logits: crop → normalise → features → pool → head.

Heads go from pooled features to logits, and from activations to the map that adds up to them. Both are exact and need
no gradient, so phone, browser and server get the map in the same forward pass. Only plain arithmetic is used, without
conditional indexing, so that every exporter supports each operation.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lucency.errors import UsageError
from lucency.models.layers import TTAView, Unit
from lucency.models.lung_crop import CroppedInput, LungCrop

HIDDEN = 128
LEAST_STEP = 1e-3
"""Between two cut points of an ordinal head."""


class Head(nn.Module):
    """The interface of heads: `head(p)`, `head.map(A)` and `head.constant(p)`, with p the mean of A over (h, w).

        head(p) = mean over (h, w) of head.map(A) + head.constant(p)        for every finding

    in eval mode, without dropout.
    """

    last: nn.Linear
    averaged: bool = True
    """Whether it reads the means of A, as the heads here do; those of imported networks may read all of it."""

    def pool(self, activations: Tensor, weights: Tensor | None = None) -> Tensor:
        """A (n, k, h, w) → what the head reads: means (n, k) over the cells, weighted where (n, h, w) are given."""
        return activations.mean((2, 3)) if weights is None else (activations * weights[:, None]).sum((2, 3))

    def map(self, activations: Tensor) -> Tensor:
        """A (n, k, h, w) → signed map (n, findings, h, w), in logits."""
        raise NotImplementedError

    def constant(self, pooled: Tensor) -> Tensor:
        """Pooled (n, k) → (n, findings): the part of each logit that has no place on the film."""
        raise NotImplementedError

    @property
    def findings(self) -> int:
        """Number of logits."""
        return self.last.out_features

    def set_bias(self, bias: Sequence[float]) -> None:
        """Set the initial logits, such as log(p / (1 - p)) of each finding's prior."""
        with torch.no_grad():
            self.last.bias.copy_(torch.tensor(list(bias)))


class Linear(Head):
    """Dropout → dense.

        M_f(i, j) = sum_k w_fk A_k(i, j)                Zhou et al. 2016, eq. 2
        logit_f = mean(M_f) + b_f

    Grad-CAM is ReLU(M) / (h · w) here too.
    """

    def __init__(self, channels: int, findings: int = 1, dropout: float = 0.2) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.last = nn.Linear(channels, findings)

    def forward(self, pooled: Tensor) -> Tensor:
        """Pooled (n, k) → logits (n, findings)."""
        logits: Tensor = self.last(self.drop(pooled))
        return logits

    def map(self, activations: Tensor) -> Tensor:
        """A (n, k, h, w) → signed map (n, findings, h, w), in logits."""
        return F.conv2d(activations, self.last.weight[:, :, None, None])

    def constant(self, pooled: Tensor) -> Tensor:
        """The bias: (n, findings)."""
        return self.last.bias.expand(pooled.shape[0], -1)


class Dense128(Head):
    """Dense 128 with ReLU → dropout → dense: piecewise linear, so the map is exact on the piece that contains the film.

        h = W1 p + b1,   s = 1[h > 0]
        g_f = W1ᵀ (s ∘ w2_f),   M_f = sum_k g_fk A_k        Selvaraju et al. 2017, eq. 1, before its ReLU
        logit_f = mean(M_f) + w2_f · (s ∘ b1) + b2_f

    Exact, since s does not change near the film.
    """

    def __init__(self, channels: int, findings: int = 1, dropout: float = 0.2) -> None:
        super().__init__()
        self.hidden = nn.Linear(channels, HIDDEN)
        self.act = nn.ReLU()
        self.drop = nn.Dropout(dropout)
        self.last = nn.Linear(HIDDEN, findings)

    def forward(self, pooled: Tensor) -> Tensor:
        """Pooled (n, k) → logits (n, findings)."""
        logits: Tensor = self.last(self.drop(self.act(self.hidden(pooled))))
        return logits

    def map(self, activations: Tensor) -> Tensor:
        """A (n, k, h, w) → signed map (n, findings, h, w), in logits."""
        n, _, height, width = activations.shape
        gains = self._open(activations.mean((2, 3))) @ self.hidden.weight  # g (n, findings, k)
        return (gains @ activations.flatten(2)).reshape(n, -1, height, width)

    def constant(self, pooled: Tensor) -> Tensor:
        """w2 · (s ∘ b1) + b2: (n, findings)."""
        return self._open(pooled) @ self.hidden.bias + self.last.bias

    def _open(self, pooled: Tensor) -> Tensor:
        """The product s ∘ w2, (n, findings, 128): the last weights, zero for inactive hidden units."""
        gate: Tensor = (self.hidden(pooled) > 0).to(pooled.dtype)
        return gate[:, None, :] * self.last.weight


class Ordinal(Head):
    """Cumulative link for k grades in order: one severity f, k - 1 rising cut points t, the first of them 0.

        P(grade > j) = sigmoid(f - t_j),   f = w · p + b   McCullagh 1980, proportional odds; as CORAL (Cao et al. 2020)
                                                           shares w between the grades, with cut points that rise
        logit_j = ln P(grade = j) = -softplus(t_(j-1) - f) - softplus(f - t_j) + ln(1 - exp(t_(j-1) - t_j))

    The logits are logarithms of probabilities, so their softmax is these, their cross-entropy is the likelihood, and no
    reader needs to know. To first order, with M_f = sum_k w_k A_k and g_j = d logit_j / d f:

        M_j = g_j M_f,   g_j = 1 - sigmoid(f - t_(j-1)) - sigmoid(f - t_j)
    """

    below: Tensor

    def __init__(self, channels: int, findings: int = 2, dropout: float = 0.2) -> None:
        super().__init__()
        if findings < 2:
            raise UsageError(f"[model] head = 'ordinal' needs two grades or more, received {findings}")
        self.grades = findings
        self.drop = nn.Dropout(dropout)
        self.last = nn.Linear(channels, 1)
        self.steps = nn.Parameter(torch.zeros(findings - 2))
        self.register_buffer("below", torch.ones(findings - 1, findings - 2).tril(-1))

    @property
    def findings(self) -> int:
        """Number of grades."""
        return int(self.grades)

    def cuts(self) -> Tensor:
        """The cut points t, (k - 1,), each at least LEAST_STEP above the one before."""
        return (self.below * (_softplus(self.steps) + LEAST_STEP)).sum(1)

    def forward(self, pooled: Tensor) -> Tensor:
        """Pooled (n, channels) → logits (n, k), logarithms of the grades' probabilities."""
        return self._logits(self.last(self.drop(pooled)))

    def map(self, activations: Tensor) -> Tensor:
        """A (n, channels, h, w) → signed map (n, k, h, w), in logits."""
        places = F.conv2d(activations, self.last.weight[:, :, None, None])
        return self._gains(places.mean((2, 3)) + self.last.bias)[:, :, None, None] * places

    def constant(self, pooled: Tensor) -> Tensor:
        """What the severity does not explain to first order: (n, k)."""
        severity: Tensor = self.last(pooled)
        return self._logits(severity) - self._gains(severity) * (severity - self.last.bias)

    def set_bias(self, bias: Sequence[float]) -> None:
        """Set severity and cut points so that the softmax of `bias`, one each grade, is the initial distribution."""
        shares = torch.tensor(list(bias), dtype=torch.float64).softmax(0)
        cuts = -torch.logit(shares.flip(0).cumsum(0).flip(0)[1:].clamp(1e-4, 1 - 1e-4))
        gaps = (cuts.diff() - LEAST_STEP).clamp(min=1e-3)
        with torch.no_grad():
            self.last.bias.copy_(-cuts[:1])
            self.steps.copy_(gaps + torch.log(-torch.expm1(-gaps)))  # the inverse of softplus

    def _logits(self, severity: Tensor) -> Tensor:
        cuts = self.cuts()
        over = severity - cuts  # (n, k - 1)
        above, below = -_softplus(-over), -_softplus(over)
        inner = above[:, :-1] + below[:, 1:] + torch.log(1 - torch.exp(cuts[:-1] - cuts[1:]))
        return torch.cat([below[:, :1], inner, above[:, -1:]], 1)

    def _gains(self, severity: Tensor) -> Tensor:
        over = torch.sigmoid(severity - self.cuts())
        return torch.cat([-over[:, :1], 1 - over[:, :-1] - over[:, 1:], 1 - over[:, -1:]], 1)


def _softplus(z: Tensor) -> Tensor:
    """ln(1 + exp z) without overflow, of operations that every target supports."""
    return torch.relu(z) + torch.log(1 + torch.exp(-torch.abs(z)))


HEADS: dict[str, type[Linear] | type[Dense128] | type[Ordinal]] = {
    "linear": Linear,
    "dense128": Dense128,
    "ordinal": Ordinal,
}
"""Names of heads in recipes."""


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
        tta: Sequence[TTAView] = (TTAView(),),
    ) -> None:
        """Assemble the network.

        Args:
            features: the backbone.
            head: from its pooled features to logits.
            mean, std: of the backbone's channels, on a scale of 0..1; unused with a crop, which standardises.
            crop: crops films to the lungs; None reads whole films.
            tta: the views in which whole films are read.
        """
        super().__init__()
        self.crop = crop
        self.tta = tuple(tta)
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
        """The backbone's input for films (n, channels, s, s): each view of all films after the one before."""
        if self.crop is not None:
            cropped: CroppedInput = self.crop(films)
            return cropped
        if not self.reads_plainly:
            films = torch.cat([view.of(films) for view in self.tta])
        return CroppedInput(films, self.weights, None, None)

    def forward_features(self, pixels: Tensor) -> Tensor:
        """The backbone's input (n, channels, t, t) → A (n, k, h, w), the activations entering the pool."""
        found: Tensor = self.features(self.normalise(pixels))
        return found

    def activations(self, films: Tensor) -> Tensor:
        """Films (n, channels, s, s) → A (v · n, k, h, w) of each view, of the lungs' box where there is a crop."""
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
        if cropped.weights is not None:
            evidence = evidence * cropped.weights[:, None] * (evidence.shape[2] * evidence.shape[3])
        return self.mean_of_views(self.on_film(evidence, cropped))

    @property
    def reads_plainly(self) -> bool:
        """Whether each film is read once, whole and as it is."""
        return self.crop is None and self.tta == (TTAView(),)

    @property
    def views(self) -> int:
        """How many views of each film are read."""
        return len(self.tta) if self.crop is None else len(self.crop.scales)

    def mean_of_views(self, found: Tensor) -> Tensor:
        """(v · n, …) → (n, …)."""
        if self.views == 1:
            return found
        return found.reshape(self.views, len(found) // self.views, *found.shape[1:]).mean(0)

    def on_film(self, maps: Tensor, cropped: CroppedInput) -> Tensor:
        """Maps (v · n, f, h, w) of each view → maps on the whole film, of the same mean."""
        if self.crop is not None and cropped.box is not None:
            return self.crop.on_film(maps, cropped.box)
        if self.crop is not None or self.reads_plainly:
            return maps
        each = maps.reshape(self.views, len(maps) // self.views, *maps.shape[1:])
        return torch.cat([view.on_film(each[number]) for number, view in enumerate(self.tta)])

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
