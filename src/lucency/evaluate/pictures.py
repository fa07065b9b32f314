"""Pictures of a judgement, readable in print and by the colour-blind (colours of Okabe & Ito 2008)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lucency.evaluate.bounds import share_interval
from lucency.evaluate.judge import Report, findings
from lucency.evaluate.metrics import Finding, count, ratio, roc_curve
from lucency.evaluate.predictions import Predictions
from lucency.evaluate.reliability import equal_count, reliability
from lucency.evaluate.selective import band, right, risk_coverage, sureness
from lucency.files import beside

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GRAY = "#767676"
SIZE = 13
"""Points of ordinary text."""
MANY = 12
"""Tables of more labels show colour without numbers."""
FEW = 4
"""Curves of more labels show no operating points."""


def write_pictures(report: Report, predictions: Predictions, out: Path) -> tuple[Path, ...]:
    """Write confusion.png, roc.png, pr.png, reliability.png and risk.png into `out`.

    Raises:
        OutputError: `out` cannot be written.
    """
    asked = findings(predictions, 0.5 if report.threshold is None else report.threshold)
    drawn: dict[str, Figure] = {
        "confusion.png": confusion_picture(report),
        "roc.png": roc_picture(report, asked),
        "pr.png": precision_recall_picture(report, asked),
        "reliability.png": reliability_picture(report, asked, predictions.groups()),
        "risk.png": risk_picture(report, predictions),
    }
    for name, figure in drawn.items():
        save(figure, out / name)
    return tuple(out / name for name in drawn)


def save(figure: Figure, path: Path) -> None:
    """Write `figure` as PNG, whole or not at all. Raises OutputError."""
    FigureCanvasAgg(figure)
    with beside(path) as draft:
        figure.savefig(draft, format="png", dpi=120)


def confusion_picture(report: Report) -> Figure:
    """True label by called label: films, and their share of the row. One table a finding for a multilabel task."""
    tables = list(report.confusion.items())
    alone = len(tables) == 1
    across = min(3, len(tables))
    down = -(-len(tables) // across)
    side = max(5.2, 1.6 + 0.75 * len(report.label_names)) if alone else 4.4
    figure = Figure(figsize=(side * across + 0.4, side * down), layout="constrained")
    for place, (finding, table) in enumerate(tables, 1):
        axes = figure.add_subplot(down, across, place)
        _table(axes, table, report.label_names if alone else (f"no {finding}", finding))
        axes.set_title(f"{report.films:,} films of {report.patients:,} patients" if alone else finding, fontsize=SIZE)
    return figure


def _table(axes: Axes, table: NDArray[np.int64], names: tuple[str, ...]) -> None:
    rows = np.broadcast_to(table.sum(axis=1, keepdims=True), table.shape)
    shares = np.nan_to_num(ratio(table.astype(np.float64), rows))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    small = SIZE - (len(names) > 4) * 3
    if len(names) <= MANY:
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


def roc_picture(report: Report, asked: tuple[Finding, ...]) -> Figure:
    """Sensitivity against false alarms; the dot is the operating point, the dashed line is chance."""
    figure, axes = square("1 − specificity (false alarms)", "sensitivity")
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle=(0, (4, 4)))
    for finding, look in zip(asked, _looks(len(asked)), strict=True):
        alarms, found, _ = roc_curve(finding.truth, finding.score)
        label = _label(report, "auroc", "AUROC", finding)
        axes.plot(alarms, found, color=look[0], linestyle=look[1], linewidth=2, label=label)
        tp, fp, fn, tn = _cells(finding)
        if tp + fn and fp + tn and len(asked) <= FEW:
            _dot(axes, fp / (fp + tn), tp / (tp + fn), look[0], report)
    axes.legend(loc="lower right", fontsize=SIZE - 2, framealpha=1, edgecolor="white")
    return figure


def precision_recall_picture(report: Report, asked: tuple[Finding, ...]) -> Figure:
    """Precision against recall; the dot is the operating point, the dotted line is calling every film."""
    figure, axes = square("recall = sensitivity", "precision")
    for finding, look in zip(asked, _looks(len(asked)), strict=True):
        recall, precision = precision_recall(finding)
        label = _label(report, "average_precision", "AP", finding)
        axes.axhline(float(np.mean(finding.truth)), color=look[0], linewidth=1, linestyle=(0, (1, 3)))
        steps = axes.plot(recall, precision, color=look[0], linestyle=look[1], linewidth=2, label=label)
        steps[0].set_drawstyle("steps-pre")
        tp, fp, fn, _ = _cells(finding)
        if tp + fn and tp + fp and len(asked) <= FEW:
            _dot(axes, tp / (tp + fn), tp / (tp + fp), look[0], report)
    axes.legend(loc="lower left", fontsize=SIZE - 2, framealpha=1, edgecolor="white")
    return figure


def reliability_picture(report: Report, asked: tuple[Finding, ...], groups: NDArray[np.int64]) -> Figure:
    """Share of films with the finding against the probability given, in bins of equal count; below, the films.

    The bars are 95 % intervals by patient, for one finding only.
    """
    figure = Figure(figsize=(6.4, 7.6), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle=(0, (4, 4)))
    bins = min(10, max(1, report.films // 20))
    for finding, look in zip(asked, _looks(len(asked)), strict=True):
        curve = reliability(finding.truth, finding.probability, bins, adaptive=True)
        label = _label(report, "ece", "ECE", finding)
        axes.plot(curve.predicted, curve.observed, color=look[0], linestyle=look[1], marker="o", label=label)
        if len(asked) == 1:
            low, high = _shares(finding, groups, bins)
            axes.vlines(curve.predicted, low, high, color=look[0], linewidth=1.5)
    _frame(axes, "", "share of films with the finding")
    axes.legend(loc="best", fontsize=SIZE - 2, framealpha=1, edgecolor="white")
    colours = [look[0] for look in _looks(len(asked))]
    below.hist([finding.probability for finding in asked], bins=20, range=(0, 1), color=colours)
    below.set_xlabel("probability given", fontsize=SIZE)
    below.set_ylabel("films", fontsize=SIZE)
    below.tick_params(labelsize=SIZE - 1)
    below.spines[["top", "right"]].set_visible(False)
    return figure


def risk_picture(report: Report, predictions: Predictions) -> Figure:
    """Share of wrong calls among the surest films against how many are answered; the dot is what the reader does."""
    threshold = 0.5 if report.threshold is None else report.threshold
    sure, correct = sureness(predictions, threshold), right(predictions, predictions.verdicts(threshold))
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.add_subplot()
    share, wrong = risk_coverage(sure, correct)
    axes.step(share, wrong, color=COLOURS[0], where="post", label="only the surest films answered")
    at = np.linspace(0.02, 1, 99)
    low, high = band(sure, correct, predictions.groups(), at)
    axes.fill_between(at, low, high, color=COLOURS[0], alpha=0.15, linewidth=0, label="95 % interval, by patient")
    if predictions.answered is not None and predictions.answered.any():
        x, y = predictions.answered.mean(), 1 - correct[predictions.answered].mean()
        label = f"this reader: {100 * x:.1f} % answered, {100 * y:.1f} % of them wrong"
        axes.plot([x], [y], "o", color=COLOURS[1], markersize=9, markeredgecolor="white", label=label, clip_on=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, max(0.02, 1.3 * float(np.max(high))))
    axes.set_xlabel("share of films answered", fontsize=SIZE)
    axes.set_ylabel("wrong among the answered", fontsize=SIZE)
    axes.tick_params(labelsize=SIZE - 1)
    axes.grid(color="#E5E5E5", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", fontsize=SIZE - 3, framealpha=1, edgecolor="white")
    return figure


def _shares(finding: Finding, groups: NDArray[np.int64], bins: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interval of the share with the finding, by bin that holds a film."""
    place = equal_count(finding.probability, bins)
    rows = [share_interval(finding.truth, place == bin, groups) for bin in np.unique(place)]
    low, high = np.array(rows).T
    return low, high


