"""Evaluate a reader's predictions: every metric with its 95 % interval, by patient, in memory and as report.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lucency.arrays import Floats, Ints
from lucency.errors import SourceError
from lucency.evaluate.confidence_intervals import (
    LEVEL,
    METHOD,
    Estimate,
    Interval,
    Intervals,
    Statistic,
    bootstrap,
    ece_interval,
    finite,
    metric_interval,
)
from lucency.evaluate.metrics import METRICS, UNDEFINED, Finding, compute_metrics, confusion_matrix, ece, ratio
from lucency.evaluate.multiclass import Summary, summaries, top_label, weighted_mean
from lucency.evaluate.predictions import PerFinding, Predictions, Task, patient_words, read_predictions
from lucency.evaluate.selective_prediction import answered_parts, part_interval, part_mean
from lucency.files import parse_json, write_text
from lucency.html import notebook_block, table_html
from lucency.tables import data_frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

SCHEMA_VERSION = 1
ALL = "all"
"""The finding of a figure about every label at once."""
MACRO = "macro"
"""The finding of a plain mean over the labels (one against the rest)."""
WEIGHTED = "weighted"
"""The finding of a mean over the labels, weighed by their films."""
FIXED = "every resample gives the same value"
EXACT = "nothing varies: exact binomial bounds over patients"


@dataclass(frozen=True)
class Measure:
    """One figure with its interval; `reason` says why a part of it is None."""

    name: str
    finding: str
    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return f"not defined: {self.reason}"
        return str(Estimate(self.value, self.low, self.high))


@dataclass(frozen=True, repr=False)
class Report:
    """How a reader does on a set of films."""

    task: Task
    label_names: tuple[str, ...]
    threshold: PerFinding | None
    """None where the call is the most probable of several classes."""
    films: int
    patients: int
    """Different patients; a film without one counts as its own."""
    patients_known: bool
    """Whether every film names its patient. If not, intervals may be too short."""
    films_per_label: tuple[int, ...]
    confusion: dict[str, Ints]
    """True (row) by called (column); one table for all classes, or one per finding of a multilabel task."""
    measures: tuple[Measure, ...]
    resamples: int
    seed: int

    def measure(self, name: str, finding: str | None = None) -> Measure:
        """The figure `name`, of the first finding that has it unless one is given. Raises KeyError."""
        for one in self.measures:
            if one.name == name and finding in (None, one.finding):
                return one
        raise KeyError(name)

    @property
    def counted(self) -> str:
        """How many films and patients there are."""
        return f"{self.films:,} films, {patient_words(self.patients if self.patients_known else None)}"

    def __repr__(self) -> str:
        return f"<Report {self._title()}>"

    def _title(self) -> str:
        found = next((one for one in self.measures if one.name == "auroc"), None)
        area = "" if found is None else f", AUROC {found}"
        return f"{self.counted}{area}"

    def _rows(self) -> list[dict[str, object]]:
        return [asdict(one) for one in self.measures]

    def _repr_html_(self) -> str:
        return notebook_block(self._title(), table_html(self._rows()))

    def to_pandas(self) -> DataFrame:
        """The measures, a row each: name, finding, value, low, high, reason.

        Raises:
            ExtraError: pandas is not installed.
        """
        return data_frame(self._rows())

    def plot(self) -> Figure:
        """The confusion matrix as a matplotlib figure; curves are written by `lucency evaluate --out`."""
        from lucency.evaluate.plots import confusion_plot

        return confusion_plot(self)


def evaluate_predictions(
    predictions: Predictions, threshold: PerFinding = 0.5, resamples: int = 2000, seed: int = 0
) -> Report:
    """Evaluate `predictions`.

    Args:
        predictions: of at least one film.
        threshold: a finding is called at or above this probability, each at its own where several are given; not used
            for a multiclass task.
        resamples: bootstrap draws of patients.
        seed: of the draws; the same seed gives the same report.

    Raises:
        SourceError: there is no film.
    """
    if not len(predictions):
        raise SourceError("expected films to evaluate, found none")
    groups = predictions.groups()
    return Report(
        task=predictions.task,
        label_names=predictions.label_names,
        threshold=None if predictions.task == "multiclass" else threshold,
        films=len(predictions),
        patients=int(groups.max()) + 1,
        patients_known=predictions.patients_known,
        films_per_label=films_per_label(predictions),
        confusion=_confusions(predictions, threshold),
        measures=(
            *_measures(predictions, threshold, groups, resamples, seed),
            *_answered(predictions, threshold, groups),
        ),
        resamples=resamples,
        seed=seed,
    )


def findings(predictions: Predictions, threshold: PerFinding = 0.5) -> tuple[Finding, ...]:
    """The yes-or-no questions of a task: the positive label, or each label against the rest.

    Films are ranked by logit, which no calibration and no rounding of probabilities near 1 changes; one of several
    classes is ranked by its log-probability, which unlike a logit compares between films.
    """
    called, scores, labels = predictions.called(threshold), predictions.logits, predictions.labels
    if predictions.task == "binary":
        name, probability = predictions.label_names[1], predictions.probabilities[:, 0]
        return (Finding(name, labels == 1, called == 1, scores[:, 0], probability),)
    if predictions.task == "multiclass":
        classes = np.arange(len(predictions.label_names))
        labels, called = labels[:, None] == classes, called[:, None] == classes
        scores = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    return tuple(
        Finding(name, labels[:, k] == 1, called[:, k] == 1, scores[:, k], predictions.probabilities[:, k])
        for k, name in enumerate(predictions.label_names)
    )


def _measures(
    predictions: Predictions, threshold: PerFinding, groups: Ints, resamples: int, seed: int
) -> tuple[Measure, ...]:
    each = findings(predictions, threshold)
    overall, more = _overall(predictions, each), summaries(predictions, threshold)
    result = bootstrap(_statistic(each, overall, more), groups, resamples, seed)
    names = [(name, finding) for finding in each for name in METRICS]
    measures = [
        _ece(finding, groups, resamples, seed)
        if name == "ece"
        else _closed_form(result, i, name, finding.name, metric_interval(name, finding, groups))
        for i, (name, finding) in enumerate(names)
    ]
    if not overall:
        return tuple(measures)
    start = len(names) + 2 * len(METRICS)
    means = [
        _bootstrapped(result, len(names) + i, name, kind)
        for i, (kind, name) in enumerate((kind, name) for kind in (MACRO, WEIGHTED) for name in METRICS)
    ]
    whole = [
        _closed_form(result, start + i, name, ALL, _overall_interval(per_film, groups))
        for i, (name, per_film) in enumerate(overall.items())
    ]
    whole += [_bootstrapped(result, start + len(overall) + i, name, ALL) for i, name in enumerate(more)]
    if predictions.task == "multiclass":
        whole.append(_ece(top_label(predictions, ALL), groups, resamples, seed))
    return (*whole, *means, *measures)


def _statistic(each: tuple[Finding, ...], overall: dict[str, Floats], more: dict[str, Summary]) -> Statistic:
    """Weights (b, n) -> every metric of every finding, then, of several, their two means and the overall figures."""

    def statistic(weights: Floats) -> Floats:
        columns = [compute_metrics(finding, weights) for finding in each]
        if not overall:
            return columns[0]
        total = weights.sum(axis=1)
        whole = [ratio(weights @ per_film, total) for per_film in overall.values()]
        whole += [summary(weights) for summary in more.values()]
        means = np.mean(columns, axis=0), weighted_mean(columns, each, weights)
        return np.concatenate([*columns, *means, np.stack(whole, axis=1)], axis=1)

    return statistic


def _overall(predictions: Predictions, each: tuple[Finding, ...]) -> dict[str, Floats]:
    """Figures about all labels at once, as the mean of these numbers per film (n,)."""
    if predictions.task == "binary":
        return {}
    right = np.all([finding.truth == finding.called for finding in each], axis=0)
    squares = np.sum([(finding.probability - finding.truth) ** 2 for finding in each], axis=0)
    if predictions.task == "multilabel":
        return {"exact_match": right.astype(np.float64)}
    return {"accuracy": right.astype(np.float64), "brier": squares}


def _overall_interval(per_film: Floats, groups: Ints) -> Interval | None:
    share = bool(np.isin(per_film, (0.0, 1.0)).all())
    return part_interval((per_film, np.ones_like(per_film)), groups) if share else None


def _answered(predictions: Predictions, threshold: PerFinding, groups: Ints) -> tuple[Measure, ...]:
    """Figures of the films that the reader answers; none where it answers every film."""
    if predictions.answered is None:
        return ()
    about = predictions.label_names[1] if predictions.task == "binary" else ALL
    one = np.ones((1, len(predictions)))
    measures = []
    for name, part in answered_parts(predictions, predictions.called(threshold)).items():
        value = finite(part_mean(one, part)[0])
        if value is None:
            measures.append(Measure(name, about, None, reason="no such film is answered"))
        else:
            measures.append(_share(name, about, value, part_interval(part, groups)))
    return tuple(measures)


def _closed_form(result: Intervals, i: int, name: str, finding: str, interval: Interval | None) -> Measure:
    value = finite(result.value[i])
    if value is None:
        return Measure(name, finding, None, reason=UNDEFINED[name].format(name=finding))
    return _bootstrapped(result, i, name, finding) if interval is None else _share(name, finding, value, interval)


def _share(name: str, finding: str, value: float, interval: Interval) -> Measure:
    return Measure(name, finding, value, *interval, reason=EXACT if value in (0.0, 1.0) else "")


def _ece(finding: Finding, groups: Ints, resamples: int, seed: int) -> Measure:
    """The calibration error, which has an interval of its own."""
    value = ece(finding.truth, finding.probability)
    low, high = ece_interval(finding.truth, finding.probability, groups, resamples, seed)
    return Measure("ece", finding.name, value, low, high)


def _bootstrapped(result: Intervals, i: int, name: str, finding: str) -> Measure:
    value, low, high = (finite(part[i]) for part in (result.value, result.low, result.high))
    if value is None:
        return Measure(name, finding, None, reason="not defined for every label")
    if name == "ece":
        return Measure(name, finding, value, reason="a mean of calibration errors has no interval here")
    if low is None or result.fixed[i]:
        reason = FIXED if result.fixed[i] else "not defined in enough resamples"
        return Measure(name, finding, value, reason=reason)
    return Measure(name, finding, value, low, high)


def films_per_label(predictions: Predictions) -> tuple[int, ...]:
    """Films of each label; one with several findings counts for each."""
    if predictions.task == "multilabel":
        return tuple(int(total) for total in predictions.labels.sum(axis=0))
    counts = np.bincount(predictions.labels, minlength=len(predictions.label_names))
    return tuple(int(total) for total in counts)


def _confusions(predictions: Predictions, threshold: PerFinding) -> dict[str, Ints]:
    called = predictions.called(threshold)
    if predictions.task != "multilabel":
        return {ALL: confusion_matrix(predictions.labels, called, len(predictions.label_names))}
    columns = enumerate(predictions.label_names)
    return {name: confusion_matrix(predictions.labels[:, k], called[:, k], 2) for k, name in columns}


def write_report(
    report: Report, predictions: Predictions, out: Path, about: Mapping[str, Any] | None = None
) -> tuple[Path, ...]:
    """Write report.json, predictions.csv and the plots into `out`, each whole or not at all.

    Args:
        report: of `predictions`.
        predictions: the films and outputs.
        out: a folder, made where missing.
        about: further fields of report.json: reader, data, split, command, films that could not be read.

    Raises:
        OutputError: `out` cannot be written.
    """
    from lucency.evaluate.plots import write_plots

    written = [out / "predictions.csv", *write_plots(report, predictions, out), out / "report.json"]
    write_text(written[0], predictions.to_csv(0.5 if report.threshold is None else report.threshold))
    write_text(written[-1], dump(to_json(report, about or {})) + "\n")
    return tuple(written)


def dump(content: Mapping[str, Any]) -> str:
    """JSON text, indented, Unicode unescaped, without NaN."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


