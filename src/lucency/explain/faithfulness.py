"""Whether maps can be believed: every test of every explainer on films with the finding, beside a random map."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lucency.data.dataset import Dataset, Sample
from lucency.data.decode import decode_each, require_readable
from lucency.errors import FilmError, SourceError
from lucency.evaluate.intervals import Bands, Statistic, bands
from lucency.explain import measures
from lucency.explain.measures import Floats, Map, Mask, Probability, deletion_insertion, rank_correlation
from lucency.film import Film
from lucency.preprocess import Preprocess, crop_or_pad, resize
from lucency.progress import track

if TYPE_CHECKING:
    from lucency.explain.randomization import Cascade
    from lucency.models.classifier import Classifier

Gray = NDArray[np.uint8]
Lungs = Callable[[Gray], Mask]
"""A film's square uint8 (s, s) → where its lungs are, bool (s, s)."""


@dataclass(frozen=True)
class Case:
    """One film with the finding, as the network sees it. All arrays (s, s)."""

    name: str
    gray: Gray
    group: int
    """The same number for films of one patient."""
    lesion: Mask | None
    """None where the data do not say, or where nothing of it lies in what the network sees."""
    lungs: Mask


@dataclass(frozen=True)
class Cases:
    """What is judged, and what could not be read."""

    films: tuple[Case, ...]
    unreadable: tuple[FilmError, ...] = ()

    @property
    def groups(self) -> NDArray[np.int64]:
        """int64 (n,), numbered from 0 without gaps."""
        return np.unique([case.group for case in self.films], return_inverse=True)[1].astype(np.int64)

    @property
    def squares(self) -> Gray:
        """uint8 (n, s, s)."""
        return np.stack([case.gray for case in self.films])


def gather(films: Dataset, preprocess: Preprocess, lungs: Lungs, finding: int, most: int, seed: int = 0) -> Cases:
    """The films that have the finding, at most `most`, drawn at random; films with a known lesion come first.

    Args:
        films: labelled as the reader labels them.
        preprocess: how the reader sees them.
        lungs: finds the lungs.
        finding: which logit.
        most: how many films; 0 takes all.
        seed: of the draw.

    Raises:
        SourceError: no film has the finding, or none of them can be read.
    """
    chosen = _with_finding(films, finding, most, seed)

    def prepare(film: Film) -> Gray:
        return preprocess(film)

    made: list[Case] = []
    unreadable: list[FilmError] = []
    groups = chosen.groups()
    outcomes = track(decode_each(chosen, prepare), "finding lungs and lesions", total=len(chosen))
    for record, group, gray in zip(chosen.samples, groups, outcomes, strict=True):
        if isinstance(gray, FilmError):
            unreadable.append(gray)
        else:
            made.append(Case(record.name, gray, int(group), _lesion(record, preprocess), lungs(gray)))
    require_readable(chosen, len(made), unreadable)
    return Cases(tuple(made), tuple(unreadable))


def squared(mask: Mask, preprocess: Preprocess) -> Mask:
    """A mask at the film's own size as the network would see it: where at least half of a pixel's area is in it."""
    gray = mask.astype(np.uint8) * np.uint8(255)
    return np.asarray(resize(crop_or_pad(gray, preprocess.resize_mode), preprocess.image_size) >= 128)


def _lesion(record: Sample, preprocess: Preprocess) -> Mask | None:
    if record.mask is None:
        return None
    mask = squared(record.mask(), preprocess)
    return mask if mask.any() else None


def _with_finding(films: Dataset, finding: int, most: int, seed: int) -> Dataset:
    labels = films.label_array()
    if films.task == "multilabel":
        has = labels[:, finding] == 1
    else:
        has = labels == (1 if films.task == "binary" else finding)
    where = np.flatnonzero(has)
    if not len(where):
        raise SourceError(f"{films.source}: expected films with the finding to judge maps on, found none")
    if most and len(where) > most:
        drawn = np.random.default_rng(seed).permutation(where)
        known = np.array([films.samples[index].mask is not None for index in drawn])
        where = np.sort(drawn[np.argsort(~known, kind="stable")][:most])
    return films.subset(where.astype(np.int64))


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


