"""Bounds where nothing went wrong (or everything did), so that a bootstrap has nothing to vary.

390 of 390 found is no proof of a sensitivity of exactly 1. The bounds are those of Clopper & Pearson 1934 with one
trial a patient: films of one patient are alike, so only patients count as evidence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lucency.evaluate.metrics import Finding

LEVEL = 0.95


def clopper_pearson(hits: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Exact interval of a proportion (Clopper & Pearson 1934).

    >>> tuple(round(bound, 4) for bound in clopper_pearson(20, 20))
    (0.8316, 1.0)
    """
    from scipy.special import betaincinv  # here, because it takes longer to import than reading a film

    tail = (1 - level) / 2
    low = float(betaincinv(hits, trials - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, trials - hits, 1 - tail)) if hits < trials else 1.0
    return low, high


def bounds_without_variation(
    name: str, value: float, finding: Finding, groups: NDArray[np.int64]
) -> tuple[float, float] | None:
    """Bounds of a metric that came out as exactly 0 or 1; None for one that has no such bound.

    For the area under the ROC curve, min(p, q) patients with and without the finding make that many disjoint pairs,
    independent trials that each succeed with the area's probability; all of them did.
    """
    truth, called = finding.truth, finding.called
    among: dict[str, NDArray[np.bool_]] = {
        "accuracy": np.ones_like(truth),
        "sensitivity": truth,
        "specificity": ~truth,
        "precision": called,
        "npv": ~called,
        "f1": truth | called,
    }
    if value not in (0.0, 1.0) or (name not in among and name != "auroc"):
        return None
    if name == "auroc":
        trials = min(_patients(truth, groups), _patients(~truth, groups))
    else:
        trials = _patients(among[name], groups)
    low, high = clopper_pearson(trials if value == 1.0 else 0, trials)
    # F1 is 2 j / (1 + j) where j is the share of right answers among films that have the finding or are called it.
    return (2 * low / (1 + low), 2 * high / (1 + high)) if name == "f1" else (low, high)


def _patients(where: NDArray[np.bool_], groups: NDArray[np.int64]) -> int:
    return len(np.unique(groups[where]))
