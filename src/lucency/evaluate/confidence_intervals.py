"""95 % intervals by patient: closed forms for proportions and AUROC, a bootstrap for every other statistic.

Films of one patient are alike, so patients are the unit, not films; that is why these are our own. A proportion gets
Wilson's interval (1927) of as many films as the patients are worth (Kish 1965; Korn & Graubard 1998), and an AUROC the
spread of its patients (Obuchowski 1997) in log-odds, with as many degrees of freedom as there are patients that matter
(Satterthwaite 1946). A bootstrap of a proportion near 1 has few errors to vary and covers the truth too seldom; the
closed forms cover it in 95 % of simulated studies (benchmarks/coverage.py).

The bootstrap resamples patients (Davison & Hinkley 1997, section 3.8). Its interval is BCa: bias-corrected and
accelerated (Efron 1987; Efron & Tibshirani 1993, chapter 14), the acceleration by a jackknife over patients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from lucency.arrays import Bools, Floats, Ints
from lucency.evaluate.metrics import Finding, auroc, auroc_influence, calibration_gaps

Interval = tuple[float, float]
Statistic = Callable[[Floats], Floats]
"""Takes weights (b, n) over n films and gives (b, m): m figures for each of b weighted sets."""

NORMAL = NormalDist()
LEVEL = 0.95
METHOD = (
    "shares by Wilson 1927 with the design effect of patients, AUROC in log-odds by the spread of patients (Obuchowski "
    "1997), all others by BCa bootstrap (Efron 1987)"
)
"""The method, as reports state it."""
CHUNK = 1_000_000
"""Weights held at once, so that memory does not grow with films or resamples."""
BLOCKS = 500
"""The most sets of the jackknife: leaving out patients or blocks of them gives the same acceleration."""
MIN_DEFINED = 0.9
"""A figure that is undefined in more resamples than this leaves gets no interval."""
PSEUDO_WEIGHT = 0.5
"""Weight of each of two imagined patients, one all right and one all wrong. Where a handful of patients err, they may
happen to err on one film each, and films seem independent: without the two, coverage falls to 93 %."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.value is None:
            return "not defined"
        interval = "" if self.low is None or self.high is None else f" ({self.low:.3f} to {self.high:.3f})"
        return f"{self.value:.3f}{interval}"


@dataclass(frozen=True)
class Intervals:
    """m figures with their intervals, each float64 (m,); NaN where there is none."""

    value: Floats
    low: Floats
    high: Floats
    fixed: NDArray[np.bool_]
    """Where every resample gives the same figure, so that resampling does not show its uncertainty."""

    def estimate(self, i: int) -> Estimate:
        """Figure `i`; without an interval where one bound is missing."""
        value, low, high = (finite(part[i]) for part in (self.value, self.low, self.high))
        return Estimate(value) if low is None or high is None else Estimate(value, low, high)


def finite(value: float | np.floating) -> float | None:
    """`value`, or None where it is NaN or infinite."""
    return float(value) if np.isfinite(value) else None


def metric_interval(name: str, finding: Finding, groups: Ints, level: float = LEVEL) -> Interval | None:
    """Interval of a metric in closed form; None where the metric has none, or is not defined.

    Args:
        name: a row of metrics.METRICS.
        finding: of n films.
        groups: (n,), films with the same number show the same patient.
        level: of the interval.
    """
    truth, called = finding.truth, finding.called
    right = truth == called
    proportions = {
        "accuracy": (right, np.ones_like(truth)),
        "sensitivity": (right, truth),
        "specificity": (right, ~truth),
        "precision": (right, called),
        "npv": (right, ~called),
        "f1": (right, truth | called),
    }
    if name == "auroc":
        return auroc_interval(truth, finding.score, groups, level)
    if name not in proportions or not proportions[name][1].any():
        return None
    low, high = proportion_interval(*proportions[name], groups, level)
    # F1 is 2 j / (1 + j) where j is the share of right answers among films that have the finding or are called it.
    return (2 * low / (1 + low), 2 * high / (1 + high)) if name == "f1" else (low, high)


