"""Two readers' predictions of the same films, compared finding by finding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lucency.errors import SourceError
from lucency.evaluate.intervals import bands
from lucency.evaluate.judge import findings
from lucency.evaluate.metrics import Counts, Finding, count, ratio
from lucency.evaluate.paired import Areas, Balance, compare_areas, compare_right
from lucency.evaluate.power import detectable, detectable_share
from lucency.evaluate.predictions import Floats, Ints, Predictions

SHARES: dict[str, Callable[[Counts], Floats]] = {
    "accuracy": lambda c: ratio(c.tp + c.tn, c.tp + c.tn + c.fp + c.fn),
    "sensitivity": lambda c: ratio(c.tp, c.tp + c.fn),
    "specificity": lambda c: ratio(c.tn, c.tn + c.fp),
}
"""Shares of right answers: of all films, of those with the finding, of those without."""


@dataclass(frozen=True)
class Contrast:
    """One share of right answers of two readers, first minus second."""

    name: str
    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None
    """95 % interval of the difference, by patient."""
    balance: Balance | None
    """McNemar's test, by patient; None where no film counts."""
    detectable: float | None
    """The difference that films like these show four times in five; None where none would be."""


@dataclass(frozen=True)
class Comparison:
    """Two readers on one finding."""

    finding: str
    areas: Areas | None
    contrasts: tuple[Contrast, ...]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "finding": self.finding,
            "auroc": None if self.areas is None else _areas_json(self.areas),
            "shares": [asdict(contrast) for contrast in self.contrasts],
        }


def compare(
    a: Predictions,
    b: Predictions,
    thresholds: tuple[float, float] = (0.5, 0.5),
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """Compare two readers, finding by finding.

    Args:
        a, b: predictions of the same films, in any order.
        thresholds: at which each reader calls a finding.
        resamples, seed: of the bootstrap by patient.

    Raises:
        SourceError: they are not of the same films with the same labels.
    """
    b = matched(a, b)
    groups = a.groups()
    both = zip(findings(a, thresholds[0]), findings(b, thresholds[1]), strict=True)
    return tuple(
        Comparison(
            one.name,
            compare_areas(one.truth, one.score, other.score, groups),
            _contrasts(one, other, groups, resamples, seed),
        )
        for one, other in both
    )


def matched(a: Predictions, b: Predictions) -> Predictions:
    """`b` with its films in the order of `a`.

    Raises:
        SourceError: films, labels or the task differ.
    """
    if (a.task, a.label_names) != (b.task, b.label_names):
        raise SourceError(
            f"expected two readers with the same labels, came {', '.join(a.label_names)} ({a.task}) and "
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


def _contrasts(one: Finding, other: Finding, groups: Ints, resamples: int, seed: int) -> tuple[Contrast, ...]:
    def statistic(weights: Floats) -> Floats:
        first, second = count(one, weights), count(other, weights)
        return np.stack([share(first) - share(second) for share in SHARES.values()], axis=1)

    result = bands(statistic, groups, resamples, seed)
    among = {"accuracy": np.ones_like(one.truth), "sensitivity": one.truth, "specificity": ~one.truth}
    alone = np.ones((1, len(one.truth)))
    made = []
    for i, (name, share) in enumerate(SHARES.items()):
        here = among[name]
        balance = None
        if here.any():
            balance = compare_right((one.called == one.truth)[here], (other.called == other.truth)[here], groups[here])
        values = (share(count(one, alone))[0], share(count(other, alone))[0], result.value[i])
        a, b, difference = map(_number, values)
        low, high = (None, None) if result.fixed[i] else (_number(result.low[i]), _number(result.high[i]))
        made.append(Contrast(name, a, b, difference, low, high, balance, _detectable(one, other, here, groups)))
    return tuple(made)


def _detectable(one: Finding, other: Finding, here: np.ndarray, groups: Ints) -> float | None:
    """What these films show, counting as many independent films as the spread by patient is worth."""
    gain = ((one.called == one.truth).astype(np.float64) - (other.called == other.truth))[here]
    if not gain.any():
        return None
    by_patient = np.bincount(groups[here], weights=gain)
    # Films of a patient that err together count for less: by how much the sum spreads more than independent films.
    effect = max(1.0, float(np.square(by_patient).sum() / np.square(gain).sum()))
    return detectable_share(len(gain) / effect, float(np.abs(gain).mean()))


def _areas_json(areas: Areas) -> dict[str, Any]:
    low, high = areas.interval
    return {
        "a": areas.a,
        "b": areas.b,
        "difference": areas.difference,
        "low": low,
        "high": high,
        "p": areas.p,
        "correlation": _number(np.float64(areas.correlation)),
        "detectable": detectable(areas.error) if areas.error else None,
    }


def _number(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None