def precision_recall(finding: Finding) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(recall, precision), each (k + 1,), by falling threshold; it starts at recall 0 with the first precision."""
    alarms, found, _ = roc_curve(finding.truth, finding.score)
    tp, fp = found[1:] * finding.truth.sum(), alarms[1:] * (~finding.truth).sum()
    precision = ratio(np.nan_to_num(tp), np.nan_to_num(tp) + np.nan_to_num(fp))
    return found, np.concatenate([precision[:1], precision])


def _label(report: Report, metric: str, title: str, finding: Finding) -> str:
    measure = report.measure(metric, finding.name)
    return f"{finding.name}\n{title} {measure}" if len(report.label_names) <= FEW else f"{finding.name}: {measure}"


def _cells(finding: Finding) -> tuple[float, float, float, float]:
    cells = count(finding, np.ones((1, len(finding.truth))))
    return float(cells.tp[0]), float(cells.fp[0]), float(cells.fn[0]), float(cells.tn[0])


def _dot(axes: Axes, x: float, y: float, colour: str, report: Report) -> None:
    label = f"threshold {report.threshold:.3g}" if report.threshold is not None and report.task == "binary" else None
    shape = {"marker": "o", "markersize": 9, "markeredgecolor": "white", "linestyle": ""}
    axes.plot([x], [y], color=colour, label=label, clip_on=False, zorder=5, **shape)  # type: ignore[arg-type]


def square(x: str, y: str) -> tuple[Figure, Axes]:
    """A figure with one pair of axes from 0 to 1."""
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    axes = figure.add_subplot()
    _frame(axes, x, y)
    return figure, axes


def _frame(axes: Axes, x: str, y: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.005)
    axes.set_aspect("equal")
    axes.set_xlabel(x, fontsize=SIZE)
    axes.set_ylabel(y, fontsize=SIZE)
    axes.tick_params(labelsize=SIZE - 1)
    axes.grid(color="#E5E5E5", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def _looks(count: int) -> list[tuple[str, str]]:
    """Colour and line style of each of `count` curves; a colour comes back in another style."""
    styles = ("-", "--", ":", "-.")
    return [(COLOURS[i % len(COLOURS)], styles[i // len(COLOURS) % len(styles)]) for i in range(count)]
