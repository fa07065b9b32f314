"""Heads: from pooled features to logits, and from activations to the map that adds up to them.

Both are exact and need no gradient, so phone, browser and server get the map in the same forward pass. Only plain
arithmetic is used, without conditional indexing, so that every exporter supports each operation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lucency.errors import UsageError

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
