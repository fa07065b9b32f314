"""Two readers on the same films: does one rank better, is one right more often?

Areas under ROC curves are compared as DeLong, DeLong & Clarke-Pearson 1988 do, with the covariance of Obuchowski 1997
(Biometrics 53:567), which lets films of one patient depend on each other and is DeLong's own where each film shows
another patient. Right answers are compared by McNemar's exact test (McNemar 1947) and its mid-p (Fagerland, Lydersen &
Laake 2013), by patient: under the null hypothesis the two readers' answers to a patient could as well be exchanged, so
each patient's balance of right answers keeps its size and tosses a coin for its sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NORMAL = NormalDist()
LEVEL = 0.95


@dataclass(frozen=True)
class Areas:
    """Two areas under the ROC curve on the same films."""

    a: float
    b: float
    error_a: float
    """Standard error of `a`."""
    error_b: float
    error: float
    """Standard error of the difference."""
    correlation: float
    """Of the two areas; NaN where one has no spread."""

    @property
    def difference(self) -> float:
        """`a` minus `b`."""
        return self.a - self.b

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference."""
        half = NORMAL.inv_cdf((1 + LEVEL) / 2) * self.error
        return self.difference - half, self.difference + half

    @property
    def p(self) -> float:
        """Chance of a difference as large or larger where there is none."""
        if self.error == 0:
            return 1.0 if self.difference == 0 else 0.0
        return 2 * NORMAL.cdf(-abs(self.difference) / self.error)


@dataclass(frozen=True)
class Balance:
    """Who was right where the other was wrong."""

    only_a: int
    """Films that only the first reader got right."""
    only_b: int
    films: int
    exact: float
    """Two-sided p."""
    mid_p: float
    """Two-sided, half of what is as likely as what was seen; the one to prefer."""

    @property
    def difference(self) -> float:
        """Share right, first minus second."""
        return (self.only_a - self.only_b) / self.films


def compare_areas(truth: Bools, a: Floats, b: Floats, groups: Ints) -> Areas | None:
    """Compare how two readers rank the same films.

        A_r = mean_i V_ri,  V_ri = share of films without the finding that reader r puts below film i
        Cov = S10 / m² + S01 / n² + S11 / mn, sums over patients     Obuchowski 1997, eq. 5 to 9

    Args:
        truth: (n,), whether each film has the finding.
        a: (n,), the first reader's scores.
        b: (n,), the second's.
        groups: (n,), films with the same number show the same patient.

    Returns:
        None where films with or without the finding are missing.
    """
    if truth.all() or not truth.any():
        return None
    ill, well = (_excess(truth, np.stack([a, b]), side) for side in (True, False))
    area_a, area_b = (float(_placements(score[truth], score[~truth]).mean()) for score in (a, b))
    patient = np.unique(groups, return_inverse=True)[1]
    by_ill, by_well = _by_patient(ill, patient[truth], patient), _by_patient(well, patient[~truth], patient)
    crossed = by_ill @ by_well.T
    covariance = (
        _unbiased(patient[truth]) * by_ill @ by_ill.T
        + _unbiased(patient[~truth]) * by_well @ by_well.T
        + _unbiased(patient) * (crossed + crossed.T)
    )
    # Without two films of one patient that differ in truth the crossed term is exactly 0, as in DeLong.
    own = np.sqrt(np.maximum(np.diag(covariance), 0))
    spread = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    correlation = covariance[0, 1] / (own[0] * own[1]) if own.all() else np.nan
    return Areas(area_a, area_b, float(own[0]), float(own[1]), float(np.sqrt(max(spread, 0.0))), float(correlation))


def pulls(truth: Bools, score: Floats, groups: Ints) -> Floats:
    """How far each patient pulls the area under the ROC curve, by the films with the finding and by those without.

    Args:
        truth, score, groups: (n,), with films of both kinds.

    Returns:
        float64 (patients,); the sum is 0.
    """
    patient = np.unique(groups, return_inverse=True)[1]
    scores = np.asarray(score, dtype=np.float64)[None]
    sides = [_by_patient(_excess(truth, scores, side), patient[truth == side], patient)[0] for side in (True, False)]
    return np.asarray(sides[0] + sides[1])


def compare_right(right_a: Bools, right_b: Bools, groups: Ints) -> Balance:
    """Compare how often two readers are right on the same films, by patient.

    Args:
        right_a: (n,), whether the first reader was right.
        right_b: (n,), the second.
        groups: (n,), films with the same number show the same patient.
    """
    patient = np.unique(groups, return_inverse=True)[1]
    balance = np.bincount(patient, weights=right_a.astype(np.float64) - right_b).astype(np.int64)
    chances = _coin_sums(np.abs(balance[balance != 0]))
    middle = len(chances) // 2
    far = np.abs(np.arange(len(chances)) - middle)
    seen = abs(int(balance.sum()))
    exact = float(chances[far >= seen].sum())
    as_likely = float(chances[far == seen].sum())
    return Balance(
        only_a=int((right_a & ~right_b).sum()),
        only_b=int((right_b & ~right_a).sum()),
        films=len(right_a),
        exact=min(1.0, exact),
        mid_p=min(1.0, exact - as_likely / 2),
    )


def _coin_sums(sizes: Ints) -> Floats:
    """Chance of each sum from -total to total when every size tosses a coin for its sign."""
    total = int(sizes.sum())
    chances = np.zeros(2 * total + 1)
    chances[total] = 1.0
    for size in sizes:
        chances = (np.roll(chances, size) + np.roll(chances, -size)) / 2
    return chances


def _placements(scores: Floats, others: Floats) -> Floats:
    """Share of `others` below each score, equal ones counting half."""
    ranked = np.sort(others)
    below = np.searchsorted(ranked, scores, "left") + np.searchsorted(ranked, scores, "right")
    return np.asarray(below / (2 * len(others)))


def _excess(truth: Bools, scores: Floats, side: bool) -> Floats:
    """Placement of each film of one side less the area, over the films of that side: (2, films)."""
    here, there = truth == side, truth != side
    rows = [_placements(score[here], score[there]) for score in (scores if side else -scores)]
    return np.stack([(row - row.mean()) / len(row) for row in rows])


def _by_patient(excess: Floats, patient: Ints, everyone: Ints) -> Floats:
    """Sums of (2, films) over each patient's films: (2, patients)."""
    people = int(everyone.max()) + 1
    return np.stack([np.bincount(patient, weights=row, minlength=people) for row in excess])


def _unbiased(patient: Ints) -> float:
    people = len(np.unique(patient))
    return people / max(people - 1, 1)