def to_json(report: Report, about: Mapping[str, Any]) -> dict[str, Any]:
    """The content of report.json."""
    return {
        "schema_version": SCHEMA_VERSION,
        **about,
        "task": report.task,
        "labels": list(report.label_names),
        "threshold": report.threshold,
        "films": report.films,
        "patients": report.patients,
        "patients_known": report.patients_known,
        "films_per_label": dict(zip(report.label_names, report.films_per_label, strict=True)),
        "confusion": {
            "rows": "true label",
            "columns": "called",
            "counts": {name: table.tolist() for name, table in report.confusion.items()},
            "shares": {name: _shares(table) for name, table in report.confusion.items()},
        },
        "intervals": {
            "level": LEVEL,
            "method": METHOD,
            "drawn": "patients" if report.patients_known else "films where the patient is unknown",
            "resamples": report.resamples,
            "seed": report.seed,
        },
        "metrics": [asdict(measure) for measure in report.measures],
    }


def _shares(table: Ints) -> list[list[float | None]]:
    """A confusion matrix whose rows sum to 1; None in the row of a label without films."""
    rows = table.sum(axis=1, keepdims=True) + np.zeros_like(table)
    return [[finite(share) for share in row] for row in ratio(table.astype(np.float64), rows)]


def open_predictions(path: Path) -> tuple[Predictions, PerFinding]:
    """Predictions and threshold from a folder that `write_report` wrote, or from the predictions.csv in it.

    Raises:
        SourceError: there is no such file, or no report.json beside it that names the labels.
    """
    table = path / "predictions.csv" if path.is_dir() else path
    beside = table.with_name("report.json")
    try:
        report = parse_json(beside.read_text(encoding="utf-8"))
        labels, task, threshold = tuple(report["labels"]), report["task"], report["threshold"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{beside}: expected the report.json that lucency evaluate writes ({error})") from error
    at = tuple(map(float, threshold)) if isinstance(threshold, list) else float(0.5 if threshold is None else threshold)
    return read_predictions(table, labels, task), at
