"""Two samples of films, one question: could they come from the same place?

Each number is compared by the distance of Kolmogorov and Smirnov (the largest gap between the two shares below any
value), each vector by the energy distance (Székely & Rizzo 2013). Chance is measured, not assumed: patients are dealt
anew to the two sides, films of one patient staying together, and all distances are computed again. The p told of a
distance is how often any distance, each in its own spreads, comes out as large (Westfall & Young 1993, maxT). So one
comparison of like films raises an alarm with a chance of at most `level`, however many numbers are
compared, however alike the films of a patient are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lucency.drift.sample import Sample
from lucency.errors import SourceError

Floats = NDArray[np.float64]
MOST = 1000
"""Films of a side that a vector is compared on: memory grows with their square."""
LEAST = 10
"""Patients of a side below which nothing can be said."""


@dataclass(frozen=True)
class Shift:
    """One comparison."""

    name: str
    distance: float
    """0 (alike) to 1 (nothing in common): Kolmogorov-Smirnov, or the energy coefficient."""
    p: float
    """The chance that like films show any distance as surprising as this."""
    alarm: bool
    before: float | None = None
    """Median of the reference; None for a vector."""
    after: float | None = None
    """Median now."""


@dataclass(frozen=True)
class Drift:
    """Everything compared, the most surprising first."""

    shifts: tuple[Shift, ...]
    level: float
    draws: int
    films: tuple[int, int]
    patients: tuple[int, int]

    @property
    def alarm(self) -> bool:
        """Whether anything has shifted."""
        return any(shift.alarm for shift in self.shifts)


def compare(before: Sample, after: Sample, level: float = 0.01, draws: int = 999, seed: int = 0) -> Drift:
    """Compare films of now with those of the reference.

    Args:
        before: the reference.
        after: now; the same reader measured both. No patient is on both sides.
        level: chance of a false alarm, of the whole comparison.
        draws: how often patients are dealt anew; more than 2 / level.
        seed: of the deals.

    Raises:
        SourceError: fewer than ten patients on a side, or too few draws for the level.
    """
    patients = tuple(len(np.unique(side.groups)) for side in (before, after))
    if min(patients) < LEAST:
        raise SourceError(f"drift: expected at least {LEAST} patients on each side, found {min(patients)}")
    if (draws + 1) * level < 1:
        raise SourceError(f"drift: {draws} draws cannot show a chance of {level:g}; take {int(1 / level)} or more")
    deal = Deal.of(before, after, draws, np.random.default_rng(seed))
    columns = {name: (before.numbers[name], after.numbers[name]) for name in before.numbers}
    found = {name: _gaps(np.concatenate(both), deal) for name, both in columns.items()}
    for name in before.vectors:
        found[name] = _energies(np.concatenate([before.vectors[name], after.vectors[name]]), deal)
    p = family(np.stack(list(found.values())))
    shifts = []
    for (name, distances), chance in zip(found.items(), p, strict=True):
        medians = [float(np.median(side)) for side in columns[name]] if name in columns else [None, None]
        shifts.append(Shift(name, float(distances[0]), float(chance), bool(chance <= level), *medians))
    shifts.sort(key=lambda shift: (shift.p, -shift.distance))
    return Drift(tuple(shifts), level, draws, (len(before), len(after)), (patients[0], patients[1]))


@dataclass(frozen=True)
class Deal:
    """Who is on which side: as it is in the first row, then dealt anew."""

    now: NDArray[np.bool_]
    """(1 + draws, n)."""
    some: NDArray[np.int64]
    """Indices of the films that vectors are compared on."""

    @classmethod
    def of(cls, before: Sample, after: Sample, draws: int, rng: np.random.Generator) -> Deal:
        """Deal patients, as many to each side as there are."""
        first = np.unique(before.groups, return_inverse=True)[1]
        second = np.unique(after.groups, return_inverse=True)[1] + first.max() + 1
        patient = np.concatenate([first, second])
        sides = np.arange(patient.max() + 1) > first.max()
        dealt = np.stack([sides, *(rng.permutation(sides) for _ in range(draws))])
        kept = [rng.permutation(len(side))[:MOST] for side in (before, after)]
        return cls(dealt[:, patient], np.sort(np.concatenate([kept[0], kept[1] + len(before)])))


def _gaps(values: Floats, deal: Deal) -> Floats:
    """Kolmogorov-Smirnov distance of each deal, (1 + draws,)."""
    order = np.argsort(values, kind="stable")
    last = np.flatnonzero(np.diff(values[order], append=np.inf))
    now = deal.now[:, order]
    seen = np.cumsum(now, axis=1, dtype=np.int32)[:, last]
    films = now.sum(axis=1, keepdims=True)
    rest = last + 1 - seen
    return np.asarray(np.abs(seen / films - rest / (now.shape[1] - films)).max(axis=1))


def _energies(vectors: Floats, deal: Deal) -> Floats:
    """Energy coefficient of each deal, (1 + draws,): (2 E|X - Y| - E|X - X'| - E|Y - Y'|) / (2 E|X - Y|)."""
    some = vectors[deal.some]
    scaled = (some - some.mean(axis=0)) / np.maximum(some.std(axis=0), 1e-9)
    squares = np.square(scaled).sum(axis=1)
    apart = np.sqrt(np.maximum(squares[:, None] + squares - 2 * scaled @ scaled.T, 0))
    now = deal.now[:, deal.some].astype(np.float64)
    after = now / now.sum(axis=1, keepdims=True)
    before = (1 - now) / (1 - now).sum(axis=1, keepdims=True)
    across = np.einsum("rn,rn->r", before @ apart, after)
    within = np.einsum("rn,rn->r", before @ apart, before) + np.einsum("rn,rn->r", after @ apart, after)
    return np.asarray((2 * across - within) / np.maximum(2 * across, 1e-12))


def family(distances: Floats) -> Floats:
    """The p of each of m distances among those of like films, for all m together.

    Args:
        distances: (m, 1 + draws); the first column is what was seen.
    """
    middle, spread = distances.mean(axis=1, keepdims=True), distances.std(axis=1, keepdims=True)
    surprise = (distances - middle) / np.maximum(spread, 1e-12)
    largest = surprise.max(axis=0) + 1e-9  # so that a tie with itself counts
    return np.asarray([(largest >= one).mean() for one in surprise[:, 0]])