def proportion_interval(right: Bools, among: Bools, groups: Ints, level: float = LEVEL) -> Interval:
    """Interval of the share of `right` films among the films `among`, at least one.

        n = films / effect;  (p + z²/2n ± z √(p (1-p) / n + z²/4n²)) / (1 + z²/n)    Wilson 1927

    With one film a patient the effect is 1. Where all are right, or none, exact bounds with one trial a patient.

    Args:
        right, among, groups: (n,).
        level: of the interval.
    """
    share = float(right[among].mean())
    if share in (0.0, 1.0):
        patients = len(np.unique(groups[among]))
        return clopper_pearson(patients if share else 0, patients, level)
    return wilson(share, float(among.sum()) / design_effect(right[among], groups[among]), level)


def design_effect(right: Bools, groups: Ints) -> float:
    """How much more a share of these films varies than one of as many independent films (Kish 1965, section 5.4).

        effect = sum_g (r_g - p n_g)² / sum_g n_g p (1 - p)

    over patients g with r_g right films of n_g, and the two of PSEUDO_WEIGHT, who have as many films as the patient of
    a film has on average.

    Args:
        right, groups: (n,), n at least 1.
    """
    patient = np.unique(groups, return_inverse=True)[1]
    films = np.bincount(patient).astype(np.float64)
    hits = np.bincount(patient, weights=right)
    usual = float((films**2).sum() / films.sum())
    weight = np.append(np.ones(len(films)), [PSEUDO_WEIGHT, PSEUDO_WEIGHT])
    films, hits = np.append(films, [usual, usual]), np.append(hits, [usual, 0.0])
    share = float(weight @ hits / (weight @ films))
    return float(weight @ (hits - share * films) ** 2 / ((weight @ films) * share * (1 - share)))


def wilson(share: float, trials: float, level: float = LEVEL) -> Interval:
    """Score interval of a proportion (Wilson 1927); `trials` need not be whole, as they must be in scipy.

    >>> tuple(round(bound, 4) for bound in wilson(0.9, 100))
    (0.8256, 0.9448)
    """
    z = NORMAL.inv_cdf((1 + level) / 2)
    middle = share + z * z / (2 * trials)
    half = z * (share * (1 - share) / trials + z * z / (4 * trials**2)) ** 0.5
    return (middle - half) / (1 + z * z / trials), (middle + half) / (1 + z * z / trials)


def clopper_pearson(hits: int, trials: int, level: float = LEVEL) -> Interval:
    """Exact interval of a proportion (Clopper & Pearson 1934).

    >>> tuple(round(bound, 4) for bound in clopper_pearson(20, 20))
    (0.8316, 1.0)
    """
    from scipy.stats import binomtest  # takes longer to import than reading a film

    found = binomtest(hits, trials).proportion_ci(level, method="exact")
    return float(found.low), float(found.high)


def auroc_interval(truth: Bools, score: NDArray[np.floating], groups: Ints, level: float = LEVEL) -> Interval | None:
    """Interval of the area under the ROC curve.

        log-odds(A) ± t_f error / (A (1 - A)),  f = 2 (sum_g u_g²)² / (sum_g u_g⁴ - (sum_g u_g²)² / G)

    u_g is how far patient g of G moves the area. Where few patients are ranked wrongly, f is small. For an area of 1,
    the min(p, q) patients with and without the finding make that many independent pairs, and all of them are ranked
    rightly: exact bounds.

    Returns:
        None where a class has no film or a single patient, or where every film has the same score.
    """
    from scipy.special import stdtrit

    if truth.all() or not truth.any():
        return None
    scores = np.asarray(score, dtype=np.float64)
    area = auroc(truth, scores)
    pairs = min(len(np.unique(groups[side])) for side in (truth, ~truth))
    if area in (0.0, 1.0):
        return clopper_pearson(pairs if area else 0, pairs, level)
    influence = np.sum(auroc_influence(truth, scores, groups), axis=0)
    squares = float((influence**2).sum())
    if not squares or pairs < 2:
        return None
    spare = float((influence**4).sum()) - squares**2 / len(influence)
    freedom = max(1.0, 2 * squares**2 / spare) if spare > 0 else np.inf
    odds = np.log(area / (1 - area))
    error = float(np.sqrt(auroc_covariance(truth, scores[None], groups)[0, 0]))
    half = float(stdtrit(min(freedom, 1e9), (1 + level) / 2)) * error / (area * (1 - area))
    return float(1 / (1 + np.exp(half - odds))), float(1 / (1 + np.exp(-half - odds)))


