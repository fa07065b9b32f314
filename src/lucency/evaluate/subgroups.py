"""Metrics of subgroups: by age, sex, view, cause or any other column that a source has.

Each subgroup is compared with all other films, by resampling patients. A subgroup whose films all have the finding,
such as those with bacterial pneumonia, is ranked against all films without it, and the other way round.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lucency.arrays import Bools, Floats, Ints
from lucency.errors import UsageError
from lucency.evaluate.confidence_intervals import (
    LEVEL,
    Estimate,
    Intervals,
    bca_intervals,
    draw,
    finite,
    metric_interval,
)
from lucency.evaluate.metrics import COUNTED, Finding, count, ranking
from lucency.evaluate.predictions import PerFinding, Predictions
from lucency.evaluate.report import findings

SHOWN = ("accuracy", "sensitivity", "specificity", "auroc")
"""The metrics of each subgroup."""
MAX_VALUES = 12
"""A column of more different words makes no subgroups; one of more different numbers is cut into quarters."""
MIN_PATIENTS = 10
"""Patients in a subgroup, and outside it, below which a gap gets no interval."""
NUMBER = re.compile(r"0*(?P<number>\d+(\.\d+)?)(?P<unit>[DWMY]?)")
"""A number, or an age as DICOM writes it (034Y; PS3.5, 6.2, value representation AS)."""
YEARS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
UNKNOWN = "unknown"


@dataclass(frozen=True)
class SubgroupMetric:
    """One metric of a subgroup, and its gap to the other films."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    """95 % interval, by patient."""
    gap: float | None
    """The subgroup less all other films."""
    gap_low: float | None
    gap_high: float | None
    """Interval of the gap, at 95 % for all subgroups of the column together (Bonferroni)."""

    @property
    def differs(self) -> bool:
        """Whether the interval of the gap leaves out 0."""
        return self.gap_low is not None and self.gap_high is not None and not self.gap_low <= 0 <= self.gap_high

    def __str__(self) -> str:
        return "–" if self.value is None else str(Estimate(self.value, self.low, self.high))


@dataclass(frozen=True)
class Subgroup:
    """The films with one value of a column."""

    column: str
    value: str
    finding: str
    films: int
    patients: int
    with_finding: int
    figures: tuple[SubgroupMetric, ...]

    def figure(self, name: str) -> SubgroupMetric:
        """The metric of a name in SHOWN. Raises KeyError."""
        return {one.name: one for one in self.figures}[name]

    def to_json(self) -> dict[str, Any]:
        """The JSON fields."""
        return asdict(self)


def subgroups(
    predictions: Predictions, column: str, threshold: PerFinding = 0.5, resamples: int = 2000, seed: int = 0
) -> tuple[Subgroup, ...]:
    """Evaluate each subgroup that a column makes, for each finding.

    Args:
        predictions: with the column among `columns`.
        column: of at most MAX_VALUES different words, or of numbers.
        threshold: a finding is called at or above this probability.
        resamples: bootstrap draws of patients.
        seed: of the draws.

    Raises:
        UsageError: there is no such column, or it has a single value, or too many different words.
    """
    parts = subgroup_masks(predictions, column)
    groups = predictions.groups()
    found = []
    for finding in findings(predictions, threshold):
        figures = _figures(finding, list(parts.values()), groups, resamples, seed)
        for (value, mask), row in zip(parts.items(), figures, strict=True):
            patients = len(np.unique(groups[mask]))
            films, positive = int(mask.sum()), int(finding.truth[mask].sum())
            found.append(Subgroup(column, value, finding.name, films, patients, positive, row))
    return tuple(found)


def usable_columns(predictions: Predictions) -> tuple[str, ...]:
    """The columns that `subgroups` takes."""
    return tuple(name for name in predictions.columns if isinstance(_parts(predictions, name), dict))


def subgroup_masks(predictions: Predictions, column: str) -> dict[str, Bools]:
    """Value to the films that have it, bool (n,): each word, or quarters of numbers; no value is "unknown".

    Raises:
        UsageError: as `subgroups`.
    """
    if column not in predictions.columns:
        there = ", ".join(predictions.columns) or "none"
        raise UsageError(f"expected one of the columns that the films have ({there}); received '{column}'")
    parts = _parts(predictions, column)
    if isinstance(parts, str):
        raise UsageError(f"column '{column}' makes no subgroups: {parts}")
    return parts


def _parts(predictions: Predictions, column: str) -> dict[str, Bools] | str:
    values = np.array([value.strip() or UNKNOWN for value in predictions.columns[column]])
    different = sorted(set(values.tolist()))
    if len(different) < 2:
        return f"all films have the value '{different[0]}'" if different else "there is no film"
    if len(different) <= MAX_VALUES:
        return {value: values == value for value in different}
    numbers = np.array([as_number(value) for value in values])
    if np.isnan(numbers[values != UNKNOWN]).any():
        return f"{len(different)} different values, expected at most {MAX_VALUES}, or numbers"
    return _quarters(numbers)


def _quarters(numbers: Floats) -> dict[str, Bools]:
    known = numbers[~np.isnan(numbers)]
    edges = np.unique(np.quantile(known, [0, 0.25, 0.5, 0.75, 1], method="inverted_cdf"))
    parts = {}
    for low, high, last in zip(edges[:-1], edges[1:], edges[1:] == edges[-1], strict=True):
        inside = (numbers >= low) & ((numbers <= high) if last else (numbers < high))
        parts[f"{low:g} to {high:g}" if last else f"{low:g} to below {high:g}"] = inside
    return parts | ({UNKNOWN: np.isnan(numbers)} if np.isnan(numbers).any() else {})


def as_number(value: str) -> float:
    """A number, or an age in years as DICOM writes it; NaN where it is neither.

    >>> as_number("034Y"), as_number("018M"), as_number("old")
    (34.0, 1.5, nan)
    """
    match = NUMBER.fullmatch(value)
    return float(match["number"]) * YEARS[match["unit"]] if match else float("nan")


def _figures(
    finding: Finding, masks: list[Bools], groups: Ints, resamples: int, seed: int
) -> list[tuple[SubgroupMetric, ...]]:
    def statistic(weights: Floats) -> Floats:
        inside = np.concatenate([_of(finding, mask, weights) for mask in masks], axis=1)
        outside = np.concatenate([_of(finding, ~mask, weights) for mask in masks], axis=1)
        return np.concatenate([inside, outside, inside - outside], axis=1)

    draws = draw(statistic, groups, resamples, seed)
    values, gaps = bca_intervals(draws), bca_intervals(draws, 1 - (1 - LEVEL) / len(masks))
    return [
        tuple(_figure(finding, masks[part], groups, values, gaps, part * len(SHOWN) + i) for i in range(len(SHOWN)))
        for part in range(len(masks))
    ]


def _figure(finding: Finding, mask: Bools, groups: Ints, values: Intervals, gaps: Intervals, i: int) -> SubgroupMetric:
    name, third = SHOWN[i % len(SHOWN)], len(values.value) // 3
    inside, outside = (
        _estimate(name, finding, side, groups, values.value[at]) for side, at in ((mask, i), (~mask, i + third))
    )
    gap, low, high = (finite(part[i + 2 * third]) for part in (gaps.value, gaps.low, gaps.high))
    if gap is not None and (values.fixed[i] or values.fixed[i + third]):
        low, high = _newcombe(inside, outside)
    few = min(len(np.unique(groups[side])) for side in (mask, ~mask)) < MIN_PATIENTS
    # Of films of one kind, accuracy is sensitivity or specificity, which does not compare with that of others.
    if few or (name == "accuracy" and not all(_both_kinds(finding, side) for side in (mask, ~mask))):
        low = high = None
    return SubgroupMetric(name, inside.value, inside.low, inside.high, gap, low, high)


def _estimate(name: str, finding: Finding, mask: Bools, groups: Ints, value: float) -> Estimate:
    if finite(value) is None:
        return Estimate(None)
    if name == "auroc":
        mask = _ranked_among(finding, mask)
    return Estimate(float(value), *(metric_interval(name, finding.subset(mask), groups[mask]) or ()))


def _newcombe(inside: Estimate, outside: Estimate) -> tuple[float | None, float | None]:
    """Interval of a difference from two intervals (Newcombe 1998, method 10), where resampling does not vary."""
    (a, a_low, a_high), (b, b_low, b_high) = (
        np.array((side.value, side.low, side.high), dtype=np.float64) for side in (inside, outside)
    )
    return finite(a - b - np.hypot(a - a_low, b_high - b)), finite(a - b + np.hypot(a_high - a, b - b_low))


def _of(finding: Finding, mask: Bools, weights: Floats) -> Floats:
    """The metrics of SHOWN on some films, (b, 4)."""
    counts = count(finding, weights * mask)
    area = ranking(finding.truth, finding.score, weights * _ranked_among(finding, mask))[0]
    return np.stack([*(COUNTED[name](counts) for name in SHOWN[:-1]), area], axis=1)


def _ranked_among(finding: Finding, mask: Bools) -> Bools:
    """The films among which a subgroup is ranked: its own, and all of the other kind where it has none of them."""
    if _both_kinds(finding, mask):
        return mask
    return mask | (~finding.truth if finding.truth[mask].any() else finding.truth)


def _both_kinds(finding: Finding, mask: Bools) -> bool:
    """Whether there are films with and without the finding."""
    truth = finding.truth[mask]
    return bool(truth.any()) and not bool(truth.all())
