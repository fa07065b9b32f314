"""Knowing when not to answer: sets of labels that hold the true one with a stated coverage, whatever the network.

A label y is in the set of a film whose probability of y is at least least[y]. That number is a quantile, over films of
y that were set aside, of the probability of y: split conformal prediction, label by label (Vovk, Gammerman & Shafer
2005; Papadopoulos et al. 2002). The set is {normal}, {pneumonia}, both (not enough evidence) or none (unlike either).

    coverage: of the films of each label, at least this share have it in their set

holds for any network and any distribution, if the new films come from where the fitted ones came from. Films of one
patient are alike, so patients count, not films: each patient has weight 1 / (K + 1), shared by its films (Lee, Barber
& Willett 2023, hierarchical conformal prediction). A calibration that rises changes no set, so both may be fitted on
the same films.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lucency.errors import UsageError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
UNCERTAIN = "uncertain"
"""The verdict where the set does not hold the called label alone: refer."""


def fit_least(
    chances: NDArray[np.floating], labels: NDArray[np.int64], groups: NDArray[np.int64], coverage: float
) -> tuple[float, ...]:
    """The least probability of each label with which it is in a film's set.

    Args:
        chances: (n, k), the probability of each label, of films that the network was not trained on.
        labels: (n,), which label is true.
        groups: (n,), films with the same number show the same patient.
        coverage: what share of the films of each label should have it in their set.

    Returns:
        k numbers; 0, always in the set, for a label of too few patients to promise the coverage: fewer than
        coverage / (1 - coverage).

    Raises:
        UsageError: `coverage` does not lie between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise UsageError(f"expected a coverage between 0 and 1, such as 0.95; received {coverage:g}")
    own = [labels == label for label in range(chances.shape[1])]
    return tuple(_least(chances[mine, label], groups[mine], coverage) for label, mine in enumerate(own))


def _least(chance: NDArray[np.floating], groups: NDArray[np.int64], coverage: float) -> float:
    """The largest p such that patients of weight `coverage` have at least p, one more patient having nothing."""
    _, patient, films = np.unique(groups, return_inverse=True, return_counts=True)
    weight = 1 / ((len(films) + 1) * films[patient])
    order = np.argsort(-chance, kind="stable")
    covered = np.flatnonzero(np.cumsum(weight[order]) >= coverage - 1e-12)
    return float(chance[order][covered[0]]) if len(covered) else 0.0


def label_chances(probabilities: NDArray[np.floating], task: str) -> NDArray[np.floating]:
    """The probability of each label (n, k), from the answers (n, f): those of a binary task are of the positive one."""
    return np.concatenate([1 - probabilities, probabilities], axis=1) if task == "binary" else probabilities


def label_sets(probabilities: NDArray[np.floating], task: str, least: tuple[float, ...]) -> Bools:
    """Which labels each film may have: bool (n, k)."""
    return np.asarray(label_chances(probabilities, task) >= np.array(least, dtype=probabilities.dtype))


def alone(sets: Bools, called: NDArray[np.int64]) -> Bools:
    """Whether a film's set holds the called label (n,) and no other; elsewhere the verdict is UNCERTAIN."""
    held = np.take_along_axis(sets, called[:, None], axis=1)[:, 0]
    return np.asarray(held & (sets.sum(axis=1) == 1))
