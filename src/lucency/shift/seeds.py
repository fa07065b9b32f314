"""What a recipe is good for, not a run: its figures over the seeds, or folds, that it was trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lucency.shift.study import Study


@dataclass(frozen=True)
class Span:
    """A measure over runs."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class OverRuns:
    """One recipe, trained several times."""

    recipe: str
    seeds: tuple[int, ...]
    """Of its runs, in the order in which they were named; equal ones are folds."""
    measures: Mapping[str, Span]
    """Those that all its runs have."""


def over_runs(studies: Sequence[Study]) -> list[OverRuns]:
    """Mean and range of every recipe that has several runs; range, since so few seeds have no percentiles."""
    choices = dict.fromkeys(one.choices for one in studies if one.choices)
    groups = [[one for one in studies if one.choices == these] for these in choices]
    return [_spans(group) for group in groups if len(group) > 1]


def _spans(group: Sequence[Study]) -> OverRuns:
    measures = [one.measures() for one in group]
    shared = [name for name in measures[0] if all(name in one for one in measures)]
    spans = {name: _span([one[name] for one in measures]) for name in shared}
    return OverRuns(group[0].recipe, tuple(one.seed for one in group), spans)


def _span(values: Sequence[float]) -> Span:
    return Span(sum(values) / len(values), min(values), max(values))
