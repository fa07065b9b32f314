"""The comparison for a terminal and as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lucency.data.acquisition_pairs import WHOSE, Whose
from lucency.evaluate.confidence_intervals import Estimate
from lucency.html import render
from lucency.shift.conditions import FLOOR, ClassMetrics, ConditionMetrics
from lucency.shift.study import MIN_RUNS, BiasBaseline, SeedSummary, ShiftResult, rank_correlations, summarise_seeds


def table(studies: Sequence[ShiftResult], whose: Whose, bias: BiasBaseline | None) -> str:
    """Every reader's figures; for several readers, a comparison of their measures at the end."""
    lines = [f"donors: {whose}, {WHOSE[whose]}"]
    if bias is not None:
        baseline = f"AUROC {bias.auroc:.3f}, {len(bias.wrong):,} of {bias.films:,} films wrong"
        lines.append(f"bias-only baseline, cross-validated by patient: {baseline}")
    for one in studies:
        lines += ["", *_one(one)]
    if any(not one.several for one in studies):
        lines += ["", f"spec. and sens.: at the threshold where the plain films have a sensitivity of {FLOOR:g}"]
    lines += _beside(studies) if len(studies) > 1 else []
    return "\n".join([*lines, *(line for recipe in summarise_seeds(studies) for line in _over(recipe))])


def _one(study: ShiftResult) -> list[str]:
    lines = [f"{study.title}: {study.how}", *(_HEADS_OF_SEVERAL if study.several else _HEADS_OF_TWO)]
    lines += [_of_several(one) if isinstance(one, ClassMetrics) else _of_two(one) for one in study.figures]
    if found := study.on_wrong:
        right = f"{found.accuracy:.3f} on the {found.films} films that the baseline gets wrong"
        lines.append(f"accuracy {right}, {found.rest:.3f} on the others")
    if study.probe:
        lines.append("features predict " + ", ".join(f"{name} {value:.2f}" for name, value in study.probe.items()))
    if pair := study.pairs:
        moved = f"|logit| moves by {pair.mean:.3f}, at most {pair.largest:.3f}"
        lines.append(f"{pair.films} films in the other edition: {moved}")
    return lines


_HEADS_OF_TWO = (
    f"{'':12}{'AUROC':>8}{'normals':>9}{'spec.':>8}{'sens.':>8}{'acc.':>8}{'ECE':>8}{'logit shift':>20}",
    f"{'':12}{'':8}{'moved':>9}{'':32}{'normal':>12}{'finding':>8}",
)
_HEADS_OF_SEVERAL = (
    f"{'':12}{'balanced accuracy':>26}{'change':>26}{'mean':>8}{'called':>12}{'mean':>8}",
    f"{'':12}{'':52}{'AUROC':>8}{'otherwise':>12}{'ECE':>8}",
)


def _of_two(one: ConditionMetrics) -> str:
    cells = "".join(f"{value:>8.3f}" for value in (one.specificity, one.sensitivity, one.accuracy, one.ece))
    head = f"{one.condition:12}{one.auroc:>8.4f}{one.auroc_normals_moved:>9.4f}"
    return f"{head}{cells}{one.normal_shift:>+12.2f}{one.pneumonia_shift:>+8.2f}"


def _of_several(one: ClassMetrics) -> str:
    head = f"{one.condition:12}{one.balanced_accuracy!s:>26}{one.change!s:>26}"
    return f"{head}{Estimate(one.mean_auroc.value)!s:>8}{Estimate(one.called_otherwise.value)!s:>12}{one.ece:>8.3f}"


def _beside(studies: Sequence[ShiftResult]) -> list[str]:
    measures = [study.measures() for study in studies]
    names = list(dict.fromkeys(name for one in measures for name in one))
    wide = max(10, *(len(study.title) + 2 for study in studies))
    lines = ["", f"{'':26}" + "".join(f"{study.title:>{wide}}" for study in studies)]
    for name in names:
        cells = (f"{one[name]:.4f}" if name in one else "–" for one in measures)
        lines.append(f"{name:26}" + "".join(f"{cell:>{wide}}" for cell in cells))
    return lines


def _over(recipe: SeedSummary) -> list[str]:
    head = f"{recipe.recipe}: mean (lowest to highest) of {len(recipe.seeds)} runs, {seeds_of(recipe)}"
    return ["", head, *(f"{name:26}{span}" for name, span in recipe.measures.items())]


def seeds_of(recipe: SeedSummary) -> str:
    """Its seeds in words."""
    return ("seed " if len(set(recipe.seeds)) == 1 else "seeds ") + ", ".join(map(str, dict.fromkeys(recipe.seeds)))


LOWER_IS_BETTER = ("ECE", "called otherwise", "probe", "originals")
"""Prefixes of measures of which lower is better."""
STEEP = 0.7
"""Rank correlation at which a cell has its full colour."""


def page(studies: Sequence[ShiftResult], whose: Whose, bias: BiasBaseline | None, command: str) -> str:
    """shift.html."""
    measures = [study.measures() for study in studies]
    return render(
        "shift",
        studies=studies,
        donors=f"{whose}: {WHOSE[whose]}",
        bias=bias,
        command=command,
        floor=FLOOR,
        least=MIN_RUNS,
        rows=_rows(measures),
        recipes=[
            {"name": one.recipe, "seeds": seeds_of(one), "spans": one.measures} for one in summarise_seeds(studies)
        ],
        together=_correlations(measures),
    )


def _rows(measures: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """One row per measure: its value in each run, the best one marked."""
    names = dict.fromkeys(name for one in measures for name in one)
    return [_row(name, [one.get(name) for one in measures]) for name in names]


def _row(name: str, values: list[float | None]) -> dict[str, Any]:
    falls = name.startswith(LOWER_IS_BETTER)
    there = [value for value in values if value is not None]
    best = min(there) if falls else max(there)
    cells = [{"text": "–" if v is None else f"{v:.4f}", "best": len(there) > 1 and v == best} for v in values]
    return {"name": name, "wanted": "lower" if falls else "higher", "cells": cells}


def _correlations(measures: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Rank correlations as coloured cells: blue positive, red negative."""
    names, found = rank_correlations(measures)
    rows = [
        {"name": name, "cells": [{"text": f"{r:+.2f}", "colour": _colour(r)} for r in line]}
        for name, line in zip(names, found, strict=True)
    ]
    return {"names": names, "rows": rows}


def _colour(r: float) -> str:
    hue, share = ("33 102 172" if r > 0 else "178 24 43"), min(1.0, abs(r) / STEEP)
    return f"rgb({hue} / {np.round(0.55 * share, 2)})"
