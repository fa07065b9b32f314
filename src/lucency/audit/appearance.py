"""Films that look too alike to be two, and films that look unlike all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from sklearn.linear_model import LogisticRegression

from lucency.audit.measurements import PART, SIDE, THUMB, Measurements, in_parts
from lucency.data.dataset import Dataset
from lucency.preprocess import Preprocess

Number = TypeVar("Number", np.uint8, np.float32)

UPRIGHT = "as it is"

ORIENTATIONS: dict[str, tuple[int, bool, bool]] = {
    UPRIGHT: (0, False, False),
    "mirrored": (0, True, False),
    "upside down": (2, False, False),
    "upside down and mirrored": (2, True, False),
    "turned left": (1, False, False),
    "turned left and mirrored": (1, True, False),
    "turned right": (3, False, False),
    "turned right and mirrored": (3, True, False),
    "inverted": (0, False, True),
    "inverted and mirrored": (0, True, True),
    "inverted, upside down": (2, False, True),
    "inverted, upside down and mirrored": (2, True, True),
    "inverted, turned left": (1, False, True),
    "inverted, turned left and mirrored": (1, True, True),
    "inverted, turned right": (3, False, True),
    "inverted, turned right and mirrored": (3, True, True),
}
"""What was done to a film -> quarter turns counter-clockwise, then mirrored left to right, then black for white."""


def reorient(films: NDArray[Number], turn: str) -> NDArray[Number]:
    """Do one of ORIENTATIONS to films.

    Args:
        films: (n, side, side), 0 to 255.
        turn: a row of ORIENTATIONS.

    Returns:
        The same shape and type.
    """
    quarters, mirrored, inverted = ORIENTATIONS[turn]
    out = np.rot90(films, quarters, axes=(1, 2))
    out = out[:, :, ::-1] if mirrored else out
    return np.ascontiguousarray(films.dtype.type(255) - out if inverted else out)


ALIKE = 0.985
"""Thumbnails that correlate this much may show the same film."""
NEAR = 3.0
"""Root mean square difference, in gray levels of the 224 × 224 square, below which two films are the same."""
SAME = 0.98
"""Correlation of the squares from which two films are the same with another tone, size or compression."""
HASH_AXES = 20
"""Directions in which thumbnails are compared first: distances can only shrink on them, so no pair is missed."""

LEARNED_FROM = 2000
"""Films, at least, from which the directions are learned; an even choice where there are more."""

Kind = Literal["identical", "near", "processed", "turned"]
Unit = NDArray[np.float32]


@dataclass(frozen=True)
class DuplicatePair:
    """Two films that are one."""

    first: int
    second: int
    kind: Kind
    """identical: the same decoded pixels. near: within NEAR. processed: another tone, size or compression.
    turned: mirrored, turned or inverted."""
    difference: float
    """Root mean square, gray levels of the square, after turning."""
    orientation: str = UPRIGHT
    """What makes the second film match the first."""


def duplicates(facts: Measurements) -> tuple[DuplicatePair, ...]:
    """All pairs of films that are one, the films of each pair and the pairs in order."""
    found = {(a, b): DuplicatePair(a, b, "identical", 0.0) for a, b in identical(facts)}
    for a, b, turn in candidates(facts.thumbs):
        if (a, b) not in found and (pair := confirm(facts.films, a, b, turn)):
            found[a, b] = pair
    return tuple(found[key] for key in sorted(found))


def identical(facts: Measurements) -> Iterator[tuple[int, int]]:
    """Pairs with the same decoded pixels."""
    _, group = np.unique(facts.rows["digest"], return_inverse=True)
    order = np.argsort(group, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        yield from ((int(a), int(b)) for i, a in enumerate(members) for b in members[i + 1 :])


def candidates(thumbs: NDArray[np.uint8]) -> Iterator[tuple[int, int, str]]:
    """Pairs whose thumbnails correlate by ALIKE or more, as they are first, then with the second one turned.

    Blank films are left out: they correlate with nothing.
    """
    lit = np.flatnonzero(in_parts(lambda part: np.square(standardise(part)).sum(axis=1) > 0.5, thumbs))
    if len(lit) < 2:
        return
    axes = principal_axes(standardise(thumbs[lit[:: max(1, len(lit) // LEARNED_FROM)]]))
    radius = float(np.sqrt(2 * (1 - ALIKE))) * (1 + 1e-4)
    upright = _on_axes(thumbs[lit], axes, UPRIGHT)
    for turn in ORIENTATIONS:
        near = upright.sparse_distance_matrix(_on_axes(thumbs[lit], axes, turn), radius, output_type="ndarray")
        ordered = near["i"] < near["j"]
        yield from sorted(_alike(thumbs, lit[near["i"][ordered]], lit[near["j"][ordered]], turn))


def _on_axes(thumbs: NDArray[np.uint8], axes: Unit, turn: str) -> cKDTree:
    return cKDTree(in_parts(lambda part: standardise(reorient(part, turn)) @ axes.T, thumbs))


def _alike(
    thumbs: NDArray[np.uint8], first: NDArray[np.int64], second: NDArray[np.int64], turn: str
) -> Iterator[tuple[int, int, str]]:
    """Of pairs that may be alike, those whose thumbnails correlate by ALIKE or more."""
    for start in range(0, len(first), PART):
        a, b = first[start : start + PART], second[start : start + PART]
        product = np.einsum("ij,ij->i", standardise(thumbs[a]), standardise(reorient(thumbs[b], turn)))
        yield from ((int(i), int(j), turn) for i, j in zip(a[product >= ALIKE], b[product >= ALIKE], strict=True))


def confirm(films: Dataset, first: int, second: int, turn: str) -> DuplicatePair | None:
    """Look at the squares of two films; None where they are different films."""
    a, b = _square(films, first), reorient(_square(films, second)[None], turn)[0]
    difference = float(np.sqrt(np.square(a.astype(np.float32) - b).mean()))
    if turn != UPRIGHT:
        return DuplicatePair(first, second, "turned", difference, turn) if _correlation(a, b) >= SAME else None
    if difference < NEAR:
        return DuplicatePair(first, second, "near", difference)
    return DuplicatePair(first, second, "processed", difference) if _correlation(a, b) >= SAME else None


def duplicate_groups(pairs: tuple[DuplicatePair, ...], films: int) -> tuple[tuple[int, ...], ...]:
    """Films that are one, as groups: three copies make three pairs and one family."""
    ends = np.array([(pair.first, pair.second) for pair in pairs], dtype=np.int64).reshape(-1, 2)
    links = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(films, films))
    _, group = connected_components(links, directed=False)
    members: dict[int, list[int]] = {}
    for film in np.unique(ends):
        members.setdefault(int(group[film]), []).append(int(film))
    return tuple(map(tuple, members.values()))


def standardise(thumbs: NDArray[np.uint8]) -> Unit:
    """float32 (n, pixels): mean 0 and length 1 each, so that a product is a correlation; a blank one is 0."""
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(np.divide(flat, length, out=np.zeros_like(flat), where=length > 1), dtype=np.float32)


def principal_axes(unit: Unit) -> Unit:
    """float32 (axes, pixels), orthonormal: where standardised thumbnails differ most."""
    return np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)[2][:HASH_AXES]


def _correlation(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.dot(*standardise(np.stack([a, b]))))


def _square(films: Dataset, index: int) -> NDArray[np.uint8]:
    return Preprocess(SIDE)(films.samples[index].load())


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
class Outlier:
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


def outliers(facts: Measurements) -> tuple[Outlier, ...]:
    """Films to look at, in the order of the films, each once."""
    found: dict[int, Outlier] = {}
    for look in CHECKS:
        for outlier in look(facts):
            found.setdefault(outlier.film, outlier)
    return tuple(found[film] for film in sorted(found))


def blank(facts: Measurements) -> list[Outlier]:
    """Films of one gray."""
    spread = facts.rows["spread"]
    return [Outlier(int(i), "blank", f"gray levels spread by {spread[i]:.1f}") for i in np.flatnonzero(spread < BLANK)]


def tiny(facts: Measurements) -> list[Outlier]:
    """Thumbnails."""
    width, height = facts.rows["width"], facts.rows["height"]
    return [
        Outlier(int(i), "tiny", f"{width[i]} × {height[i]} pixels")
        for i in np.flatnonzero(np.minimum(width, height) < TINY)
    ]


def colour(facts: Measurements) -> list[Outlier]:
    """Colour pictures."""
    chroma = facts.files["chroma"]
    return [
        Outlier(int(i), "colour", f"channels differ by {chroma[i]:.0f} gray levels")
        for i in np.flatnonzero(chroma > COLOURED)
    ]


def misoriented_or_strange(facts: Measurements) -> list[Outlier]:
    """Films far from what the set looks like, and films that come close to it when turned or inverted."""
    lit = np.flatnonzero(facts.rows["spread"] >= BLANK)
    if len(lit) < LEAST:
        return []
    thumbs = facts.thumbs[lit]
    looks = learn_appearance(thumbs)
    distance = residual(thumbs, looks)
    others = [turn for turn in ORIENTATIONS if turn not in (UPRIGHT, "mirrored")]
    nearest = np.stack([residual(reorient(thumbs, turn), looks) for turn in others])
    gain, best = distance - nearest.min(axis=0), nearest.argmin(axis=0)
    spreads = spreads_beyond(distance)
    strange = (distance > STRANGE_RESIDUAL) & (spreads > STRANGE_SPREADS)
    # A stranger comes closer by some turn, too, by chance; one that is turned comes as close as the films themselves.
    settled = spreads - gain / spread_of(distance) <= STRANGE_SPREADS
    found = [
        Outlier(int(lit[i]), "turned", f"resembles the others when {others[best[i]]}")
        for i in np.flatnonzero((gain > GAIN) & settled)
    ]
    return found + [
        Outlier(int(lit[i]), "stranger", f"{spreads[i]:.0f} spreads from what the films look like")
        for i in np.flatnonzero(strange)
    ]


def mirrored(facts: Measurements) -> list[Outlier]:
    """Films that look left where the others look right."""
    if len(facts) < MIRROR_LEAST:
        return []
    logits = sidedness(facts.thumbs, facts.films.groups())
    return [
        Outlier(int(i), "mirrored", f"left and right look exchanged (logit {logits[i]:.1f})")
        for i in np.flatnonzero(logits < MIRROR_SURE)
    ]


CHECKS: tuple[Callable[[Measurements], list[Outlier]], ...] = (blank, tiny, colour, misoriented_or_strange, mirrored)


@dataclass(frozen=True)
class Appearance:
    """What the films of a set look like."""

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    """(k, pixels), orthonormal."""


def learn_appearance(thumbs: Pixels) -> Appearance:
    """Mean and principal components of standardised thumbnails, without the tenth that fits them worst.

    Learned from an even choice of at least LEARNED_FROM films where there are more.
    """
    thumbs = thumbs[:: max(1, len(thumbs) // LEARNED_FROM)]
    unit = standardise(thumbs)
    # First by the median film alone: a few inverted films would make an axis of their own and hide behind it.
    middle = np.median(unit, axis=0)
    kept = nearest_films(np.linalg.norm(unit - middle, axis=1))
    for _ in range(ROUNDS):
        mean = unit[kept].mean(axis=0)
        axes = np.linalg.svd(unit[kept] - mean, full_matrices=False)[2][: min(AXES, len(kept) // 8)]
        looks = Appearance(mean, axes)
        kept = nearest_films(residual(thumbs, looks))
    return looks


def nearest_films(distance: NDArray[np.floating]) -> NDArray[np.int64]:
    """Indices of all but the farthest tenth."""
    return np.argsort(distance, kind="stable")[: int(np.ceil(len(distance) * (1 - TRIM)))]


def residual(thumbs: Pixels, looks: Appearance) -> Numbers:
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
