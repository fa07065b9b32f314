"""Several runs under the shift as one HTML page: no request leaves it, no film is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from lucency.data.donors import WHOSE, Whose
from lucency.shift.bias import Bias
from lucency.shift.judge import FLOOR
from lucency.shift.seeds import over_runs
from lucency.shift.study import LEAST_RUNS, Study, moves_together
from lucency.shift.table import seeds_of

LOWER_IS_BETTER = ("ECE", "probe", "originals")
"""How the measures begin whose fall is wanted."""
STEEP = 0.7
"""Rank correlation from which a cell is coloured in full."""


def page(studies: Sequence[Study], whose: Whose, bias: Bias | None, command: str) -> str:
    """shift.html."""
    environment = Environment(
        loader=PackageLoader("lucency.shift", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    measures = [study.measures() for study in studies]
    return environment.get_template("page.html").render(
        studies=studies,
        donors=f"{whose}: {WHOSE[whose]}",
        bias=bias,
        command=command,
        floor=FLOOR,
        least=LEAST_RUNS,
        rows=_rows(measures),
        recipes=[{"name": one.recipe, "seeds": seeds_of(one), "spans": one.measures} for one in over_runs(studies)],
        together=_together(measures),
    )


def _rows(measures: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """A line a measure: its value in each run, the best one marked."""
    names = dict.fromkeys(name for one in measures for name in one)
    return [_row(name, [one.get(name) for one in measures]) for name in names]


def _row(name: str, values: list[float | None]) -> dict[str, Any]:
    falls = name.startswith(LOWER_IS_BETTER)
    there = [value for value in values if value is not None]
    best = min(there) if falls else max(there)
    cells = [{"text": "–" if v is None else f"{v:.4f}", "best": len(there) > 1 and v == best} for v in values]
    return {"name": name, "wanted": "lower" if falls else "higher", "cells": cells}


def _together(measures: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The correlations as cells with a colour: blue moves together, red against each other."""
    names, found = moves_together(measures)
    rows = [
        {"name": name, "cells": [{"text": f"{r:+.2f}", "colour": _colour(r)} for r in line]}
        for name, line in zip(names, found, strict=True)
    ]
    return {"names": names, "rows": rows}


def _colour(r: float) -> str:
    hue, share = ("33 102 172" if r > 0 else "178 24 43"), min(1.0, abs(r) / STEEP)
    return f"rgb({hue} / {np.round(0.55 * share, 2)})"
