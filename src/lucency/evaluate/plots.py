"""The plots of a report, readable in print and by the colour-blind (colours of Okabe & Ito 2008)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from lucency.arrays import Ints
from lucency.evaluate.confidence_intervals import proportion_interval
from lucency.evaluate.metrics import COUNTED, Finding, count, equal_count_bins, ratio
from lucency.evaluate.predictions import Predictions
from lucency.evaluate.report import Report, findings
from lucency.evaluate.selective_prediction import augrc, confidence, correct_calls, risk_coverage, risk_interval
from lucency.files import beside

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", ":", "-.")
GRAY = "#767676"
SIZE = 13
"""Points of ordinary text."""
MAX_NUMBERED = 12
"""Tables of more labels show colour without numbers."""
MAX_DOTTED = 4
"""Curves of more labels show no operating points."""


def write_plots(report: Report, predictions: Predictions, out: Path) -> tuple[Path, ...]:
    """Write confusion.png, roc.png, pr.png, reliability.png and risk.png into `out`.

    Raises:
        OutputError: `out` cannot be written.
    """
    each = findings(predictions, 0.5 if report.threshold is None else report.threshold)
    drawn: dict[str, Figure] = {
        "confusion.png": confusion_plot(report),
        "roc.png": roc_plot(report, each),
        "pr.png": precision_recall_plot(report, each),
        "reliability.png": reliability_plot(report, each, predictions.groups()),
        "risk.png": risk_plot(report, predictions),
    }
    for name, figure in drawn.items():
        FigureCanvasAgg(figure)
        with beside(out / name) as draft:
            figure.savefig(draft, format="png", dpi=120)
    return tuple(out / name for name in drawn)


def confusion_plot(report: Report) -> Figure:
    """True label by called label: films, and their share of the row. One table per finding of a multilabel task."""
    tables = list(report.confusion.items())
    alone = len(tables) == 1
    across = min(3, len(tables))
    down = -(-len(tables) // across)
    side = min(16.0, max(5.2, 1.6 + 0.75 * len(report.label_names))) if alone else 4.4
    figure = Figure(figsize=(side * across + 0.4, side * down), layout="constrained")
    for place, (finding, table) in enumerate(tables, 1):
        axes = figure.add_subplot(down, across, place)
        _table(axes, table, report.label_names if alone else (f"no {finding}", finding))
        axes.set_title(report.counted if alone else finding, fontsize=SIZE)
    return figure


def _table(axes: Axes, table: Ints, names: tuple[str, ...]) -> None:
    rows = np.broadcast_to(table.sum(axis=1, keepdims=True), table.shape)
    shares = np.nan_to_num(ratio(table.astype(np.float64), rows))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    small = SIZE - (len(names) > 4) * 3
    if len(names) <= MAX_NUMBERED:
        for (i, j), films in np.ndenumerate(table):
            ink = {"ha": "center", "va": "center", "color": "white" if shares[i, j] > 0.55 else "black"}
            axes.text(j, i - 0.08, f"{films:,}", fontdict=ink, fontsize=1.5 * small)
            axes.text(j, i + 0.22, f"{100 * shares[i, j]:.1f} %", fontdict=ink, fontsize=small - 1)
    turned = 0 if len(names) == 2 else 45
    axes.set_xticks(range(len(names)), names, fontsize=small, rotation=turned, ha="right" if turned else "center")
    axes.set_yticks(range(len(names)), names, fontsize=small, rotation=0 if turned else 90, va="center")
    axes.set_xlabel("called", fontsize=SIZE)
    axes.set_ylabel("true label", fontsize=SIZE)
    axes.spines[:].set_visible(False)


def roc_plot(report: Report, each: tuple[Finding, ...]) -> Figure:
    """Sensitivity against false alarms; the dot is the operating point, the dashed line is chance."""
    figure, axes = _unit_square("1 − specificity (false alarms)", "sensitivity")
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle=(0, (4, 4)))
    for i, finding in enumerate(each):
        colour, style = _look(i)
        label = _label(report, "auroc", "AUROC", finding)
        x, y, _ = roc_curve(finding.truth, finding.score) if _both_classes(finding) else ([], [], [])
        axes.plot(x, y, color=colour, linestyle=style, linewidth=2, label=label)
        specificity, sensitivity = _values(finding, "specificity", "sensitivity")
        _dot(axes, 1 - specificity, sensitivity, colour, report)
    _legend(axes, "lower right", each)
    return figure


def precision_recall_plot(report: Report, each: tuple[Finding, ...]) -> Figure:
    """Precision against recall; the dot is the operating point, the dotted line is calling every film."""
    figure, axes = _unit_square("recall = sensitivity", "precision")
    for i, finding in enumerate(each):
        colour, style = _look(i)
        label = _label(report, "average_precision", "AP", finding)
        y, x, _ = precision_recall_curve(finding.truth, finding.score) if finding.truth.any() else ([], [], [])
        axes.axhline(float(np.mean(finding.truth)), color=colour, linewidth=1, linestyle=(0, (1, 3)))
        axes.plot(x, y, color=colour, linestyle=style, linewidth=2, label=label, drawstyle="steps-post")
        recall, precision = _values(finding, "sensitivity", "precision")
        _dot(axes, recall, precision, colour, report)
    _legend(axes, "lower left", each)
    return figure


def reliability_plot(report: Report, each: tuple[Finding, ...], groups: Ints) -> Figure:
    """Share of films with the finding against the probability, in bins of equal count; below, the films.

    The bars are 95 % intervals by patient, for one finding only.
    """
    figure = Figure(figsize=(6.4, 7.6), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle=(0, (4, 4)))
    bins = min(10, max(1, report.films // 20))
    for i, finding in enumerate(each):
        colour, style = _look(i)
        place = equal_count_bins(finding.probability, bins)
        held = [place == bin for bin in np.unique(place)]
        predicted = [finding.probability[mask].mean() for mask in held]
        observed = [finding.truth[mask].mean() for mask in held]
        label = _label(report, "ece", "ECE", finding)
        axes.plot(predicted, observed, color=colour, linestyle=style, marker="o", label=label)
        if len(each) == 1:
            bars = np.array([proportion_interval(finding.truth, mask, groups) for mask in held])
            axes.vlines(predicted, *bars.T, color=colour, linewidth=1.5)
    _frame(axes, "", "share of films with the finding")
    _legend(axes, "best", each)
    colours = [_look(i)[0] for i in range(len(each))]
    below.hist([finding.probability for finding in each], bins=20, range=(0, 1), color=colours)
    _label_axes(below, "probability", "films")
    return figure


def risk_plot(report: Report, predictions: Predictions) -> Figure:
    """Share of wrong calls among the most confident films against the share answered; the dot is the reader's own."""
    threshold = 0.5 if report.threshold is None else report.threshold
    confident, correct = confidence(predictions, threshold), correct_calls(predictions, predictions.called(threshold))
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.add_subplot()
    share, wrong = risk_coverage(confident, correct)
    area = float(augrc(confident, correct, np.ones((1, len(correct))))[0])
    label = f"only the most confident films answered (AUGRC {area:.4f})"
    axes.step(share, wrong, color=COLOURS[0], where="post", label=label)
    at = np.linspace(0.02, 1, 99)
    low, high = risk_interval(confident, correct, predictions.groups(), at)
    axes.fill_between(at, low, high, color=COLOURS[0], alpha=0.15, linewidth=0, label="95 % interval, by patient")
    if predictions.answered is not None and predictions.answered.any():
        x, y = predictions.answered.mean(), 1 - correct[predictions.answered].mean()
        label = f"this reader: {100 * x:.1f} % answered, {100 * y:.1f} % of them wrong"
        axes.plot([x], [y], "o", color=COLOURS[1], markersize=9, markeredgecolor="white", label=label, clip_on=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, max(0.02, 1.3 * float(np.max(high))))
    _label_axes(axes, "share of films answered", "wrong among the answered")
    axes.grid(color="#E5E5E5", linewidth=0.8)
    axes.legend(loc="upper left", fontsize=SIZE - 3, framealpha=1, edgecolor="white")
    return figure


