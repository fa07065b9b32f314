"""Faithfulness of maps: every test of every explainer on films with the finding, with a random map as baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lucency.arrays import Bools as Mask
from lucency.arrays import Floats, Ints, Pixels
from lucency.arrays import Floats32 as Map
from lucency.data.dataset import Dataset, Sample, decode_each, require_readable
from lucency.errors import FilmError, SourceError
from lucency.evaluate.confidence_intervals import Intervals, Statistic, bootstrap
from lucency.explain import BoundExplainer, measures
from lucency.explain.measures import Probability
from lucency.preprocess import Preprocess, crop_or_pad, resize
from lucency.progress import track

if TYPE_CHECKING:
    from lucency.explain.randomization import Cascade
    from lucency.models.classifier import Classifier

FindLungs = Callable[[Pixels], Mask]
"""A film's square uint8 (s, s) → where its lungs are, bool (s, s)."""
Explain = Callable[[Pixels], Map]

RANDOM = "random"
"""Name of the random map, the chance level of every figure."""
CELLS = 7
"""A random map has this many cells a side, as few as a network's own."""
FAILED = "fails the randomisation test"
SANITY_FILMS = 24
"""Films of the sanity checks, which need every film's map at every stop of the cascade."""
LESION_FIGURES = ("pointing", "pointing_near", "energy_in_lesion", "lesion_share", "precision")


@dataclass(frozen=True)
class Case:
    """One film with the finding, as the network sees it. All arrays are (s, s); in colour `gray` is (s, s, 3)."""

    name: str
    gray: Pixels
    group: int
    """The same number for films of one patient."""
    lesion: Mask | None
    """None if the data do not say, or if it lies outside what the network sees."""
    lungs: Mask | None
    """None for pictures that show none."""


@dataclass(frozen=True)
class Cases:
    """The films that maps are evaluated on, and those that could not be read."""

    films: tuple[Case, ...]
    unreadable: tuple[FilmError, ...] = ()

    @property
    def groups(self) -> Ints:
        """int64 (n,), numbered from 0 without gaps."""
        return np.unique([case.group for case in self.films], return_inverse=True)[1].astype(np.int64)

    @property
    def squares(self) -> Pixels:
        """uint8 (n, s, s)."""
        return np.stack([case.gray for case in self.films])


@dataclass(frozen=True)
class Estimate:
    """One figure with its 95 % interval by patient; None where it is not defined or has none."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    films: int = 0
    """How many films it is the mean of."""

    def __str__(self) -> str:
        if self.value is None:
            return "–"
        return f"{self.value:.3f}" + ("" if self.low is None else f" ({self.low:.3f} to {self.high:.3f})")


@dataclass(frozen=True)
class MapScores:
    """Every figure of one explainer, film by film."""

    columns: Mapping[str, Floats]
    """Name → (n,), NaN where a film has no such figure."""
    maps: tuple[Map, ...]
    deletion: Floats
    """Mean curve, (STEPS + 1,); empty if none was computed."""
    insertion: Floats


@dataclass(frozen=True)
class ExplainerResult:
    """All results of one explainer."""

    method: str
    figures: tuple[Estimate, ...]
    deletion: Floats
    """Mean curve."""
    insertion: Floats
    cascade: Cascade | None = None
    """None where no weights could be randomised: a random map, an exported bundle."""
    mark: str = ""
    """The warning shown with every map of this explainer."""

    @property
    def failed(self) -> bool | None:
        """Whether it failed the randomisation test; None if the test was not run."""
        return None if self.cascade is None else self.cascade.fails


@dataclass(frozen=True)
class Networks:
    """Networks that the sanity checks compare with; none for an exported bundle."""

    own: Classifier | None = None
    others: tuple[Classifier, ...] = ()
    """The same recipe with other seeds."""
    shuffled: Classifier | None = None
    """Trained on shuffled labels."""


def gather_cases(
    films: Dataset, preprocess: Preprocess, lungs: FindLungs | None, finding: int, most: int, seed: int = 0
) -> Cases:
    """Up to `most` films with the finding, drawn at random; films with a known lesion come first.

    Args:
        films: labelled as the reader labels them.
        preprocess: the reader's.
        lungs: finds the lungs; None for pictures that show none.
        finding: which logit.
        most: how many films; 0 takes all.
        seed: of the draw.

    Raises:
        SourceError: no film has the finding, or none of them can be read.
    """
    chosen = _with_finding(films, finding, most, seed)
    cases: list[Case] = []
    unreadable: list[FilmError] = []
    outcomes = track(
        decode_each(chosen, preprocess.__call__),
        "finding lungs and lesions" if lungs else "decoding films",
        total=len(chosen),
    )
    for record, group, gray in zip(chosen.samples, chosen.groups(), outcomes, strict=True):
        if isinstance(gray, FilmError):
            unreadable.append(gray)
        else:
            cases.append(
                Case(record.name, gray, int(group), _lesion(record, preprocess), lungs(gray) if lungs else None)
            )
    require_readable(chosen, len(cases), unreadable)
    return Cases(tuple(cases), tuple(unreadable))


def square_mask(mask: Mask, preprocess: Preprocess) -> Mask:
    """A mask at the film's own size as the network would see it: where it covers at least half of a pixel."""
    gray = mask.astype(np.uint8) * np.uint8(255)
    return np.asarray(resize(crop_or_pad(gray, preprocess.resize_mode), preprocess.image_size) >= 128)


