"""Duplicates and outliers among films, by appearance.

Both are found by standardised 32 × 32 thumbnails; duplicates are confirmed by pixels. A 64-bit perceptual hash, as in
the imagehash library, does not work here: chest films are so similar that 5.5 million pairs among 5,216 lie within 10
bits, and each of sixteen orientations would need its own hash. No two different films of those have thumbnails that
correlate above 0.977.

Outliers are relative to the set: its appearance is the principal components of its thumbnails without the worst tenth.
So adults, children and drawn phantoms are each compared with their own kind.
"""

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

from lucency.audit.measurements import CHUNK, SIDE, THUMB, Measurements, in_chunks
from lucency.data.dataset import Dataset
from lucency.modality import MODALITIES, Modality
from lucency.preprocess import Preprocess

ALIKE = 0.985
"""Correlation of thumbnails from which two films may be duplicates."""
NEAR = 3.0
"""Root mean square difference of the 224 × 224 squares, in gray levels, below which two films are duplicates."""
SAME = 0.98
"""Correlation of the squares from which two films are duplicates with another tone, size or compression."""
HASH_AXES = 20
"""Axes on which thumbnails are compared first: projection only shrinks distances, so no pair is missed."""
FITTED_ON = 2000
"""Principal components are fitted on at least so many films, evenly spaced if there are more."""

BLANK = 4.0
"""Standard deviation below which a film is blank, in gray levels."""
TINY = 64
"""Short side below which a film is a thumbnail, in pixels."""
COLOURED = 3.0
"""Mean difference between channels above which a film is a colour picture, in gray levels."""
MIN_FILMS = 20
"""Films below which the set's appearance is not fitted."""
AXES = 12
"""Principal components of the set's appearance, at most one for eight films."""
TRIM, ROUNDS = 0.1, 3
"""Share of the films left out of the fit as possible outliers, and how often they are chosen again."""
STRANGE_RESIDUAL, STRANGE_SPREADS = 0.5, 6.0
"""A film is strange from this distance to the set's appearance (a thumbnail has length 1) and from this many spreads
(1.4826 median absolute deviations) beyond the median."""
GAIN = 0.06
"""A film is misoriented if reorienting it brings it closer to the set by more than this."""
MIRROR_MIN, MIRROR_FOLDS, MIRROR_FITTED_ON, MIRROR_LOGIT = 200, 5, 20_000, -4.0
"""The search for mirrored films: smallest set, folds, films to fit on at least if there are more, and the out-of-fold
logit below which a film is reported."""

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
"""Orientation → quarter turns counter-clockwise, then mirrored left to right, then inverted."""

Pixels = NDArray[np.uint8]
Unit = NDArray[np.float32]
Floats = NDArray[np.float64]
Number = TypeVar("Number", np.uint8, np.float32)
Kind = Literal["identical", "near", "processed", "turned"]


@dataclass(frozen=True)
class DuplicatePair:
    """Two files of the same film."""

    first: int
    second: int
    kind: Kind
    """identical: the same decoded pixels. near: within NEAR. processed: another tone, size or compression.
    turned: mirrored, turned or inverted."""
    difference: float
    """Root mean square, gray levels of the square, after reorienting."""
    orientation: str = UPRIGHT
    """The reorientation that makes the second film match the first."""


@dataclass(frozen=True)
class Outlier:
    """A film that does not look like the others."""

    film: int
    kind: str
    """A row of OUTLIER_KINDS."""
    measured: str
    """The measurement in words."""


OUTLIER_KINDS: dict[str, tuple[str, str]] = {
    "blank": ("Blank", "almost uniform; leave it out"),
    "tiny": ("Tiny", "too small to read; look for the original"),
    "colour": ("In colour", "such pictures are gray; look at it"),
    "gray": ("Without colour", "such pictures are in colour; look at it"),
    "turned": ("Turned or inverted", "turn it back, or leave it out"),
    "stranger": (
        "Unlike the other films",
        "another view, another body part, another kind of picture, or a rare one; look at it",
    ),
    "mirrored": ("Mirrored, or the heart displaced", "compare with the side letter; mirror it back if it is mirrored"),
}
"""Kind → (title, what to do); a film is named under the first that it fits."""


