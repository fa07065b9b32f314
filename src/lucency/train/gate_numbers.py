"""The numbers of the gate, fitted to thumbnails and features: nothing here knows films or networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lucency.errors import SourceError
from lucency.models.gate import CELLS, CHECKS, Gate, gate_from

FOLDS = 5
LEAST = 50
"""Films below which no Gaussian is fitted."""
DIRECTIONS = {"layout": 16, "features": 64}
"""Principal directions of each Gaussian; a fourth of the films at most."""
TURNS = {"upside_down": 1, "mirrored": 2}
"""Which axis of a thumbnail (n, rows, columns) is turned round for each line."""
SPOILED = 30.0
"""Numbers that a direction of spoiling counts for in the distance of the features, among a thousand."""
STIFF = 1.0
"""Inverse strength of the pull towards zero weights, as scikit-learn's C."""
Floats = NDArray[np.float64]


def numbers(small: Floats, features: Floats, spoiled: Sequence[Floats] = ()) -> dict[str, torch.Tensor]:
    """What `models.gate.gate_from` takes.

    Args:
        small: (n, 64), thumbnails.
        features: (m, k), directions of features.
        spoiled: for each kind of spoiling, directions of features (p, k) of films spoiled so.
    """
    found = {"layout": gaussian(small, DIRECTIONS["layout"])}
    found |= {name: line(small, axis) for name, axis in TURNS.items()}
    found["features"] = watching(gaussian(features, DIRECTIONS["features"]), features, spoiled)
    return {f"{name}.{key}": value for name, part in found.items() for key, value in part.items()}


def doubts_of(gate: Gate, small: Floats, features: Floats) -> Floats:
    """Doubt (n, 4) of films with these thumbnails (n, 64) and directions of features (n, k)."""
    x, y = (torch.from_numpy(part).float() for part in (small, features))
    with torch.inference_mode():
        columns = [gate.layout(x), gate.upside_down(x), gate.mirrored(x), gate.features(y)]
    return np.asarray(torch.cat(columns, 1).double().numpy())


def crossfitted(small: Floats, groups: NDArray[np.int64], asked: Floats | None = None) -> Floats:
    """What the checks on thumbnails say of each film when fitted on other patients: (n, 3).

    Args:
        small: (n, 64), thumbnails to fit.
        groups: (n,), the patient of each.
        asked: (n, 64), thumbnails to judge in their place, such as the same ones turned; by default themselves.
    """
    asked = small if asked is None else asked
    found = np.empty((len(small), len(CHECKS) - 1))
    nothing = np.eye(LEAST, 2)  # the features are not asked
    for fold in range(FOLDS):
        held = groups % FOLDS == fold
        gate = gate_from(numbers(small[~held], nothing))
        found[held] = doubts_of(gate, asked[held], np.zeros((int(held.sum()), 2)))[:, :-1]
    return found


def gaussian(x: Floats, axes_kept: int) -> dict[str, torch.Tensor]:
    """The numbers of models.gate.Gaussian by probabilistic PCA (Tipping & Bishop 1999, eq. 7 and 8).

    Args:
        x: (n, d), of films learned from.
        axes_kept: how many principal directions; the rest is even noise.

    Raises:
        SourceError: fewer than 50 films.
    """
    if len(x) < LEAST:
        raise SourceError(f"a gate is learned from at least {LEAST} films, received {len(x)}")
    kept = min(axes_kept, len(x) // 4, x.shape[1] - 1)
    mean = x.mean(axis=0)
    _, lengths, axes = np.linalg.svd(x - mean, full_matrices=False)
    spread = np.zeros(x.shape[1])
    spread[: len(lengths)] = lengths**2 / (len(x) - 1)
    noise = max(float(spread[kept:].mean()), 1e-9)
    gains = 1 / np.maximum(spread[:kept], noise) - 1 / noise
    found = {"mean": mean, "directions": axes[:kept], "gains": gains, "noise": np.array([noise])}
    return {name: torch.from_numpy(value).float() for name, value in found.items()}


def watching(found: dict[str, torch.Tensor], features: Floats, spoiled: Sequence[Floats]) -> dict[str, torch.Tensor]:
    """The Gaussian `found` of `features`, with one more direction for each kind of spoiling, weighed SPOILED times.

        v = C^-1 (mean of the spoiled - mean), |v| = 1;  gain = SPOILED / variance along v

    The direction that tells the spoiled best (Fisher 1936), C being the covariance of the Gaussian. A network moves
    little where films are spoiled, next to a thousand directions in which films differ; shown a few (outlier exposure,
    Hendrycks, Mazeika & Dietterich 2019), the distance sees it.
    """
    if not spoiled:
        return found
    mean, axes, gains, noise = (found[name].double().numpy() for name in ("mean", "directions", "gains", "noise"))
    moved = np.stack([part.mean(axis=0) - mean for part in spoiled])
    ways = moved / noise + (moved @ axes.T * gains) @ axes
    ways /= np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-12)
    spread = np.maximum(((features - mean) @ ways.T).var(axis=0), 1e-12)
    more = {"directions": np.concatenate([axes, ways]), "gains": np.concatenate([gains, SPOILED / spread])}
    return found | {name: torch.from_numpy(value).float() for name, value in more.items()}


def line(small: Floats, axis: int) -> dict[str, torch.Tensor]:
    """The numbers of models.gate.Line: logistic regression that tells thumbnails from themselves turned round.

    Args:
        small: (n, 64), of films learned from.
        axis: 1, top and bottom change places; 2, left and right.
    """
    from sklearn.linear_model import LogisticRegression

    turned = np.flip(small.reshape(-1, CELLS, CELLS), axis).reshape(small.shape)
    rule = LogisticRegression(C=STIFF, max_iter=1000)
    rule.fit(np.concatenate([small, turned]), np.repeat([0, 1], len(small)))
    found = {"weight": rule.coef_.T, "bias": rule.intercept_}
    return {name: torch.from_numpy(np.ascontiguousarray(value)).float() for name, value in found.items()}
