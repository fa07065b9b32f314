"""The same film twice: exactly, nearly, or processed otherwise, within and across splits.

A perceptual hash finds candidates, pixels decide. The hash is the standardised 32 × 32 thumbnail, not 64 bits: chest
films look so alike that a 64-bit difference hash leaves 5.5 million pairs within 10 bits among 5,216 films, where this
one leaves the true pairs. Among those films no two different ones correlate above 0.977 by thumbnail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from lucency.audit.facts import PART, SIDE, Facts, in_parts
from lucency.audit.turns import AS_IS, TURNS, turned
from lucency.data.record import Films
from lucency.preprocess import Preprocess

ALIKE = 0.985
"""Thumbnails that correlate this much may show the same film."""
NEAR = 3.0
"""Root mean square difference, in gray levels of the 224 × 224 square, below which two films are the same."""
SAME = 0.98
"""Correlation of the squares from which two films are the same with another tone, size or compression."""
AXES = 20
"""Directions in which thumbnails are compared first: distances can only shrink on them, so no pair is missed."""

MOST = 2000
"""Films, at least, from which the directions are learned; an even choice where there are more."""

Kind = Literal["identical", "near", "processed", "turned"]
Unit = NDArray[np.float32]


@dataclass(frozen=True)
class Pair:
    """Two films that are one."""

    first: int
    second: int
    kind: Kind
    """identical: the same decoded pixels. near: within NEAR. processed: another tone, size or compression.
    turned: mirrored, turned or inverted."""
    difference: float
    """Root mean square, gray levels of the square, after turning."""
    turn: str = AS_IS
    """What makes the second film match the first."""


def duplicates(facts: Facts) -> tuple[Pair, ...]:
    """All pairs of films that are one, the films of each pair and the pairs in order."""
    found = {(a, b): Pair(a, b, "identical", 0.0) for a, b in identical(facts)}
    for a, b, turn in candidates(facts.thumbs):
        if (a, b) not in found and (pair := confirm(facts.films, a, b, turn)):
            found[a, b] = pair
    return tuple(found[key] for key in sorted(found))


def identical(facts: Facts) -> Iterator[tuple[int, int]]:
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
    axes = principal_axes(standardise(thumbs[lit[:: max(1, len(lit) // MOST)]]))
    radius = float(np.sqrt(2 * (1 - ALIKE))) * (1 + 1e-4)
    upright = _on_axes(thumbs[lit], axes, AS_IS)
    for turn in TURNS:
        near = upright.sparse_distance_matrix(_on_axes(thumbs[lit], axes, turn), radius, output_type="ndarray")
        ordered = near["i"] < near["j"]
        yield from sorted(_alike(thumbs, lit[near["i"][ordered]], lit[near["j"][ordered]], turn))


def _on_axes(thumbs: NDArray[np.uint8], axes: Unit, turn: str) -> cKDTree:
    return cKDTree(in_parts(lambda part: standardise(turned(part, turn)) @ axes.T, thumbs))


def _alike(
    thumbs: NDArray[np.uint8], first: NDArray[np.int64], second: NDArray[np.int64], turn: str
) -> Iterator[tuple[int, int, str]]:
    """Of pairs that may be alike, those whose thumbnails correlate by ALIKE or more."""
    for start in range(0, len(first), PART):
        a, b = first[start : start + PART], second[start : start + PART]
        product = np.einsum("ij,ij->i", standardise(thumbs[a]), standardise(turned(thumbs[b], turn)))
        yield from ((int(i), int(j), turn) for i, j in zip(a[product >= ALIKE], b[product >= ALIKE], strict=True))


def confirm(films: Films, first: int, second: int, turn: str) -> Pair | None:
    """Look at the squares of two films; None where they are different films."""
    a, b = _square(films, first), turned(_square(films, second)[None], turn)[0]
    difference = float(np.sqrt(np.square(a.astype(np.float32) - b).mean()))
    if turn != AS_IS:
        return Pair(first, second, "turned", difference, turn) if _correlation(a, b) >= SAME else None
    if difference < NEAR:
        return Pair(first, second, "near", difference)
    return Pair(first, second, "processed", difference) if _correlation(a, b) >= SAME else None


def families(pairs: tuple[Pair, ...], films: int) -> tuple[tuple[int, ...], ...]:
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
    return np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)[2][:AXES]


def _correlation(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.dot(*standardise(np.stack([a, b]))))


def _square(films: Films, index: int) -> NDArray[np.uint8]:
    return Preprocess(SIDE)(films.records[index].load())