def _lesion(record: Sample, preprocess: Preprocess) -> Mask | None:
    if record.mask is None:
        return None
    mask = square_mask(record.mask(), preprocess)
    return mask if mask.any() else None


def _with_finding(films: Dataset, finding: int, most: int, seed: int) -> Dataset:
    labels = films.label_array()
    if films.task == "multilabel":
        has = labels[:, finding] == 1
    else:
        has = labels == (1 if films.task == "binary" else finding)
    where = np.flatnonzero(has)
    if not len(where):
        raise SourceError(f"{films.source}: expected films with the finding to evaluate maps on, found none")
    if most and len(where) > most:
        drawn = np.random.default_rng(seed).permutation(where)
        known = np.array([films.samples[index].mask is not None for index in drawn])
        where = np.sort(drawn[np.argsort(~known, kind="stable")][:most])
    return films.subset(where.astype(np.int64))


def evaluate_explainers(
    explainers: Sequence[BoundExplainer],
    finding: int,
    read: Probability,
    occlusion: BoundExplainer,
    cases: Cases,
    networks: Networks,
    resamples: int,
    quick: bool = False,
) -> list[ExplainerResult]:
    """Evaluate each explainer and, last, a random map.

    Args:
        explainers: bound to the reader under test.
        finding: which logit.
        read: gives the probability of the finding.
        occlusion: the explainer whose agreement with the others is measured.
        cases: films with the finding.
        networks: for the sanity checks.
        resamples: for the intervals.
        quick: measure only where the evidence lies, also with random weights; no curves, occlusion or cascade.
    """
    films = track(cases.films, "occluding films part by part", len(cases.films))
    occluded = None if quick else tuple(occlusion.explain(case.gray, finding) for case in films)
    asked = None if quick else read
    results = [_evaluate(one, finding, asked, cases, occluded, networks, resamples) for one in explainers]
    numbers = iter(range(len(cases.films)))
    scored = score_maps(RANDOM, lambda _gray: random_map(next(numbers)), cases, asked, occluded)
    estimates = tuple(estimate_means(scored.columns, cases.groups, resamples))
    return [*results, ExplainerResult(RANDOM, estimates, scored.deletion, scored.insertion)]


def _evaluate(
    explainer: BoundExplainer,
    finding: int,
    read: Probability | None,
    cases: Cases,
    occluded: tuple[Map, ...] | None,
    networks: Networks,
    resamples: int,
) -> ExplainerResult:
    scored = score_maps(explainer.method, lambda gray: explainer.explain(gray, finding), cases, read, occluded)
    figures = tuple(estimate_means(scored.columns, cases.groups, resamples))
    result = ExplainerResult(explainer.method, figures, scored.deletion, scored.insertion, mark=explainer.mark)
    on = explainer.on
    if networks.own is None or on is None:
        return result

    def on_network(network: Classifier, gray: Pixels) -> Map:
        return on(network, gray, finding)

    few = Cases(cases.films[:SANITY_FILMS])
    return _check_sanity(result, on_network, few, scored.maps[:SANITY_FILMS], networks, resamples, quick=read is None)


def _check_sanity(
    result: ExplainerResult,
    on: Callable[[Classifier, Pixels], Map],
    cases: Cases,
    maps: Sequence[Map],
    networks: Networks,
    resamples: int,
    quick: bool,
) -> ExplainerResult:
    from lucency.explain.randomization import cascade, compare_networks, untrained_energy_in_lungs

    assert networks.own is not None
    figures = list(result.figures)
    if cases.films[0].lungs is not None:
        figures.append(untrained_energy_in_lungs(on, networks.own, cases, resamples))
    if networks.shuffled:
        figures += compare_networks("labels", on, [networks.shuffled], cases, maps, resamples)
    if networks.others:
        figures += compare_networks("seeds", on, networks.others, cases, maps, resamples)
    if quick:
        return replace(result, figures=tuple(figures))
    found = cascade(result.method, on, networks.own, cases, maps, resamples)
    return replace(result, figures=tuple(figures), cascade=found, mark=result.mark or (FAILED if found.fails else ""))


