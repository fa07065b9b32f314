"""Several readers under acquisition shift, each on its own held-out films, and rank correlations over them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from lucency.arrays import Floats
from lucency.audit.measurements import Measurements, measure_films
from lucency.audit.shortcuts import FOLDS, PROPERTIES, Folds, auroc_within_folds, held_out_scores
from lucency.bundle import Card
from lucency.data.acquisition_pairs import Squares, Whose, require_two_classes, squares_of
from lucency.data.dataset import Dataset
from lucency.data.splits import stratified_group_kfold, without_test
from lucency.errors import UsageError
from lucency.reader import Reader
from lucency.shift.conditions import (
    CONDITIONS,
    PLAIN,
    TOGETHER,
    ClassMetrics,
    ConditionMetrics,
    EditionDifference,
    Scores,
    class_metrics,
    compare_editions,
    condition_metrics,
    score_conditions,
)

Figures = tuple[ConditionMetrics, ...] | tuple[ClassMetrics, ...]
"""Of two classes, or of several."""
MIN_RUNS = 4
"""Runs below which no correlations are computed."""


@dataclass(frozen=True)
class HeldOutReader:
    """A reader and the films it is evaluated on."""

    title: str
    reader: Reader
    films: Dataset
    how: str
    """How the films were held out, in words."""

    @property
    def recipe_hash(self) -> str:
        """Hash of the recipe without its seed: equal for runs that differ only in seed or fold; "" without a recipe."""
        content = {name: value for name, value in self.reader.card.training.recipe.items() if name != "seed"}
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12] if content else ""


@dataclass(frozen=True)
class Settings:
    """How every reader is evaluated."""

    whose: Whose = "other"
    seed: int = 0
    only: tuple[str, ...] = ()
    """Conditions; none means all."""
    aspects: Mapping[str, float] = field(default_factory=dict)
    """File stem → true width over height."""
    pairs: Dataset | None = None
    """The same films in another edition."""


@dataclass(frozen=True)
class BiasBaseline:
    """A classifier that sees only how a film was acquired and stored.

    On the films that it gets wrong, acquisition points to the wrong class; a reader that does not use acquisition is as
    accurate on them as on the others.
    """

    auroc: float
    """Cross-validated by patient."""
    films: int
    wrong: frozenset[str]
    """Names of the films that it calls wrongly; in each fold it calls as many films as have the finding."""


@dataclass(frozen=True)
class BiasWrongAccuracy:
    """A reader's accuracy on the films that the bias-only baseline gets wrong, and on the rest."""

    films: int
    accuracy: float
    rest: float


@dataclass(frozen=True)
class ShiftResult:
    """One reader under acquisition shift."""

    title: str
    how: str
    figures: Figures
    """By condition, PLAIN among them."""
    on_wrong: BiasWrongAccuracy | None = None
    probe: Mapping[str, float] = field(default_factory=dict)
    """Property → how well the features predict it; empty for an exported bundle."""
    pairs: EditionDifference | None = None
    recipe: str = ""
    recipe_hash: str = ""
    seed: int = 0

    @property
    def several(self) -> bool:
        """Whether the reader knows several classes."""
        return isinstance(self.figures[0], ClassMetrics)

    def measures(self) -> dict[str, float]:
        """The measures that runs are compared by."""
        of = {one.condition: one.measures() for one in self.figures}
        found = of[PLAIN] | of.get(TOGETHER, {})
        if self.on_wrong:
            found["accuracy on bias-wrong"] = self.on_wrong.accuracy
        found |= {f"probe {name}": value for name, value in self.probe.items()}
        return found | ({"originals: |logit| moved": self.pairs.mean} if self.pairs else {})

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain dicts."""
        return asdict(self)


@dataclass(frozen=True)
class Span:
    """Mean and range of a measure over runs."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class SeedSummary:
    """Mean and range over the runs of one recipe; so few seeds have no percentiles."""

    recipe: str
    seeds: tuple[int, ...]
    """Of its runs, in order; the same seed for folds."""
    measures: Mapping[str, Span]
    """Those that all its runs have."""


def evaluate_shift(
    readers: Sequence[HeldOutReader], films: Dataset, settings: Settings, bias: BiasBaseline | None
) -> list[ShiftResult]:
    """Evaluate readers; those with the same held-out films and channels share the re-acquired films.

    Args:
        readers: with their films.
        films: all films, for the pairs.
        settings: how each is evaluated.
        bias: the baseline; None leaves its accuracy out.

    Raises:
        UsageError: a film may have several findings.
    """
    if films.task == "multilabel":
        raise UsageError("expected films of one label each: several findings a film cannot be compared by shift yet")
    keys = [(one.reader.preprocess.channels, tuple(sample.name for sample in one.films.samples)) for one in readers]
    results: dict[int, ShiftResult] = {}
    for channels, held in dict.fromkeys(keys):
        group = [number for number, theirs in enumerate(keys) if theirs == (channels, held)]
        squares = squares_of(readers[group[0]].films, settings.aspects, channels)
        shared = [readers[number].reader for number in group]
        scores = score_conditions(shared, squares, settings.whose, settings.seed, settings.only or CONDITIONS)
        for number, one in zip(group, scores, strict=True):
            results[number] = _result(readers[number], one, squares, films, settings, bias)
    return [results[number] for number in range(len(readers))]