def _legend(axes: Axes, where: Literal["lower right", "lower left", "best"], each: tuple[Finding, ...]) -> None:
    """Names of the curves; of more than MAX_NUMBERED none, as they would cover the plot: report.json has them."""
    if len(each) <= MAX_NUMBERED:
        axes.legend(loc=where, fontsize=SIZE - 2, framealpha=1, edgecolor="white")


def _both_classes(finding: Finding) -> bool:
    return bool(finding.truth.any()) and not bool(finding.truth.all())


def _values(finding: Finding, *names: str) -> tuple[float, ...]:
    counts = count(finding, np.ones((1, len(finding.truth))))
    return tuple(float(COUNTED[name](counts)[0]) for name in names)


def _label(report: Report, metric: str, title: str, finding: Finding) -> str:
    measure = report.measure(metric, finding.name)
    few = len(report.label_names) <= MAX_DOTTED
    return f"{finding.name}\n{title} {measure}" if few else f"{finding.name}: {measure}"


def _dot(axes: Axes, x: float, y: float, colour: str, report: Report) -> None:
    """The operating point, where it is defined and not one of many."""
    if np.isnan([x, y]).any() or len(report.label_names) > MAX_DOTTED:
        return
    label = f"threshold {report.threshold:.3g}" if report.threshold is not None and report.task == "binary" else None
    shape = {"marker": "o", "markersize": 9, "markeredgecolor": "white", "linestyle": ""}
    axes.plot([x], [y], color=colour, label=label, clip_on=False, zorder=5, **shape)  # type: ignore[arg-type]


def _unit_square(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    axes = figure.add_subplot()
    _frame(axes, x, y)
    return figure, axes


def _frame(axes: Axes, x: str, y: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.005)
    axes.set_aspect("equal")
    _label_axes(axes, x, y)
    axes.grid(color="#E5E5E5", linewidth=0.8)


def _label_axes(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=SIZE)
    axes.set_ylabel(y, fontsize=SIZE)
    axes.tick_params(labelsize=SIZE - 1)
    axes.spines[["top", "right"]].set_visible(False)


def _look(i: int) -> tuple[str, str]:
    """Colour and line style of curve `i`; a colour comes back in another style."""
    return COLOURS[i % len(COLOURS)], STYLES[i // len(COLOURS) % len(STYLES)]