def reorient(films: NDArray[Number], orientation: str) -> NDArray[Number]:
    """Films (n, side, side), 0 to 255, brought to one of ORIENTATIONS."""
    quarters, mirrored, inverted = ORIENTATIONS[orientation]
    out = np.rot90(films, quarters, axes=(1, 2))
    out = out[:, :, ::-1] if mirrored else out
    return np.ascontiguousarray(films.dtype.type(255) - out if inverted else out)


def standardise(thumbs: Pixels) -> Unit:
    """float32 (n, pixels): mean 0 and length 1 each, so that a product is a correlation; a blank one is 0."""
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(np.divide(flat, length, out=np.zeros_like(flat), where=length > 1), dtype=np.float32)


def find_duplicates(films: Measurements, kind: Modality = MODALITIES["chest_xray"]) -> tuple[DuplicatePair, ...]:
    """All pairs of files of the same film, in order.

    What ALIKE and SAME tell apart is known of chest films. Pictures of another kind may look that alike and be two, as
    all retinas are round: of them only pairs within NEAR, the same way up, count.
    """
    orientations = tuple(ORIENTATIONS) if kind.lungs else (UPRIGHT,)
    found = {(a, b): DuplicatePair(a, b, "identical", 0.0) for a, b in _identical(films)}
    for a, b, orientation in _candidates(films.thumbs, orientations):
        pair = None if (a, b) in found else _confirm(films.films, a, b, orientation)
        if pair and (kind.lungs or pair.kind == "near"):
            found[a, b] = pair
    return tuple(found[key] for key in sorted(found))


def duplicate_groups(pairs: tuple[DuplicatePair, ...], films: int) -> tuple[tuple[int, ...], ...]:
    """Group the files of each film: three copies make three pairs and one group."""
    ends = np.array([(pair.first, pair.second) for pair in pairs], dtype=np.int64).reshape(-1, 2)
    links = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(films, films))
    _, group = connected_components(links, directed=False)
    members: dict[int, list[int]] = {}
    for film in np.unique(ends):
        members.setdefault(int(group[film]), []).append(int(film))
    return tuple(map(tuple, members.values()))


def principal_axes(unit: Unit) -> Unit:
    """float32 (axes, pixels), orthonormal: where standardised thumbnails differ most."""
    return np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)[2][:HASH_AXES]


