"""Films that do not look like the others: blank, tiny, coloured, turned, inverted, mirrored, or no such film at all.

The set is its own measure: what most of its films look like is learned from them, by principal components of their
thumbnails with the worst tenth left out, so that adults, children and drawn phantoms are each judged by their like.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from lucency.audit.duplicates import standardise
from lucency.audit.facts import THUMB, Facts, in_parts
from lucency.audit.turns import AS_IS, TURNS, turned

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.float64]

BLANK = 4.0
"""Standard deviation, gray levels, below which a film shows nothing."""
TINY = 64
"""Pixels along the short side below which a film is a thumbnail."""
COLOURED = 3.0
"""Mean difference between channels, gray levels, from which a film is a colour picture."""

LEAST = 20
"""Films below which a set cannot say what its films look like."""
AXES = 12
"""Principal components of the set's looks; one for each eight films in small sets."""
MOST = 2000
"""Films, at least, from which the looks are learned."""
TRIM, ROUNDS = 0.1, 3
"""Share of the films left out of the fit as possible strangers, and how often they are chosen anew."""
STRANGE_RESIDUAL = 0.5
"""Distance from the set's looks, a thumbnail having length 1, below which no film is a stranger…"""
STRANGE_SPREADS = 6.0
"""…and how many spreads (1.4826 median absolute deviations) beyond the median one lies."""
GAIN = 0.06
"""By how much a film comes closer to the others when it is turned, to be called turned."""

MIRROR_LEAST = 200
"""Films below which left and right cannot be learned."""
MIRROR_FOLDS = 5
MIRROR_MOST = 20_000
"""Films from which left and right are learned; an even choice where there are more than twice as many."""
MIRROR_SURE = -4.0
"""Logit, as out-of-fold scored, below which a film is called mirrored."""


@dataclass(frozen=True)
class Suspect:
    """One film that does not look like the others."""

    film: int
    kind: str
    """A row of KINDS."""
    words: str
    """What was measured, for people."""


KINDS: dict[str, tuple[str, str]] = {
    "blank": ("Blank", "shows next to nothing; leave it out"),
    "tiny": ("Tiny", "too small to read; look for the original"),
    "colour": ("In colour", "a radiograph is gray; look at it"),
    "turned": ("Turned or inverted", "turn it back, or leave it out"),
    "stranger": ("Unlike the other films", "another view, another body part, no radiograph, or a rare one; look at it"),
    "mirrored": ("Mirrored, or the heart displaced", "compare with the side letter; mirror it back if it is mirrored"),
}
"""Kind -> (title, what to do); a film is named under the first that it fits."""


def suspects(facts: Facts) -> tuple[Suspect, ...]:
    """Films to look at, in the order of the films, each once."""
    found: dict[int, Suspect] = {}
    for look in LOOKS:
        for suspect in look(facts):
            found.setdefault(suspect.film, suspect)
    return tuple(found[film] for film in sorted(found))


def blank(facts: Facts) -> list[Suspect]:
    """Films of one gray."""
    spread = facts.rows["spread"]
    return [Suspect(int(i), "blank", f"gray levels spread by {spread[i]:.1f}") for i in np.flatnonzero(spread < BLANK)]


def tiny(facts: Facts) -> list[Suspect]:
    """Thumbnails."""
    width, height = facts.rows["width"], facts.rows["height"]
    return [
        Suspect(int(i), "tiny", f"{width[i]} × {height[i]} pixels")
        for i in np.flatnonzero(np.minimum(width, height) < TINY)
    ]


def colour(facts: Facts) -> list[Suspect]:
    """Colour pictures."""
    chroma = facts.files["chroma"]
    return [
        Suspect(int(i), "colour", f"channels differ by {chroma[i]:.0f} gray levels")
        for i in np.flatnonzero(chroma > COLOURED)
    ]


def turned_or_strange(facts: Facts) -> list[Suspect]:
    """Films far from what the set looks like, and films that come close to it when turned or inverted."""
    lit = np.flatnonzero(facts.rows["spread"] >= BLANK)
    if len(lit) < LEAST:
        return []
    thumbs = facts.thumbs[lit]
    looks = learn_looks(thumbs)
    distance = residual(thumbs, looks)
    others = [turn for turn in TURNS if turn not in (AS_IS, "mirrored")]
    nearest = np.stack([residual(turned(thumbs, turn), looks) for turn in others])
    gain, best = distance - nearest.min(axis=0), nearest.argmin(axis=0)
    spreads = spreads_beyond(distance)
    strange = (distance > STRANGE_RESIDUAL) & (spreads > STRANGE_SPREADS)
    # A stranger comes closer by some turn, too, by chance; one that is turned comes as close as the films themselves.
    settled = spreads - gain / spread_of(distance) <= STRANGE_SPREADS
    found = [
        Suspect(int(lit[i]), "turned", f"resembles the others when {others[best[i]]}")
        for i in np.flatnonzero((gain > GAIN) & settled)
    ]
    return found + [
        Suspect(int(lit[i]), "stranger", f"{spreads[i]:.0f} spreads from what the films look like")
        for i in np.flatnonzero(strange)
    ]


