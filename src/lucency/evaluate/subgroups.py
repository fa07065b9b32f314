"""How a reader does on parts of the films: by age, sex, view, cause or any other fact that a source states.

Each part is set against all films outside it, by resampling patients. A part whose films are all ill, such as those
with bacterial pneumonia, is ranked against all films without the finding, and the other way round.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lucency.errors import UsageError
from lucency.evaluate.bounds import interval_of
from lucency.evaluate.intervals import LEVEL, Bands, bands_of, draw
from lucency.evaluate.judge import findings
from lucency.evaluate.metrics import COUNTED, Finding, count, ranking
from lucency.evaluate.predictions import Floats, Ints, Predictions

Bools = NDArray[np.bool_]
Bounds = tuple[float | None, float | None, float | None]
"""Value, low, high."""

SHOWN = ("accuracy", "sensitivity", "specificity", "auroc")
"""What is told of each part."""
MANY = 12
"""A column of more different words is no subgroup; one of more different numbers is cut into quarters."""
LEAST = 10
"""Patients in a part, and outside it, below which a gap gets no interval."""
NUMBER = re.compile(r"0*(?P<number>\d+(\.\d+)?)(?P<unit>[DWMY]?)")
"""A number, or an age as DICOM writes it (034Y; PS3.5, 6.2, value representation AS)."""
YEARS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Figure:
    """One figure of a part, and how far it lies from the other films."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    """95 % interval, by patient."""
    gap: float | None
    """The part less all other films."""
    gap_low: float | None
    gap_high: float | None
    """Interval of the gap; together with those of the column's other parts it is wrong in 5 % (Bonferroni)."""

    @property
    def differs(self) -> bool:
        """Whether the gap is surely not 0."""
        return self.gap_low is not None and self.gap_high is not None and not self.gap_low <= 0 <= self.gap_high


@dataclass(frozen=True)
class Subgroup:
    """One part of the films."""

    column: str
    value: str
    finding: str
    films: int
    patients: int
    with_finding: int
    figures: tuple[Figure, ...]

    def figure(self, name: str) -> Figure:
        """The figure of a name in SHOWN. Raises KeyError."""
        return {one.name: one for one in self.figures}[name]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def subgroups(
    predictions: Predictions, column: str, threshold: float = 0.5, resamples: int = 2000, seed: int = 0
) -> tuple[Subgroup, ...]:
    """Judge each part of the films that a column makes, for each finding.

    Args:
        predictions: with the column among `columns`.
        column: of at most MANY different words, or of numbers.
        threshold: a finding is called at or above this probability.
        resamples: bootstrap draws of patients.
        seed: of the draws.

    Raises:
        UsageError: there is no such column, or it holds one value only, or too many different words.
    """
    parts = parts_of(predictions, column)
    groups = predictions.groups()
    found = []
    for finding in findings(predictions, threshold):
        figures = _figures(finding, list(parts.values()), groups, resamples, seed)
        for (value, mask), row in zip(parts.items(), figures, strict=True):
            patients = len(np.unique(groups[mask]))
            films, ill = int(mask.sum()), int(finding.truth[mask].sum())
            found.append(Subgroup(column, value, finding.name, films, patients, ill, row))
    return tuple(found)


def usable_columns(predictions: Predictions) -> tuple[str, ...]:
    """The columns that `subgroups` takes."""
    return tuple(name for name in predictions.columns if isinstance(_parts(predictions, name), dict))


def parts_of(predictions: Predictions, column: str) -> dict[str, Bools]:
    """Value to bool (n,), which films have it: each word, or quarters of numbers; no value is "unknown".

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
    if len(different) <= MANY:
        return {value: values == value for value in different}
    numbers = np.array([as_number(value) for value in values])
    if np.isnan(numbers[values != UNKNOWN]).any():
        return f"{len(different)} different values, expected at most {MANY}, or numbers"
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


def _figures(finding: Finding, masks: list[Bools], groups: Ints, resamples: int, seed: int) -> list[tuple[Figure, ...]]:
    def statistic(weights: Floats) -> Floats:
        inside = np.concatenate([_of(finding, mask, weights) for mask in masks], axis=1)
        outside = np.concatenate([_of(finding, ~mask, weights) for mask in masks], axis=1)
        return np.concatenate([inside, outside, inside - outside], axis=1)

    draws = draw(statistic, groups, resamples, seed)
    values, gaps = bands_of(draws), bands_of(draws, 1 - (1 - LEVEL) / len(masks))
    return [
        tuple(_figure(finding, masks[part], groups, values, gaps, part * len(SHOWN) + i) for i in range(len(SHOWN)))
        for part in range(len(masks))
    ]


def _figure(finding: Finding, mask: Bools, groups: Ints, values: Bands, gaps: Bands, i: int) -> Figure:
    name, third = SHOWN[i % len(SHOWN)], len(values.value) // 3
    inside, outside = _bounds(finding, mask, groups, values, i), _bounds(finding, ~mask, groups, values, i + third)
    gap, low, high = (_number(part[i + 2 * third]) for part in (gaps.value, gaps.low, gaps.high))
    if gap is not None and (values.fixed[i] or values.fixed[i + third]):
        low, high = _apart(inside, outside)
    few = min(len(np.unique(groups[side])) for side in (mask, ~mask)) < LEAST
    # Of films of one kind, accuracy is sensitivity or specificity, and no match for that of others.
    if few or (name == "accuracy" and not all(_both(finding, side) for side in (mask, ~mask))):
        low = high = None
    return Figure(name, *inside, gap, low, high)


def _bounds(finding: Finding, mask: Bools, groups: Ints, values: Bands, i: int) -> Bounds:
    """A figure with its interval."""
    value, name = _number(values.value[i]), SHOWN[i % len(SHOWN)]
    if value is None:
        return None, None, None
    if name == "auroc":
        mask = _against(finding, mask)
    answers = finding.score[mask], finding.probability[mask]
    part = Finding(finding.name, finding.truth[mask], finding.called[mask], *answers)
    bounds = interval_of(name, part, groups[mask])
    return (value, *bounds) if bounds else (value, None, None)


def _apart(inside: Bounds, outside: Bounds) -> tuple[float | None, float | None]:
    """Interval of a difference from the two intervals (Newcombe 1998, method 10), for what no resample can tell."""
    if None in inside or None in outside:
        return None, None
    (a, a_low, a_high), (b, b_low, b_high) = (np.array(side, dtype=np.float64) for side in (inside, outside))
    return float(a - b - np.hypot(a - a_low, b_high - b)), float(a - b + np.hypot(a_high - a, b - b_low))


def _of(finding: Finding, mask: Bools, weights: Floats) -> Floats:
    """The figures of SHOWN on some films, (b, 4); ranked against all films of the other kind where one is missing."""
    counts = count(finding, weights * mask)
    area = ranking(finding.truth, finding.score, weights * _against(finding, mask))[0]
    return np.stack([*(COUNTED[name](counts) for name in SHOWN[:-1]), area], axis=1)


def _against(finding: Finding, mask: Bools) -> Bools:
    """The films among which a part is ranked: its own, and all of the other kind where it has none of them."""
    if _both(finding, mask):
        return mask
    return mask | (~finding.truth if finding.truth[mask].any() else finding.truth)


def _both(finding: Finding, mask: Bools) -> bool:
    """Whether there are films with and without the finding."""
    ill = finding.truth[mask]
    return bool(ill.any()) and not bool(ill.all())


def _number(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None
