"""Judge the maps of one explainer on many films."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lucency.evaluate.intervals import Bands, Statistic, bands
from lucency.explain.faith import place
from lucency.explain.faith.cases import Case, Cases, Gray
from lucency.explain.faith.curves import Floats, Probability, curves
from lucency.explain.faith.likeness import rank_correlation
from lucency.explain.faith.place import Map
from lucency.progress import track

Explain = Callable[[Gray], Map]
"""A film's square uint8 (s, s) → its map."""

RANDOM = "random"
"""The row of a map that knows nothing: what each figure is worth by chance."""
CELLS = 7
"""A random map is so many cells a side, as coarse as a network's own."""


@dataclass(frozen=True)
class Figure:
    """One figure with its 95 % interval by patient; None where it is not defined or has none."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    films: int = 0
    """That it is the mean of."""

    def __str__(self) -> str:
        if self.value is None:
            return "–"
        return f"{self.value:.3f}" + ("" if self.low is None else f" ({self.low:.3f} to {self.high:.3f})")


@dataclass(frozen=True)
class Scored:
    """Every figure of one explainer, film by film."""

    method: str
    columns: Mapping[str, Floats]
    """Name → (n,), NaN where a film has no such figure."""
    maps: tuple[Map, ...]
    deletion: Floats
    """Mean curve, (STEPS + 1,); empty where none was drawn."""
    insertion: Floats


def judge_maps(
    method: str, explain: Explain, cases: Cases, read: Probability | None, occluded: tuple[Map, ...] | None = None
) -> Scored:
    """Score every film's map.

    Args:
        method: what the explainer is called.
        explain: makes a map.
        cases: films with the finding.
        read: gives the probability of the finding; without it no curve is drawn.
        occluded: the occlusion map of each film, to agree with.
    """
    maps, rows, overlap, traces = [], [], [], []
    for number, case in enumerate(track(cases.films, f"judging {method}", total=len(cases.films))):
        evidence = explain(case.gray)
        row = _places(case, evidence)
        if read is not None:
            found = curves(read, case.gray, evidence, seed=number)
            traces.append((found.deletion, found.insertion))
            row |= {"deletion": found.deleted, "insertion": found.inserted}
        if occluded:
            row["occlusion"] = rank_correlation(evidence, occluded[number])
        maps.append(evidence)
        rows.append(row)
        overlap.append(_overlaps(case, evidence))
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    columns["iou"] = _iou(np.array(overlap), cases)
    deletion, insertion = np.mean(traces, axis=0) if traces else (np.zeros(0), np.zeros(0))
    return Scored(method, columns, tuple(maps), deletion, insertion)


def random_map(number: int) -> Map:
    """A map that knows nothing of the film: noise, the same for the same number."""
    return np.random.default_rng([7, number]).standard_normal((CELLS, CELLS)).astype(np.float32)


def figures(columns: Mapping[str, Floats], groups: NDArray[np.int64], resamples: int, seed: int = 0) -> list[Figure]:
    """The mean of each column with its interval, and how far the energy in the lesion lies above chance."""
    names = [name for name in columns if not np.isnan(columns[name]).all()]
    if not names:
        return []
    values = np.stack([columns[name] for name in names], axis=1)
    known = np.isfinite(values).astype(np.float64)
    filled = np.where(known > 0, values, 0.0)
    ratio = [names.index(name) for name in ("energy_in_lesion", "lesion_share")] if "lesion_share" in names else []

    def means(weights: Floats) -> Floats:
        total = weights @ known
        mean = np.divide(weights @ filled, total, out=np.full(total.shape, np.nan), where=total > 0)
        return np.hstack([mean, mean[:, ratio[:1]] / mean[:, ratio[1:]]]) if ratio else mean

    found = sure(means, groups, resamples, seed)
    every = [*names, *(["energy_over_chance"] if ratio else [])]
    counts = [*known.sum(axis=0).astype(int).tolist(), *([int(known[:, ratio[0]].sum())] if ratio else [])]
    return [
        Figure(name, _number(found.value[i]), _number(found.low[i]), _number(found.high[i]), counts[i])
        for i, name in enumerate(every)
    ]


def sure(statistic: Statistic, groups: NDArray[np.int64], resamples: int, seed: int = 0) -> Bands:
    """Figures with their intervals by patient; a single patient has none."""
    if groups.max() > 0:
        return bands(statistic, groups, resamples, seed)
    value = statistic(np.ones((1, len(groups))))[0]
    nothing = np.full_like(value, np.nan)
    return Bands(value, nothing, nothing, np.ones(len(value), dtype=bool))


def _places(case: Case, evidence: Map) -> dict[str, float]:
    spread = place.drawn(evidence, case.gray.shape[0])
    inside = {"energy_in_lungs": place.energy(spread, case.lungs), "lungs_share": float(case.lungs.mean())}
    lesion = case.lesion
    if lesion is None:
        missing = dict.fromkeys(("pointing", "pointing_near", "energy_in_lesion", "lesion_share", "precision"), np.nan)
        return {**missing, **inside}
    return {
        "pointing": place.pointing(spread, lesion),
        "pointing_near": place.pointing(spread, lesion, place.NEAR * len(spread)),
        "energy_in_lesion": place.energy(spread, lesion),
        "lesion_share": float(lesion.mean()),
        "precision": place.precision(spread, lesion),
        **inside,
    }


def _overlaps(case: Case, evidence: Map) -> Floats:
    if case.lesion is None:
        return np.full(len(place.SHARES), np.nan)
    return place.overlaps(place.drawn(evidence, case.gray.shape[0]), case.lesion)


def _iou(table: Floats, cases: Cases) -> Floats:
    known = ~np.isnan(table).any(axis=1)
    found = np.full(len(table), np.nan)
    if known.any():
        found[known] = place.overlap_on_others(table[known], cases.groups[known])
    return found


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