def _identical(films: Measurements) -> Iterator[tuple[int, int]]:
    _, group = np.unique(films.rows["digest"], return_inverse=True)
    order = np.argsort(group, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        yield from ((int(a), int(b)) for i, a in enumerate(members) for b in members[i + 1 :])


def _candidates(thumbs: Pixels, orientations: tuple[str, ...]) -> Iterator[tuple[int, int, str]]:
    """Pairs whose thumbnails correlate by ALIKE, the second in each orientation. Blank ones match nothing."""
    lit = np.flatnonzero(in_chunks(lambda part: np.square(standardise(part)).sum(axis=1) > 0.5, thumbs))
    if len(lit) < 2:
        return
    axes = principal_axes(standardise(thumbs[lit[:: max(1, len(lit) // FITTED_ON)]]))
    radius = float(np.sqrt(2 * (1 - ALIKE))) * (1 + 1e-4)

    def tree(orientation: str) -> cKDTree:
        return cKDTree(in_chunks(lambda part: standardise(reorient(part, orientation)) @ axes.T, thumbs[lit]))

    upright = tree(UPRIGHT)
    for orientation in orientations:
        near = upright.sparse_distance_matrix(tree(orientation), radius, output_type="ndarray")
        ordered = near["i"] < near["j"]
        yield from sorted(_alike(thumbs, lit[near["i"][ordered]], lit[near["j"][ordered]], orientation))


def _alike(
    thumbs: Pixels, first: NDArray[np.int64], second: NDArray[np.int64], orientation: str
) -> Iterator[tuple[int, int, str]]:
    for start in range(0, len(first), CHUNK):
        a, b = first[start : start + CHUNK], second[start : start + CHUNK]
        product = np.einsum("ij,ij->i", standardise(thumbs[a]), standardise(reorient(thumbs[b], orientation)))
        alike = zip(a[product >= ALIKE], b[product >= ALIKE], strict=True)
        yield from ((int(i), int(j), orientation) for i, j in alike)


def _confirm(films: Dataset, first: int, second: int, orientation: str) -> DuplicatePair | None:
    """Compare the squares of two films; None where they are different films."""
    a, b = (Preprocess(SIDE)(films.samples[index].load()) for index in (first, second))
    b = reorient(b[None], orientation)[0]
    difference = float(np.sqrt(np.square(a.astype(np.float32) - b).mean()))
    same = float(np.dot(*standardise(np.stack([a, b])))) >= SAME
    if orientation != UPRIGHT:
        return DuplicatePair(first, second, "turned", difference, orientation) if same else None
    if difference < NEAR:
        return DuplicatePair(first, second, "near", difference)
    return DuplicatePair(first, second, "processed", difference) if same else None


def find_outliers(films: Measurements, kind: Modality) -> tuple[Outlier, ...]:
    """Films to look at, in order, each once. Where mirror images are true, no orientation is wrong;
    mirrored films are known by the heart.
    """
    found: dict[int, Outlier] = {}
    colour = _coloured if kind.channels == 1 else _gray
    upright = () if kind.flips else (_misoriented_or_strange, *((_mirrored,) if kind.lungs else ()))
    for check in (_blank, _tiny, colour, *upright):
        for outlier in check(films):
            found.setdefault(outlier.film, outlier)
    return tuple(found[film] for film in sorted(found))


def _named(kind: str, which: NDArray[np.bool_], measured: Callable[[int], str]) -> list[Outlier]:
    return [Outlier(int(i), kind, measured(int(i))) for i in np.flatnonzero(which)]


def _blank(films: Measurements) -> list[Outlier]:
    spread = films.rows["spread"]
    return _named("blank", spread < BLANK, lambda i: f"gray levels spread by {spread[i]:.1f}")


def _tiny(films: Measurements) -> list[Outlier]:
    width, height = films.rows["width"], films.rows["height"]
    return _named("tiny", np.minimum(width, height) < TINY, lambda i: f"{width[i]} × {height[i]} pixels")


def _coloured(films: Measurements) -> list[Outlier]:
    chroma = films.files["chroma"]
    return _named("colour", chroma > COLOURED, lambda i: f"channels differ by {chroma[i]:.0f} gray levels")


def _gray(films: Measurements) -> list[Outlier]:
    chroma = films.files["chroma"]
    return _named("gray", chroma <= COLOURED, lambda i: f"channels differ by {chroma[i]:.0f} gray levels")


def _misoriented_or_strange(films: Measurements) -> list[Outlier]:
    """Films far from the set's appearance, and films that come close to it when turned or inverted."""
    lit = np.flatnonzero(films.rows["spread"] >= BLANK)
    if len(lit) < MIN_FILMS:
        return []
    thumbs = films.thumbs[lit]
    appearance = fit_appearance(thumbs)
    distance = residual(thumbs, appearance)
    others = [orientation for orientation in ORIENTATIONS if orientation not in (UPRIGHT, "mirrored")]
    nearest = np.stack([residual(reorient(thumbs, orientation), appearance) for orientation in others])
    gain, best = distance - nearest.min(axis=0), nearest.argmin(axis=0)
    spread = 1.4826 * float(np.median(np.abs(distance - np.median(distance)))) or 1e-6
    spreads = (distance - np.median(distance)) / spread
    # A strange film may come closer in some orientation by chance; a misoriented one comes as close as the others.
    settled = (gain > GAIN) & (spreads - gain / spread <= STRANGE_SPREADS)
    strange = (distance > STRANGE_RESIDUAL) & (spreads > STRANGE_SPREADS)
    found = [("turned", i, f"resembles the others when {others[best[i]]}") for i in np.flatnonzero(settled)]
    found += [("stranger", i, f"{spreads[i]:.0f} spreads from the set's appearance") for i in np.flatnonzero(strange)]
    return [Outlier(int(lit[i]), kind, measured) for kind, i, measured in found]


@dataclass(frozen=True)
class Appearance:
    """What the films of a set look like: mean (pixels,) and orthonormal axes (k, pixels)."""

    mean: Unit
    axes: Unit


def fit_appearance(thumbs: Pixels) -> Appearance:
    """Mean and principal components of standardised thumbnails, without the tenth that fits them worst."""
    thumbs = thumbs[:: max(1, len(thumbs) // FITTED_ON)]
    unit = standardise(thumbs)
    # Start from the median film: a few inverted films would otherwise make an axis of their own.
    kept = _nearest(np.linalg.norm(unit - np.median(unit, axis=0), axis=1))
    for _ in range(ROUNDS):
        mean = unit[kept].mean(axis=0)
        axes = np.linalg.svd(unit[kept] - mean, full_matrices=False)[2][: min(AXES, len(kept) // 8)]
        appearance = Appearance(mean, axes)
        kept = _nearest(residual(thumbs, appearance))
    return appearance


def residual(thumbs: Pixels, appearance: Appearance) -> Floats:
    """float64 (n,): length of the residual of a standardised thumbnail, 0 to about 1.4."""

    def part(films: Pixels) -> Floats:
        off = standardise(films) - appearance.mean
        explained = np.square(off @ appearance.axes.T).sum(axis=1)
        return np.asarray(np.sqrt(np.maximum(np.square(off).sum(axis=1) - explained, 0)), dtype=np.float64)

    return in_chunks(part, thumbs)


def _nearest(distance: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.argsort(distance, kind="stable")[: int(np.ceil(len(distance) * (1 - TRIM)))]


def _mirrored(films: Measurements) -> list[Outlier]:
    if len(films) < MIRROR_MIN:
        return []
    logits = sidedness(films.thumbs, films.films.groups())
    return _named("mirrored", logits < MIRROR_LOGIT, lambda i: f"left and right look exchanged (logit {logits[i]:.1f})")


def sidedness(thumbs: Pixels, groups: NDArray[np.int64]) -> Floats:
    """float64 (n,): logit that a film is not mirrored, by a linear rule trained on other patients.

    Its features change sign in the mirror (left minus right half, 16 × 8 cells), and it separates films from their
    mirror images, so it needs neither intercept nor labels.
    """
    odd = in_chunks(_left_minus_right, thumbs)
    logits = np.zeros(len(odd))
    for fold in range(MIRROR_FOLDS):
        held = groups % MIRROR_FOLDS == fold
        train = odd[~held][:: max(1, len(odd) // MIRROR_FITTED_ON)]
        rule = LogisticRegression(C=100, fit_intercept=False, max_iter=300)
        rule.fit(np.concatenate([train, -train]), np.repeat([1, 0], len(train)))
        logits[held] = rule.decision_function(odd[held])
    return logits


def _left_minus_right(thumbs: Pixels) -> Unit:
    """float32 (n, 128)."""
    small = thumbs.reshape(len(thumbs), THUMB // 2, 2, THUMB // 2, 2).mean(axis=(2, 4), dtype=np.float32)
    unit = standardise(small).reshape(small.shape)
    return np.ascontiguousarray((unit - unit[:, :, ::-1])[:, :, : THUMB // 4]).reshape(len(unit), -1)