def auroc_covariance(truth: Bools, scores: Floats, groups: Ints) -> Floats:
    """Covariance of the AUROCs of r readers on the same films, by patient.

        Cov = S10 / m² + S01 / n² + S11 / mn, sums over patients     Obuchowski 1997, eq. 5 to 9

    Without two films of one patient that differ in truth the last term is 0, as in DeLong et al. 1988.

    Args:
        truth, groups: (n,), with films of both kinds.
        scores: (r, n).

    Returns:
        float64 (r, r).
    """
    sides = [auroc_influence(truth, score, groups) for score in scores]
    positive, negative = (np.stack(side) for side in zip(*sides, strict=True))
    crossed = positive @ negative.T
    covariance: Floats = (
        _unbiased(groups[truth]) * positive @ positive.T
        + _unbiased(groups[~truth]) * negative @ negative.T
        + _unbiased(groups) * (crossed + crossed.T)
    )
    return covariance


def _unbiased(groups: Ints) -> float:
    patients = len(np.unique(groups))
    return patients / max(patients - 1, 1)


def ece_interval(truth: Bools, probability: NDArray[np.floating], groups: Ints, resamples: int, seed: int) -> Interval:
    """Interval of the ECE of one finding; see `mean_ece_interval`."""
    return mean_ece_interval([(truth, probability)], groups, resamples, seed)


def mean_ece_interval(
    each: Sequence[tuple[Bools, NDArray[np.floating]]],
    groups: Ints,
    resamples: int,
    seed: int,
    films: Floats | None = None,
) -> Interval:
    """Interval of the mean ECE of findings, (truth, probability) each, that covers the true one at least 95 % of the
    time, by resampling patients.

    ECE is a sum of distances from zero, so chance alone makes it larger, in the films and again in each resample;
    BCa and the plain bootstrap fail near zero. The upper bound is the resamples' upper percentile, which that bias
    only raises. The lower one follows from the triangle inequality: with bin gaps g, true gaps t and noise g - t,
    |g| - |t| is at most |g - t|, whose upper percentile the resamples give. It reaches 0 where the films cannot tell
    the probabilities from calibrated ones. `films` (n,) weighs them.
    """
    own = np.ones(len(groups)) if films is None else films

    def gaps(weights: Floats) -> Floats:
        return np.concatenate([calibration_gaps(*one, weights * own) for one in each], axis=1) / len(each)

    gap = gaps(np.ones((1, len(groups))))
    drawn = _apply(gaps, _resamples(groups, resamples, seed))
    noise = np.quantile(np.abs(drawn - gap).sum(axis=1), (1 + LEVEL) / 2)
    high = np.quantile(np.abs(drawn).sum(axis=1), (1 + LEVEL) / 2)
    return max(0.0, float(np.abs(gap).sum() - noise)), min(1.0, float(high))


def bootstrap(
    statistic: Statistic, groups: Ints, resamples: int = 2000, seed: int = 0, level: float = LEVEL
) -> Intervals:
    """`statistic` of the films, and its interval by resampling patients.

    Args:
        statistic: weights (b, n) -> (b, m).
        groups: (n,), from 0 without gaps: films with the same number show the same patient.
        resamples: how many sets are drawn.
        seed: of the draw; the same seed gives the same interval.
        level: of the interval, between 0 and 1.
    """
    return bca_intervals(draw(statistic, groups, resamples, seed), level)