def mirrored(facts: Facts) -> list[Suspect]:
    """Films that look left where the others look right."""
    if len(facts) < MIRROR_LEAST:
        return []
    logits = sidedness(facts.thumbs, facts.films.groups())
    return [
        Suspect(int(i), "mirrored", f"left and right look exchanged (logit {logits[i]:.1f})")
        for i in np.flatnonzero(logits < MIRROR_SURE)
    ]


LOOKS: tuple[Callable[[Facts], list[Suspect]], ...] = (blank, tiny, colour, turned_or_strange, mirrored)


@dataclass(frozen=True)
class Looks:
    """What the films of a set look like."""

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    """(k, pixels), orthonormal."""


def learn_looks(thumbs: Pixels) -> Looks:
    """Mean and principal components of standardised thumbnails, without the tenth that fits them worst.

    Learned from an even choice of at least MOST films where there are more.
    """
    thumbs = thumbs[:: max(1, len(thumbs) // MOST)]
    unit = standardise(thumbs)
    # First by the median film alone: a few inverted films would make an axis of their own and hide behind it.
    middle = np.median(unit, axis=0)
    kept = nearest_films(np.linalg.norm(unit - middle, axis=1))
    for _ in range(ROUNDS):
        mean = unit[kept].mean(axis=0)
        axes = np.linalg.svd(unit[kept] - mean, full_matrices=False)[2][: min(AXES, len(kept) // 8)]
        looks = Looks(mean, axes)
        kept = nearest_films(residual(thumbs, looks))
    return looks


def nearest_films(distance: NDArray[np.floating]) -> NDArray[np.int64]:
    """Indices of all but the farthest tenth."""
    return np.argsort(distance, kind="stable")[: int(np.ceil(len(distance) * (1 - TRIM)))]


def residual(thumbs: Pixels, looks: Looks) -> Numbers:
    """float64 (n,): length of what of a standardised thumbnail the looks do not explain, 0 to about 1.4."""

    def part(films: Pixels) -> Numbers:
        off = standardise(films) - looks.mean
        explained = np.square(off @ looks.axes.T).sum(axis=1)
        return np.asarray(np.sqrt(np.maximum(np.square(off).sum(axis=1) - explained, 0)), dtype=np.float64)

    return in_parts(part, thumbs)


def spread_of(distance: Numbers) -> float:
    """1.4826 median absolute deviations: the standard deviation of a normal law, deaf to outliers."""
    return 1.4826 * float(np.median(np.abs(distance - np.median(distance)))) or 1e-6


def spreads_beyond(distance: Numbers) -> Numbers:
    """How many spreads each distance lies beyond the median."""
    return np.asarray((distance - np.median(distance)) / spread_of(distance))


def sidedness(thumbs: Pixels, groups: NDArray[np.int64]) -> Numbers:
    """float64 (n,): logit that a film is the right way round, by a linear rule that saw no film of its patient.

    The rule sees what changes sign in the mirror (left minus right half, 16 × 8), learns films from their mirror
    images, and so has neither intercept nor label.
    """
    odd = in_parts(_sides, thumbs)
    logits = np.zeros(len(odd))
    for fold in range(MIRROR_FOLDS):
        held = groups % MIRROR_FOLDS == fold
        seen = odd[~held][:: max(1, len(odd) // MIRROR_MOST)]
        rule = LogisticRegression(C=100, fit_intercept=False, max_iter=300)
        rule.fit(np.concatenate([seen, -seen]), np.repeat([1, 0], len(seen)))
        logits[held] = rule.decision_function(odd[held])
    return logits


def _sides(thumbs: Pixels) -> NDArray[np.float32]:
    """float32 (n, 128): left half minus mirrored right half, 16 × 8 cells."""
    small = thumbs.reshape(len(thumbs), THUMB // 2, 2, THUMB // 2, 2).mean(axis=(2, 4), dtype=np.float32)
    unit = standardise(small).reshape(small.shape)
    return np.ascontiguousarray((unit - unit[:, :, ::-1])[:, :, : THUMB // 4]).reshape(len(unit), -1)
