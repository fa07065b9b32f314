"""Several runs under the shift, each on its own held-out films; what moves together over them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from lucency.audit.measurements import Measurements, measure_films
from lucency.audit.shortcuts import PROPERTIES, auroc_within_folds
from lucency.data.acquisition_features import FOLDS, called_wrongly, held_out_scores, varying
from lucency.data.acquisition_pairs import Squares, Whose, squares_of
from lucency.data.dataset import Dataset
from lucency.data.splits import stratified_group_kfold, without_test
from lucency.reader import Reader
from lucency.shift.judge import (
    CONDITIONS,
    PLAIN,
    TOGETHER,
    ConditionMetrics,
    EditionDifference,
    Scores,
    compare_editions,
    condition_metrics,
    score_conditions,
)

LEAST_RUNS = 4
"""Runs below which nothing can be said to move together."""


@dataclass(frozen=True)
class JudgedReader:
    """A reader, and the films it is judged on."""

    title: str
    reader: Reader
    films: Dataset
    how: str
    """How the films were held out, in words."""

    @property
    def recipe(self) -> str:
        """By which it was trained, by name."""
        return str(self.reader.card.training.recipe.get("name", ""))

    @property
    def choices(self) -> str:
        """A hash of the recipe but its seed: runs that agree in it differ in seed or fold alone; "" of no recipe."""
        content = {name: value for name, value in self.reader.card.training.recipe.items() if name != "seed"}
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12] if content else ""

    @property
    def seed(self) -> int:
        """Of its training."""
        return int(self.reader.card.training.recipe.get("seed", 0))


@dataclass(frozen=True)
class Settings:
    """What is asked of every reader."""

    whose: Whose = "other"
    seed: int = 0
    only: tuple[str, ...] = ()
    """Conditions; none means every."""
    aspects: Mapping[str, float] = field(default_factory=dict)
    """File stem -> true width over height."""
    pairs: Dataset | None = None
    """The same films, stored otherwise."""


@dataclass(frozen=True)
class BiasWrongAccuracy:
    """A reader on the films that the bias-only baseline gets wrong."""

    films: int
    accuracy: float
    rest: float
    """Its accuracy on the films that the baseline gets right."""


@dataclass(frozen=True)
class ShiftResult:
    """One reader under the shift."""

    title: str
    how: str
    figures: tuple[ConditionMetrics, ...]
    on_wrong: BiasWrongAccuracy | None = None
    probe: Mapping[str, float] = field(default_factory=dict)
    """Property -> how well the features tell it; empty for an exported bundle."""
    pairs: EditionDifference | None = None
    recipe: str = ""
    """By which the reader was trained, by name."""
    choices: str = ""
    """A hash of that recipe but its seed."""
    seed: int = 0
    """Of its training."""

    def measures(self) -> dict[str, float]:
        """What runs are compared by, by name."""
        of = {one.condition: one for one in self.figures}
        found = {"AUROC plain": of[PLAIN].auroc}
        if TOGETHER in of:
            moved = of[TOGETHER]
            found |= {
                "AUROC all": moved.auroc,
                "AUROC normals moved": moved.auroc_normals_moved,
                "specificity all": moved.specificity,
                "sensitivity all": moved.sensitivity,
                "ECE all": moved.ece,
            }
        if self.on_wrong:
            found["accuracy on bias-wrong"] = self.on_wrong.accuracy
        found |= {f"probe {name}": told for name, told in self.probe.items()}
        return found | ({"originals: |logit| moved": self.pairs.mean} if self.pairs else {})

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain dicts."""
        return asdict(self)


def evaluate_shift(
    asked: Sequence[JudgedReader], films: Dataset, settings: Settings, bias: BiasBaseline | None
) -> list[ShiftResult]:
    """Judge readers, those with the same held-out films side by side.

    Args:
        asked: readers with their films.
        films: all films, for the pairs.
        settings: what is asked of each.
        bias: the baseline; None leaves its films out.
    """
    names = [tuple(record.name for record in one.films.samples) for one in asked]
    found: dict[int, ShiftResult] = {}
    for held in dict.fromkeys(names):
        group = [number for number, theirs in enumerate(names) if theirs == held]
        squares = squares_of(asked[group[0]].films, settings.aspects)
        readers = [asked[number].reader for number in group]
        said = score_conditions(readers, squares, settings.whose, settings.seed, settings.only or CONDITIONS)
        for number, answers in zip(group, said, strict=True):
            found[number] = _studied(asked[number], answers, squares, films, settings, bias)
    return [found[number] for number in range(len(asked))]


def baseline(films: Dataset, aspects: Mapping[str, float]) -> BiasBaseline:
    """The bias-only baseline on all films that a run may have met. Raises SourceError as `fit_bias_baseline` does."""
    facts = measure_films(without_test(films))
    return fit_bias_baseline(facts, squares_of(facts.films, aspects))


