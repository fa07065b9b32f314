"""The course of a training run: a table, and four curves to look at."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from lucency.files import beside, write_text
from lucency.train.step import Row

CURVES = (("loss", "loss (nats)"), ("accuracy", "accuracy"), ("auroc", "AUROC"), ("recall", "recall (sensitivity)"))
"""The four curves, and what stands beside their axes."""
INK = {"train": "#0072b2", "val": "#d55e00"}
"""Blue and vermilion of Okabe & Ito: told apart by the colour-blind."""


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
        _picture(phases).savefig(draft, format="png", dpi=110)


def _picture(phases: dict[str, list[Row]]) -> Any:
    from matplotlib.figure import Figure  # half a second that only those who draw should pay

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


def _borders(phases: dict[str, list[Row]]) -> list[float]:
    """Where one phase ends and the next begins, on the axis of epochs."""
    ends, done = [], 0
    for history in phases.values():
        done += len(history)
        ends.append(done + 0.5)
    return ends[:-1]
