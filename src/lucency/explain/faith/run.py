"""Every test of every explainer asked for, and of a random map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lucency.explain.faith.cases import Cases
from lucency.explain.faith.curves import Probability
from lucency.explain.faith.place import Map
from lucency.explain.faith.report import FAILED, Judged
from lucency.explain.faith.study import RANDOM, Explain, figures, judge_maps, random_map
from lucency.progress import track

if TYPE_CHECKING:
    from lucency.explain.faith.cases import Gray
    from lucency.models.classifier import Classifier

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


def judge_all(
    ways: Sequence[Way],
    read: Probability,
    occlude: Explain,
    cases: Cases,
    networks: Networks,
    resamples: int,
    quick: bool = False,
) -> list[Judged]:
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
    scored = judge_maps(RANDOM, lambda _gray: random_map(next(numbers)), cases, asked, occluded)
    found = tuple(figures(scored.columns, cases.groups, resamples))
    return [*judged, Judged(RANDOM, found, scored.deletion, scored.insertion)]


def _judged(
    way: Way,
    read: Probability | None,
    cases: Cases,
    occluded: tuple[Map, ...] | None,
    networks: Networks,
    resamples: int,
) -> Judged:
    scored = judge_maps(way.method, way.explain, cases, read, occluded)
    found = figures(scored.columns, cases.groups, resamples)
    judged = Judged(way.method, tuple(found), scored.deletion, scored.insertion, mark=way.mark)
    if networks.own is None or way.on is None:
        return judged
    return _sane(judged, way.on, Cases(cases.films[:SANE]), scored.maps[:SANE], networks, resamples, quick=read is None)


def _sane(
    judged: Judged,
    on: Callable[[Classifier, Gray], Map],
    cases: Cases,
    maps: Sequence[Map],
    networks: Networks,
    resamples: int,
    quick: bool,
) -> Judged:
    from lucency.explain.faith.sanity import cascade, compared, untrained_in_lungs

    assert networks.own is not None
    more = [untrained_in_lungs(on, networks.own, cases, resamples)]
    if networks.shuffled:
        more += compared("labels", on, [networks.shuffled], cases, maps, resamples)
    if networks.others:
        more += compared("seeds", on, networks.others, cases, maps, resamples)
    if quick:
        return replace(judged, figures=(*judged.figures, *more))
    fallen = cascade(judged.method, on, networks.own, cases, maps, resamples)
    mark = judged.mark or (FAILED if fallen.fails else "")
    return replace(judged, figures=(*judged.figures, *more), cascade=fallen, mark=mark)
