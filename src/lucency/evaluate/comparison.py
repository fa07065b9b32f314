"""Two readers on the same films: does one rank better, is one right more often, and could so few films show it?

AUROCs are compared by DeLong's test (DeLong, DeLong & Clarke-Pearson 1988) with the covariance of Obuchowski 1997
(Biometrics 53:567), which lets films of one patient depend on each other. Right calls are compared by McNemar's exact
test (McNemar 1947) and its mid-p (Fagerland, Lydersen & Laake 2013), by patient: under the null hypothesis the two
readers' calls for a patient may be exchanged, so each patient's difference keeps its size and a coin gives its sign.
Neither scipy nor scikit-learn has a test by patient.

A detectable difference is the one that a two-sided test at 5 % finds in four of five studies of this size, so that "no
difference" is not read out of too few films.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from lucency.arrays import Bools, Floats, Ints
from lucency.errors import SourceError
from lucency.evaluate.confidence_intervals import LEVEL, auroc_covariance, bootstrap, finite
from lucency.evaluate.metrics import COUNTED, Finding, auroc, count
from lucency.evaluate.predictions import PerFinding, Predictions
from lucency.evaluate.report import findings

COMPARED = ("accuracy", "sensitivity", "specificity")
"""Shares of right calls: of all films, of those with the finding, of those without."""
NORMAL = NormalDist()
ALPHA, POWER = 0.05, 0.80
Z_TEST, Z_POWER = NORMAL.inv_cdf(1 - ALPHA / 2), NORMAL.inv_cdf(POWER)


@dataclass(frozen=True)
class DeLong:
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
        """Chance of a difference as large or larger between equal readers."""
        if self.error == 0:
            return 1.0 if self.difference == 0 else 0.0
        return 2 * NORMAL.cdf(-abs(self.difference) / self.error)

    def to_json(self) -> dict[str, Any]:
        """The JSON fields."""
        low, high = self.interval
        return {
            "a": self.a,
            "b": self.b,
            "difference": self.difference,
            "low": low,
            "high": high,
            "p": self.p,
            "correlation": finite(self.correlation),
            "detectable": detectable_difference(self.error) if self.error else None,
        }


@dataclass(frozen=True)
class McNemar:
    """How often just one of two readers is right."""

    only_a: int
    """Films that only the first reader gets right."""
    only_b: int
    films: int
    exact: float
    """Two-sided p."""
    mid_p: float
    """Two-sided p with half of the probability of the observed outcome (mid-p); the one to prefer."""

    @property
    def difference(self) -> float:
        """Share right, first minus second."""
        return (self.only_a - self.only_b) / self.films


@dataclass(frozen=True)
class Contrast:
    """One share of right calls of two readers, first minus second."""

    name: str
    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None
    """95 % interval of the difference, by patient."""
    balance: McNemar | None
    """By patient; None where no film counts."""
    detectable: float | None
    """The difference that films like these show four times in five; None where none would be."""


@dataclass(frozen=True)
class Comparison:
    """Two readers on one finding."""

    finding: str
    areas: DeLong | None
    contrasts: tuple[Contrast, ...]

    def to_json(self) -> dict[str, Any]:
        """The JSON fields."""
        return {
            "finding": self.finding,
            "auroc": None if self.areas is None else self.areas.to_json(),
            "shares": [asdict(contrast) for contrast in self.contrasts],
        }


def compare(
    a: Predictions,
    b: Predictions,
    thresholds: tuple[PerFinding, PerFinding] = (0.5, 0.5),
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """Compare two readers, finding by finding.

    Args:
        a, b: predictions of the same films, in any order.
        thresholds: at which each reader calls a finding.
        resamples, seed: of the bootstrap by patient.

    Raises:
        SourceError: the films or their labels differ.
    """
    b = align(a, b)
    groups = a.groups()
    return tuple(
        Comparison(
            one.name,
            delong_test(one.truth, one.score, other.score, groups),
            _contrasts(one, other, groups, resamples, seed),
        )
        for one, other in zip(findings(a, thresholds[0]), findings(b, thresholds[1]), strict=True)
    )


def align(a: Predictions, b: Predictions) -> Predictions:
    """`b` with its films in the order of `a`.

    Raises:
        SourceError: films, labels or the task differ.
    """
    if (a.task, a.label_names) != (b.task, b.label_names):
        raise SourceError(
            f"expected two readers with the same labels, received {', '.join(a.label_names)} ({a.task}) and "
            f"{', '.join(b.label_names)} ({b.task})"
        )
    place = {name: index for index, name in enumerate(b.names)}
    missing, extra = [name for name in a.names if name not in place], set(b.names) - set(a.names)
    if missing or extra:
        raise SourceError(
            f"expected two readers on the same films; {len(missing)} are only in the first and {len(extra)} only in "
            "the second; evaluate both on the same data"
        )
    b = b.pick([place[name] for name in a.names])
    if wrong := int((a.labels != b.labels).reshape(len(a), -1).any(axis=1).sum()):
        raise SourceError(f"expected the same films to have the same labels, {wrong} differ; evaluate both again")
    return b


def delong_test(truth: Bools, a: Floats, b: Floats, groups: Ints) -> DeLong | None:
    """Compare how two readers rank the same films.

    Args:
        truth: (n,), whether each film has the finding.
        a, b: (n,), the scores of each reader.
        groups: (n,), films with the same number show the same patient.

    Returns:
        None where films with or without the finding are missing.
    """
    if truth.all() or not truth.any():
        return None
    covariance = auroc_covariance(truth, np.stack([a, b]), groups)
    own = np.sqrt(np.maximum(np.diag(covariance), 0))
    spread = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    correlation = covariance[0, 1] / (own[0] * own[1]) if own.all() else np.nan
    error = float(np.sqrt(max(spread, 0.0)))
    return DeLong(auroc(truth, a), auroc(truth, b), float(own[0]), float(own[1]), error, float(correlation))


def mcnemar_test(right_a: Bools, right_b: Bools, groups: Ints) -> McNemar:
    """Compare how often two readers are right on the same films, by patient.

    Args:
        right_a, right_b: (n,), whether each reader is right.
        groups: (n,), films with the same number show the same patient.
    """
    patient = np.unique(groups, return_inverse=True)[1]
    balance = np.bincount(patient, weights=right_a.astype(np.float64) - right_b).astype(np.int64)
    chances = _coin_sums(np.abs(balance[balance != 0]))
    far = np.abs(np.arange(len(chances)) - len(chances) // 2)
    observed = abs(int(balance.sum()))
    exact, as_likely = float(chances[far >= observed].sum()), float(chances[far == observed].sum())
    return McNemar(
        only_a=int((right_a & ~right_b).sum()),
        only_b=int((right_b & ~right_a).sum()),
        films=len(right_a),
        exact=min(1.0, exact),
        mid_p=min(1.0, exact - as_likely / 2),
    )


def _coin_sums(sizes: Ints) -> Floats:
    """Chance of each sum from -total to total when a coin gives the sign of every size."""
    total = int(sizes.sum())
    chances = np.zeros(2 * total + 1)
    chances[total] = 1.0
    for size in sizes:
        chances = (np.roll(chances, size) + np.roll(chances, -size)) / 2
    return chances


def detectable_difference(error: float) -> float:
    """The detectable difference for its standard error: (z_test + z_power) error.

    >>> round(detectable_difference(0.01), 4)
    0.028
    """
    return (Z_TEST + Z_POWER) * error


def detectable_auroc(error: float, correlation: float = 0.5) -> float:
    """The detectable difference in AUROC to another reader of the same films that is about as good.

    Args:
        error: standard error of one reader's area.
        correlation: of the two areas; 0.5 is usual for readers of the same films (Hanley & McNeil 1983).
    """
    return detectable_difference(error * float(np.sqrt(2 * (1 - correlation))))


def detectable_proportion(films: float, differing: float) -> float | None:
    """The detectable difference in shares right, by McNemar's test (Connor 1987, eq. 3).

        films d² = (z_test √ψ + z_power √(ψ - d²))²

    Args:
        films: independent ones; fewer than there are where patients have several.
        differing: ψ, the share of films on which just one of the readers is right.

    Returns:
        d, or None where even the largest possible, ψ, would not be found.
    """

    def is_found(difference: float) -> bool:
        needed = Z_TEST * np.sqrt(differing) + Z_POWER * np.sqrt(max(differing - difference**2, 0.0))
        return bool(films * difference**2 >= needed**2)

    if not 0 < differing <= 1 or not is_found(differing):
        return None
    low, high = 0.0, differing
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if is_found(middle) else (middle, high)
    return high


def _contrasts(one: Finding, other: Finding, groups: Ints, resamples: int, seed: int) -> tuple[Contrast, ...]:
    metrics = [COUNTED[name] for name in COMPARED]

    def statistic(weights: Floats) -> Floats:
        first, second = count(one, weights), count(other, weights)
        a, b = (np.stack([metric(counts) for metric in metrics], axis=1) for counts in (first, second))
        return np.concatenate([a, b, a - b], axis=1)

    result = bootstrap(statistic, groups, resamples, seed)
    among = {"accuracy": np.ones_like(one.truth), "sensitivity": one.truth, "specificity": ~one.truth}
    right = one.called == one.truth, other.called == other.truth
    made = []
    for i, name in enumerate(COMPARED):
        here = among[name]
        balance = mcnemar_test(right[0][here], right[1][here], groups[here]) if here.any() else None
        a, b, difference = (finite(result.value[i + k * len(COMPARED)]) for k in range(3))
        at = i + 2 * len(COMPARED)
        low, high = (None, None) if result.fixed[at] else (finite(result.low[at]), finite(result.high[at]))
        detectable = _detectable(right[0][here], right[1][here], groups[here])
        made.append(Contrast(name, a, b, difference, low, high, balance, detectable))
    return tuple(made)


def _detectable(right_a: Bools, right_b: Bools, groups: Ints) -> float | None:
    """What these films can show, counting as many independent films as the spread by patient is worth."""
    gain = right_a.astype(np.float64) - right_b
    if not gain.any():
        return None
    by_patient = np.bincount(groups, weights=gain)
    # Films of a patient that err together count for less: by how much the sum varies more than independent films.
    effect = max(1.0, float(np.square(by_patient).sum() / np.square(gain).sum()))
    return detectable_proportion(len(gain) / effect, float(np.abs(gain).mean()))