def _result(
    one: HeldOutReader,
    scores: dict[str, Scores],
    squares: Squares,
    films: Dataset,
    settings: Settings,
    bias: BiasBaseline | None,
) -> ShiftResult:
    card = one.reader.card
    shipped = card.thresholds[0]
    return ShiftResult(
        one.title,
        one.how,
        _figures(card, scores, squares.films),
        None if bias is None else accuracy_on_wrong(scores[PLAIN], squares.films, bias.wrong, shipped),
        _probe(one.reader, squares),
        None if settings.pairs is None else compare_editions(one.reader, films, settings.pairs),
        str(card.training.recipe.get("name", "")),
        one.recipe_hash,
        int(card.training.recipe.get("seed", 0)),
    )


def _figures(card: Card, scores: dict[str, Scores], films: Dataset) -> Figures:
    if card.task == "multiclass":
        return class_metrics(scores, films, card.costs)
    return condition_metrics(scores, films.label_array(), card.thresholds[0])


def accuracy_on_wrong(
    scores: Scores, films: Dataset, wrong: frozenset[str], threshold: float
) -> BiasWrongAccuracy | None:
    """Accuracy on the films named in `wrong`, and on the others; None where either has no film."""
    right = (scores.probabilities >= threshold) == (films.label_array() == 1)
    among = np.array([sample.name in wrong for sample in films.samples])
    if among.all() or not among.any():
        return None
    return BiasWrongAccuracy(int(among.sum()), float(right[among].mean()), float(right[~among].mean()))


def _probe(reader: Reader, squares: Squares) -> dict[str, float]:
    if reader.card.model.format != "torch":
        return {}
    from lucency.models.run import load_run  # a bundle is evaluated without PyTorch
    from lucency.shift.probe import probe

    return probe(load_run(reader.bundle).classifier, reader.preprocess, squares)


def bias_baseline(films: Dataset, aspects: Mapping[str, float]) -> BiasBaseline:
    """The bias-only baseline on all films but the test split.

    Raises:
        UsageError: not of two classes.
        SourceError: as `fit_bias_baseline` raises it.
    """
    require_two_classes(films, "the bias-only baseline (--bias)")
    measured = measure_films(without_test(films))
    return fit_bias_baseline(measured, squares_of(measured.films, aspects))


def fit_bias_baseline(measured: Measurements, squares: Squares) -> BiasBaseline:
    """Cross-validate the baseline by patient.

    Args:
        measured: the audit's sizes, files, borders, letters, tone and sharpness.
        squares: the same films, for noise, tone curves and true aspects.

    Raises:
        SourceError: a class has fewer patients than there are folds.
    """
    films = measured.films
    target = films.label_array()
    folds = stratified_group_kfold(films, FOLDS)
    with threadpool_limits(1):
        scores = held_out_scores(_bias_columns(measured, squares), target, folds)
    area, _ = auroc_within_folds(scores, target, films.groups(), folds)
    return BiasBaseline(area, len(target), _called_wrongly(films, scores, folds))


def _bias_columns(measured: Measurements, squares: Squares) -> Floats:
    """Low-level statistics that vary, float64 (n, columns); NaN where a true aspect is not known."""
    audited = [values(measured).reshape(len(measured), -1).astype(np.float64) for values, _ in PROPERTIES.values()]
    noise = np.array([[one.noise, *one.border] for one in squares.acquisitions])
    tone = np.stack([one.tone for one in squares.acquisitions]).astype(np.float64)
    return _varying(np.hstack([*audited, noise, tone, squares.known[:, None]]))


def _varying(values: Floats) -> Floats:
    """The columns, float64 (n, some), that hold two different numbers at least."""
    return values[:, [len(np.unique(column[np.isfinite(column)])) > 1 for column in values.T]]


def _called_wrongly(films: Dataset, scores: Floats, folds: Folds) -> frozenset[str]:
    """Names of the films that scores (n,) call wrongly, where as many of a fold are called as have the finding."""
    target = films.label_array()
    called = np.zeros(len(target), dtype=np.bool_)
    for _, held in folds:  # scores of different ensembles do not compare
        called[held] = scores[held] > np.quantile(scores[held], 1 - target[held].mean())
    names = (record.name for record in films.samples)
    return frozenset(name for name, miss in zip(names, called != (target == 1), strict=True) if miss)


def rank_correlations(measures: Sequence[Mapping[str, float]]) -> tuple[list[str], Floats]:
    """Spearman's rank correlation over runs, for every measure that all runs have and that varies.

    Returns:
        names; float64 (names, names), -1 to 1. No names where there are fewer than MIN_RUNS runs.
    """
    if len(measures) < MIN_RUNS:
        return [], np.zeros((0, 0))
    shared = [name for name in measures[0] if all(name in one for one in measures)]
    names = [name for name in shared if len({one[name] for one in measures}) > 1]
    ranks = [rankdata([one[name] for one in measures]) for name in names]
    return names, np.atleast_2d(np.corrcoef(ranks)) if names else np.zeros((0, 0))


def summarise_seeds(results: Sequence[ShiftResult]) -> list[SeedSummary]:
    """Mean and range over the runs of every recipe with more than one."""
    hashes = dict.fromkeys(one.recipe_hash for one in results if one.recipe_hash)
    groups = [[one for one in results if one.recipe_hash == these] for these in hashes]
    return [_summary(group) for group in groups if len(group) > 1]


def _summary(group: Sequence[ShiftResult]) -> SeedSummary:
    measures = [one.measures() for one in group]
    columns = {name: [one[name] for one in measures if name in one] for name in measures[0]}
    spans = {
        name: Span(sum(values) / len(values), min(values), max(values))
        for name, values in columns.items()
        if len(values) == len(group)
    }
    return SeedSummary(group[0].recipe, tuple(one.seed for one in group), spans)