@dataclass(frozen=True)
class Draws:
    """m figures of the films, of b resamples, and of j sets with patients left out."""

    value: Floats
    drawn: Floats
    """(b, m)."""
    left_out: Floats
    """(j, m)."""


def draw(statistic: Statistic, groups: Ints, resamples: int = 2000, seed: int = 0) -> Draws:
    """What intervals at any level are made of; arguments as of `bootstrap`."""
    return Draws(
        statistic(np.ones((1, len(groups))))[0],
        _apply(statistic, _resamples(groups, resamples, seed)),
        _apply(statistic, leave_out(groups, np.random.default_rng(seed))),
    )


def bca_intervals(draws: Draws, level: float = LEVEL) -> Intervals:
    """BCa intervals at `level`."""
    value, drawn, left_out = draws.value, draws.drawn, draws.left_out
    low, high, fixed = np.full_like(value, np.nan), np.full_like(value, np.nan), np.zeros(len(value), dtype=bool)
    for i, figure in enumerate(value):
        column = drawn[:, i][np.isfinite(drawn[:, i])]
        if np.isfinite(figure) and len(column) >= max(2, MIN_DEFINED * len(drawn)):
            fixed[i] = np.ptp(column) <= 1e-12 * max(1.0, abs(figure))
            low[i], high[i] = bca(column, figure, left_out[:, i], level)
    return Intervals(value, low, high, fixed)


def bca(drawn: Floats, value: float, left_out: Floats, level: float = LEVEL) -> Interval:
    """BCa interval (Efron & Tibshirani 1993, eq. 14.9 to 14.15).

    Args:
        drawn: (b,), the figure in each resample.
        value: the figure itself.
        left_out: (j,), the figure with one patient (or block of patients) left out.
        level: of the interval.
    """
    below = np.mean(drawn < value) + np.mean(drawn == value) / 2  # ties, frequent with counts, are shared
    bias = NORMAL.inv_cdf(float(np.clip(below, 0.5 / len(drawn), 1 - 0.5 / len(drawn))))
    influence = np.mean(left_out[np.isfinite(left_out)]) - left_out[np.isfinite(left_out)]
    squares = float(np.sum(influence**2))
    acceleration = float(np.sum(influence**3)) / (6 * squares**1.5) if squares > 0 else 0.0
    reach = [bias + NORMAL.inv_cdf(tail) for tail in ((1 - level) / 2, (1 + level) / 2)]
    low, high = np.quantile(drawn, [NORMAL.cdf(bias + z / (1 - acceleration * z)) for z in reach])
    return float(low), float(high)


def resample(groups: Ints, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Weights (b, n), b at a time until `resamples`: how often each film's patient is drawn."""
    patients = int(groups.max()) + 1
    step = max(1, CHUNK // len(groups))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        draws = rng.integers(patients, size=(rows, patients)) + patients * np.arange(rows)[:, None]
        times = np.bincount(draws.ravel(), minlength=rows * patients).reshape(rows, patients)
        yield times[:, groups].astype(np.float64)


def leave_out(groups: Ints, rng: np.random.Generator) -> Iterator[Floats]:
    """Weights (b, n), b at a time: each row leaves out one patient, or one of BLOCKS random blocks of patients."""
    patients = int(groups.max()) + 1
    blocks = min(patients, BLOCKS)
    block = rng.permutation(patients)[groups] % blocks
    step = max(1, CHUNK // len(groups))
    for start in range(0, blocks, step):
        rows = np.arange(start, min(start + step, blocks))
        yield (block[None, :] != rows[:, None]).astype(np.float64)


def _resamples(groups: Ints, resamples: int, seed: int) -> Iterator[Floats]:
    return resample(groups, resamples, np.random.default_rng(seed))


def _apply(statistic: Statistic, weights: Iterator[Floats]) -> Floats:
    return np.concatenate([statistic(chunk) for chunk in weights])