def score_maps(
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
            found = deletion_insertion(read, case.gray, evidence, seed=number)
            traces.append((found.deletion, found.insertion))
            row |= {"deletion": found.deletion_auc, "insertion": found.insertion_auc}
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

    found = with_intervals(means, groups, resamples, seed)
    every = [*names, *(["energy_over_chance"] if ratio else [])]
    counts = [*known.sum(axis=0).astype(int).tolist(), *([int(known[:, ratio[0]].sum())] if ratio else [])]
    return [
        Figure(name, _number(found.value[i]), _number(found.low[i]), _number(found.high[i]), counts[i])
        for i, name in enumerate(every)
    ]


def with_intervals(statistic: Statistic, groups: NDArray[np.int64], resamples: int, seed: int = 0) -> Bands:
    """Figures with their intervals by patient; a single patient has none."""
    if groups.max() > 0:
        return bands(statistic, groups, resamples, seed)
    value = statistic(np.ones((1, len(groups))))[0]
    nothing = np.full_like(value, np.nan)
    return Bands(value, nothing, nothing, np.ones(len(value), dtype=bool))


def _places(case: Case, evidence: Map) -> dict[str, float]:
    spread = measures.upsample(evidence, case.gray.shape[0])
    inside = {"energy_in_lungs": measures.energy_inside(spread, case.lungs), "lungs_share": float(case.lungs.mean())}
    lesion = case.lesion
    if lesion is None:
        missing = dict.fromkeys(("pointing", "pointing_near", "energy_in_lesion", "lesion_share", "precision"), np.nan)
        return {**missing, **inside}
    return {
        "pointing": measures.pointing_game(spread, lesion),
        "pointing_near": measures.pointing_game(spread, lesion, measures.NEAR * len(spread)),
        "energy_in_lesion": measures.energy_inside(spread, lesion),
        "lesion_share": float(lesion.mean()),
        "precision": measures.average_precision(spread, lesion),
        **inside,
    }


def _overlaps(case: Case, evidence: Map) -> Floats:
    if case.lesion is None:
        return np.full(len(measures.SHARES), np.nan)
    return measures.iou_by_threshold(measures.upsample(evidence, case.gray.shape[0]), case.lesion)


def _iou(table: Floats, cases: Cases) -> Floats:
    known = ~np.isnan(table).any(axis=1)
    found = np.full(len(table), np.nan)
    if known.any():
        found[known] = measures.cross_fitted_iou(table[known], cases.groups[known])
    return found


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


FAILED = "fails the randomisation test"
SANE = 24
"""Films that the sanity checks are made on: each asks for every film's map at every stop of the cascade."""


@dataclass(frozen=True)
class Way:
    """An explainer as the judges ask it."""

    method: str
    explain: Explain
    """Of the reader that is judged."""
    on: Callable[[Classifier, Gray], Map] | None = None
    """Of any network; None for an exported bundle."""
    mark: str = ""


@dataclass(frozen=True)
class Networks:
    """What the sanity checks compare with; nothing of it where an exported bundle is judged."""

    own: Classifier | None = None
    others: tuple[Classifier, ...] = ()
    """Trained alike from other seeds."""
    shuffled: Classifier | None = None
    """Trained on shuffled labels."""


@dataclass(frozen=True)
class ExplainerResult:
    """Everything found of one explainer."""

    method: str
    figures: tuple[Figure, ...]
    deletion: Floats
    """Mean curve."""
    insertion: Floats
    cascade: Cascade | None = None
    """None where no weights could be randomised: a random map, an exported bundle."""
    mark: str = ""
    """The doubt that this explainer carries wherever it is shown."""

    @property
    def failed(self) -> bool | None:
        """Whether it failed the randomisation test here; None where that was not tried."""
        return None if self.cascade is None else self.cascade.fails


def evaluate_explainers(
    ways: Sequence[Way],
    read: Probability,
    occlude: Explain,
    cases: Cases,
    networks: Networks,
    resamples: int,
    quick: bool = False,
) -> list[ExplainerResult]:
    """Judge each explainer and, last, a random map.

    Args:
        ways: the explainers.
        read: gives the probability of the finding.
        occlude: the occlusion map, which the others are to agree with.
        cases: films with the finding.
        networks: for the sanity checks.
        resamples: for the intervals.
        quick: only where the evidence lies, and where that of random weights lies; no curve, no occlusion, no cascade.
    """
    covering = track(cases.films, "covering the films part by part", len(cases.films))
    occluded = None if quick else tuple(occlude(case.gray) for case in covering)
    asked = None if quick else read
    judged = [_judged(way, asked, cases, occluded, networks, resamples) for way in ways]
    numbers = iter(range(len(cases.films)))
    scored = score_maps(RANDOM, lambda _gray: random_map(next(numbers)), cases, asked, occluded)
    found = tuple(figures(scored.columns, cases.groups, resamples))
    return [*judged, ExplainerResult(RANDOM, found, scored.deletion, scored.insertion)]


def _judged(
    way: Way,
    read: Probability | None,
    cases: Cases,
    occluded: tuple[Map, ...] | None,
    networks: Networks,
    resamples: int,
) -> ExplainerResult:
    scored = score_maps(way.method, way.explain, cases, read, occluded)
    found = figures(scored.columns, cases.groups, resamples)
    judged = ExplainerResult(way.method, tuple(found), scored.deletion, scored.insertion, mark=way.mark)
    if networks.own is None or way.on is None:
        return judged
    return _sane(judged, way.on, Cases(cases.films[:SANE]), scored.maps[:SANE], networks, resamples, quick=read is None)


def _sane(
    judged: ExplainerResult,
    on: Callable[[Classifier, Gray], Map],
    cases: Cases,
    maps: Sequence[Map],
    networks: Networks,
    resamples: int,
    quick: bool,
) -> ExplainerResult:
    from lucency.explain.randomization import cascade, compare_networks, untrained_energy_in_lungs

    assert networks.own is not None
    more = [untrained_energy_in_lungs(on, networks.own, cases, resamples)]
    if networks.shuffled:
        more += compare_networks("labels", on, [networks.shuffled], cases, maps, resamples)
    if networks.others:
        more += compare_networks("seeds", on, networks.others, cases, maps, resamples)
    if quick:
        return replace(judged, figures=(*judged.figures, *more))
    fallen = cascade(judged.method, on, networks.own, cases, maps, resamples)
    mark = judged.mark or (FAILED if fallen.fails else "")
    return replace(judged, figures=(*judged.figures, *more), cascade=fallen, mark=mark)