def rank_correlations(measures: Sequence[Mapping[str, float]]) -> tuple[list[str], NDArray[np.float64]]:
    """Spearman's rank correlation over runs, of every measure that all runs have and that varies.

    Returns:
        names; float64 (names, names), -1 to 1. No names where there are fewer than LEAST_RUNS runs.
    """
    if len(measures) < LEAST_RUNS:
        return [], np.zeros((0, 0))
    shared = [name for name in measures[0] if all(name in one for one in measures)]
    names = [name for name in shared if len({one[name] for one in measures}) > 1]
    ranks = [rankdata([one[name] for one in measures]) for name in names]
    return names, np.atleast_2d(np.corrcoef(ranks)) if names else np.zeros((0, 0))


def _studied(
    one: JudgedReader,
    answers: dict[str, Scores],
    squares: Squares,
    films: Dataset,
    settings: Settings,
    bias: BiasBaseline | None,
) -> ShiftResult:
    shipped = one.reader.card.operating_point.threshold
    return ShiftResult(
        one.title,
        one.how,
        condition_metrics(answers, squares.films.label_array(), shipped),
        None if bias is None else on_wrong(answers[PLAIN], squares.films, bias.wrong, shipped),
        _probed(one.reader, squares),
        None if settings.pairs is None else compare_editions(one.reader, films, settings.pairs),
        one.recipe,
        one.choices,
        one.seed,
    )


def on_wrong(said: Scores, films: Dataset, wrong: frozenset[str], threshold: float) -> BiasWrongAccuracy | None:
    """Accuracy on the films named in `wrong`, and on the others; None where either has no film."""
    right = (said.probabilities >= threshold) == (films.label_array() == 1)
    among = np.array([record.name in wrong for record in films.samples])
    if among.all() or not among.any():
        return None
    return BiasWrongAccuracy(int(among.sum()), float(right[among].mean()), float(right[~among].mean()))


def _probed(reader: Reader, squares: Squares) -> dict[str, float]:
    if reader.card.model.format != "torch":
        return {}
    from lucency.models.run import load_run  # a bundle is judged where PyTorch is not installed
    from lucency.shift.probe import probe

    return probe(load_run(reader.bundle).classifier, reader.preprocess, squares)


Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class BiasBaseline:
    """What acquisition alone tells."""

    auroc: float
    """Cross-validated by patient."""
    films: int
    wrong: frozenset[str]
    """Names of the films that it calls wrongly, where it calls as many films of a fold as have the finding."""


def fit_bias_baseline(facts: Measurements, squares: Squares) -> BiasBaseline:
    """Fit the baseline on every fold but one and ask it about that one.

    Args:
        facts: measured by the audit: sizes, files, borders, letters, tone, sharpness.
        squares: the same films; their noise, tone curves and true aspects.

    Raises:
        SourceError: a class has fewer patients than there are folds.
    """
    target = facts.films.label_array()
    folds = stratified_group_kfold(facts.films, FOLDS)
    with threadpool_limits(1):
        scores = held_out_scores(columns(facts, squares), target, folds)
    area, _ = auroc_within_folds(scores, target, facts.films.groups(), folds)
    return BiasBaseline(area, len(target), called_wrongly(facts.films, scores, folds))


def columns(facts: Measurements, squares: Squares) -> Numbers:
    """Low-level statistics that vary, float64 (n, columns); NaN where a true aspect is not known."""
    audited = [values(facts).reshape(len(facts), -1).astype(np.float64) for values, _ in PROPERTIES.values()]
    noise = np.array([[one.noise, *one.border] for one in squares.acquisitions])
    tone = np.stack([one.tone for one in squares.acquisitions]).astype(np.float64)
    return varying(np.hstack([*audited, noise, tone, squares.known[:, None]]))


@dataclass(frozen=True)
class Span:
    """A measure over runs."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class SeedSummary:
    """One recipe, trained several times."""

    recipe: str
    seeds: tuple[int, ...]
    """Of its runs, in the order in which they were named; equal ones are folds."""
    measures: Mapping[str, Span]
    """Those that all its runs have."""


def summarise_seeds(studies: Sequence[ShiftResult]) -> list[SeedSummary]:
    """Mean and range of every recipe that has several runs; range, since so few seeds have no percentiles."""
    choices = dict.fromkeys(one.choices for one in studies if one.choices)
    groups = [[one for one in studies if one.choices == these] for these in choices]
    return [_spans(group) for group in groups if len(group) > 1]


def _spans(group: Sequence[ShiftResult]) -> SeedSummary:
    measures = [one.measures() for one in group]
    shared = [name for name in measures[0] if all(name in one for one in measures)]
    spans = {name: _span([one[name] for one in measures]) for name in shared}
    return SeedSummary(group[0].recipe, tuple(one.seed for one in group), spans)


def _span(values: Sequence[float]) -> Span:
    return Span(sum(values) / len(values), min(values), max(values))