def score_maps(
    method: str, explain: Explain, cases: Cases, read: Probability | None, occluded: tuple[Map, ...] | None = None
) -> MapScores:
    """Score every film's map.

    Args:
        method: name of the explainer.
        explain: makes a map.
        cases: films with the finding.
        read: gives the probability of the finding; None draws no curve.
        occluded: the occlusion map of each film.
    """
    maps, rows, overlap, curves = [], [], [], []
    for number, case in enumerate(track(cases.films, f"evaluating {method}", total=len(cases.films))):
        evidence = explain(case.gray)
        large = measures.upsample(evidence, case.gray.shape[0])
        row = _localization(case, large)
        if read is not None:
            found = measures.deletion_insertion(read, case.gray, evidence, seed=number)
            curves.append((found.deletion, found.insertion))
            row |= {"deletion": found.deletion_auc, "insertion": found.insertion_auc}
        if occluded:
            row["occlusion"] = measures.rank_correlation(evidence, occluded[number])
        maps.append(evidence)
        rows.append(row)
        unknown = np.full(len(measures.THRESHOLDS), np.nan)
        overlap.append(unknown if case.lesion is None else measures.iou_by_threshold(large, case.lesion))
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    columns["iou"] = _iou(np.array(overlap), cases)
    deletion, insertion = np.mean(curves, axis=0) if curves else (np.zeros(0), np.zeros(0))
    return MapScores(columns, tuple(maps), deletion, insertion)


def energy_in_outlined_lungs(explain: Explain, cases: Cases, resamples: int) -> list[Estimate]:
    """Energy in lungs that a person outlined, and their share of the film."""
    films = track(cases.films, "evaluating on outlined lungs", len(cases.films))
    inside = [_in_lungs(case, measures.upsample(explain(case.gray), len(case.gray))) for case in films]
    columns = {
        "energy_in_outlined_lungs": np.array([one["energy_in_lungs"] for one in inside]),
        "outlined_lungs_share": np.array([one["lungs_share"] for one in inside]),
    }
    return estimate_means(columns, cases.groups, resamples)


def random_map(number: int) -> Map:
    """Noise, the same for the same number."""
    return np.random.default_rng([7, number]).standard_normal((CELLS, CELLS)).astype(np.float32)


def _localization(case: Case, evidence: Map) -> dict[str, float]:
    inside, lesion = _in_lungs(case, evidence), case.lesion
    if lesion is None:
        return {**dict.fromkeys(LESION_FIGURES, np.nan), **inside}
    figures = (
        measures.pointing_game(evidence, lesion),
        measures.pointing_game(evidence, lesion, measures.NEAR * len(evidence)),
        measures.energy_inside(evidence, lesion),
        float(lesion.mean()),
        measures.average_precision(evidence, lesion),
    )
    return {**dict(zip(LESION_FIGURES, figures, strict=True)), **inside}


def _in_lungs(case: Case, evidence: Map) -> dict[str, float]:
    if case.lungs is None:
        return {}
    return {"energy_in_lungs": measures.energy_inside(evidence, case.lungs), "lungs_share": float(case.lungs.mean())}


def _iou(table: Floats, cases: Cases) -> Floats:
    known = ~np.isnan(table).any(axis=1)
    found = np.full(len(table), np.nan)
    if known.any():
        found[known] = measures.cross_fitted_iou(table[known], cases.groups[known])
    return found


def estimate_means(columns: Mapping[str, Floats], groups: Ints, resamples: int, seed: int = 0) -> list[Estimate]:
    """The mean of each column over the films that have it, and how far the energy in the lesion lies above chance."""
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
    counts = known.sum(axis=0).astype(int).tolist()
    if ratio:
        names, counts = [*names, "energy_over_chance"], [*counts, counts[ratio[0]]]
    return [
        Estimate(
            name, finite_or_none(found.value[i]), finite_or_none(found.low[i]), finite_or_none(found.high[i]), counts[i]
        )
        for i, name in enumerate(names)
    ]


def mean_estimate(name: str, values: Floats, groups: Ints, resamples: int) -> Estimate:
    """The mean of one column, (n,)."""
    return replace(estimate_means({name: values}, groups, resamples)[0], films=len(values))


def with_intervals(statistic: Statistic, groups: Ints, resamples: int, seed: int = 0) -> Intervals:
    """Figures with their intervals by patient; a single patient has none."""
    if groups.max() > 0:
        return bootstrap(statistic, groups, resamples, seed)
    value = statistic(np.ones((1, len(groups))))[0]
    nothing = np.full_like(value, np.nan)
    return Intervals(value, nothing, nothing, np.ones(len(value), dtype=bool))


def finite_or_none(value: float) -> float | None:
    """The value, or None where it is not finite."""
    return float(value) if np.isfinite(value) else None
