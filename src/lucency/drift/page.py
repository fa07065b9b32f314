"""What drifted, for people and machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from lucency.drift.compare import Drift, Shift
from lucency.drift.sample import Sample

BINS = 30
TALL, WIDE = 60, 300
"""Size of a histogram."""


def table(drift: Drift, before: Sample, after: Sample, out: Path) -> str:
    """The comparison for a terminal."""
    lines = [f"{'':24}{'reference':>12}{'now':>12}{'distance':>10}{'p':>8}"]
    for shift in drift.shifts:
        medians = f"{number(shift.before):>12}{number(shift.after):>12}"
        lines.append(
            f"{shift.name:24}{medians}{shift.distance:10.3f}{shift.p:8.3f}{'  shifted' if shift.alarm else ''}"
        )
    lines += [f"called {label:17}{before.called[label]:12.1%}{after.called[label]:12.1%}" for label in before.called]
    return "\n".join(["", *lines, "", summary(drift), f"Written to {out}: drift.html, drift.json"])


def summary(drift: Drift) -> str:
    """The comparison in two sentences."""
    sides = [f"{films:,} films of {own:,} patients" for films, own in zip(drift.films, drift.patients, strict=True)]
    counts = " against ".join(sides)
    chance = f"films that are alike raise an alarm in at most {drift.level:.1%} of such comparisons"
    if not drift.alarm:
        return f"No shift found: {counts}; {chance}."
    names = ", ".join(shift.name for shift in drift.shifts if shift.alarm)
    return f"Shifted: {names}. {counts}; {chance}."


def to_json(drift: Drift, before: Sample, after: Sample, about: Mapping[str, Any]) -> dict[str, Any]:
    """The content of drift.json."""
    return {
        "schema_version": 1,
        **about,
        "alarm": drift.alarm,
        "level": drift.level,
        "draws": drift.draws,
        "films": {"reference": drift.films[0], "now": drift.films[1]},
        "patients": {"reference": drift.patients[0], "now": drift.patients[1]},
        "shifts": [asdict(shift) for shift in drift.shifts],
        "called": {"reference": before.called, "now": after.called},
        "unread": [str(error) for error in (*before.unreadable, *after.unreadable)],
    }


def page(drift: Drift, before: Sample, after: Sample, reference: str, now: str) -> str:
    """drift.html: no request leaves it, no film is in it."""
    environment = Environment(
        loader=PackageLoader("lucency.drift", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    rows = [_row(shift, before, after) for shift in drift.shifts]
    called = [(label, before.called[label], after.called[label]) for label in before.called]
    return environment.get_template("page.html").render(
        drift=drift,
        rows=rows,
        called=called,
        reference=reference,
        now=now,
        summary=summary(drift),
        tall=TALL,
        wide=WIDE,
    )


def _row(shift: Shift, before: Sample, after: Sample) -> dict[str, Any]:
    row: dict[str, Any] = {"shift": shift, "before": number(shift.before), "after": number(shift.after), "curves": None}
    if shift.name in before.numbers:
        one, other = before.numbers[shift.name], after.numbers[shift.name]
        low, high = np.quantile(np.concatenate([one, other]), [0.005, 0.995])
        row["curves"] = outlines(one, other, float(low), float(high))
        row["ends"] = (number(float(low)), number(float(high)))
    return row


def outlines(one: NDArray[np.float64], other: NDArray[np.float64], low: float, high: float) -> list[str]:
    """Two histograms on one scale, each the points of an SVG polyline; what lies beyond the ends counts there."""
    edges = np.linspace(low, max(high, low + 1e-9), BINS + 1)
    shares = [np.histogram(np.clip(side, edges[0], edges[-1]), edges)[0] / len(side) for side in (one, other)]
    return [_outline(TALL * (1 - share / np.max(shares))) for share in shares]


def _outline(height: NDArray[np.float64]) -> str:
    points = [(WIDE * (k + side) / BINS, height[k]) for k in range(BINS) for side in (0, 1)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in [(0.0, TALL), *points, (WIDE, TALL)])


def number(value: float | None) -> str:
    """Three digits, or nothing."""
    return "" if value is None else f"{value:.3g}"
