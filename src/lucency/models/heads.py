"""Heads: from pooled features to logits, and from activations to the map that adds up to them.

Both are exact and need no gradient, so phone, browser and server get the map in the same forward pass. Only plain
arithmetic is used, without conditional indexing, so that every exporter supports each operation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN = 128


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


HEADS: dict[str, type[Linear] | type[Dense128]] = {"linear": Linear, "dense128": Dense128}
"""Names of heads in recipes."""
