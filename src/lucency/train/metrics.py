"""The metrics of an epoch, and the history of a run: a table and four curves."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lucency.evaluate.metrics import auroc
from lucency.files import beside, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, float]
"""The metrics of one epoch, by name."""
CURVES = (("loss", "loss (nats)"), ("accuracy", "accuracy"), ("auroc", "AUROC"), ("recall", "recall (sensitivity)"))
"""The four curves and their axis labels."""
INK = {"train": "#0072b2", "val": "#d55e00"}
"""Blue and vermilion of Okabe & Ito, distinguishable by the colour-blind."""


def epoch_metrics(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, precision, recall (at threshold 0.5) and AUROC; macro averages over several classes.

    Args:
        logits: float (n, 1) for one finding, else (n, classes).
        labels: int (n,), or (n, classes) of 0 and 1 for a multilabel task.

    Returns:
        name -> value. A precision or recall with nothing to divide by counts as 0, an AUROC with one class only as 0.5.
    """
    truth, predicted, scores = _columns(logits, labels)
    hits = (truth & predicted).sum(axis=0)
    return {
        "accuracy": float(
            (truth == predicted).mean()
            if labels.ndim == 2 or logits.shape[1] == 1
            else (logits.argmax(axis=1) == labels).mean()
        ),
        "precision": float(np.mean(hits / np.maximum(predicted.sum(axis=0), 1))),
        "recall": float(np.mean(hits / np.maximum(truth.sum(axis=0), 1))),
        "auroc": float(np.mean([_auroc(truth[:, k], scores[:, k]) for k in range(truth.shape[1])])),
    }


def _columns(
    logits: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float32]]:
    """Truth, prediction and score, one column per finding."""
    if labels.ndim == 2:
        return labels.astype(bool), logits > 0, logits
    if logits.shape[1] == 1:
        return labels[:, None] == 1, logits > 0, logits
    classes = np.arange(logits.shape[1])
    rest = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)  # log-probabilities compare between films
    return labels[:, None] == classes, logits.argmax(axis=1)[:, None] == classes, rest


def _auroc(truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    return float(auroc(truth, scores)) if 0 < truth.sum() < len(truth) else 0.5


def write_history(phases: dict[str, list[Row]], out: Path) -> None:
    """Write `history.csv`, a row an epoch, and `history.png`, the four curves.

    Args:
        phases: name of the phase -> its rows, in order.
        out: the run's folder.

    Raises:
        OutputError: the folder cannot be written.
    """
    rows = [{"phase": phase} | row for phase, history in phases.items() for row in history]
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(rows[0]) if rows else ["phase"])
    writer.writeheader()
    writer.writerows(rows)
    write_text(out / "history.csv", table.getvalue())
    with beside(out / "history.png") as draft:
        draw_history(phases).savefig(draft, format="png", dpi=110)


def read_history(out: Path) -> dict[str, list[Row]]:
    """The history of the run at `out`: name of the phase -> its rows; empty if there is none."""
    path, phases = out / "history.csv", dict[str, list[Row]]()
    if path.is_file():
        for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))):
            phase = row.pop("phase")
            phases.setdefault(phase, []).append({name: float(value) for name, value in row.items()})
    return phases


def draw_history(phases: Mapping[str, Sequence[Row]]) -> Figure:
    """The four curves over the epochs, the phases in order, as a matplotlib figure."""
    from matplotlib.figure import Figure  # takes half a second to import

    figure = Figure(figsize=(9, 6.5), layout="constrained")
    rows = [row for history in phases.values() for row in history]
    borders = _borders(phases)
    for axes, (name, title) in zip(figure.subplots(2, 2).flat, CURVES, strict=True):
        for side, ink in INK.items():
            epochs = range(1, len(rows) + 1)
            axes.plot(epochs, [row[f"{side}_{name}"] for row in rows], color=ink, marker="o", markersize=3, label=side)
        for border in borders:
            axes.axvline(border, color="0.6", linestyle=":", linewidth=1)
        axes.set(xlabel="epoch", ylabel=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
    figure.axes[0].legend(frameon=False)
    named = ", then ".join(f"{name} ({len(history)} epochs)" for name, history in phases.items())
    figure.suptitle(f"training: {named}", fontsize=11)
    return figure


def _borders(phases: Mapping[str, Sequence[Row]]) -> list[float]:
    """Where one phase ends and the next begins, on the axis of epochs."""
    ends, done = [], 0
    for history in phases.values():
        done += len(history)
        ends.append(done + 0.5)
    return ends[:-1]


def live_curves() -> Callable[[str, list[Row]], None] | None:
    """A function that redraws the curves after each epoch; None outside a notebook."""
    ipython = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
        return None
    from IPython.display import HTML, display

    from lucency.html import figure_html

    phases: dict[str, list[Row]] = {}
    shown = display(HTML(""), display_id=True)  # type: ignore[no-untyped-call]

    def draw(phase: str, rows: list[Row]) -> None:
        phases[phase] = rows
        shown.update(HTML(figure_html(draw_history(phases))))  # type: ignore[no-untyped-call]

    return draw
