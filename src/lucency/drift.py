"""Drift: could two samples of films come from the same place?

Each number is compared by the Kolmogorov-Smirnov distance, each vector by the energy distance (Székely & Rizzo 2013).
The null distribution comes from permutations: patients are reassigned to the two sides with all their films, and every
distance is computed again. The p value of a distance is the share of permutations in which any standardised distance
is as large (Westfall & Young 1993, maxT). Without drift a comparison raises an alarm with a chance of at most `level`,
however many numbers are compared and however similar the films of a patient are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lucency.bundle import Card
from lucency.data.dataset import Dataset, readable_batches
from lucency.errors import FilmError, SourceError
from lucency.film import Film
from lucency.html import render
from lucency.reader import Outputs, Reader
from lucency.reader.outputs import accepted, calls

BATCH = 32
EDGE = 16
"""The border's width is 1 / EDGE of the side."""
CASTS = {0: "red", 2: "blue"}
"""Channel → its name."""
CELLS = 8
"""Rows and columns of the thumbnail."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """n films, measured."""

    groups: NDArray[np.int64]
    """(n,), films with the same number show the same patient."""
    numbers: dict[str, Floats]
    """Name -> (n,): one number a film."""
    vectors: dict[str, Floats]
    """Name -> (n, d): many numbers a film."""
    called: dict[str, float]
    """Label -> share of films called so; `uncertain` -> share of uncertain readings."""
    unreadable: tuple[FilmError, ...] = ()

    def __len__(self) -> int:
        return len(self.groups)


def sample(reader: Reader, films: Dataset, doing: str = "reading films") -> Sample:
    """Measure every film that can be read; labels are ignored.

    Raises:
        SourceError: no film can be read.
    """

    def both(film: Film) -> tuple[float, NDArray[np.uint8]]:
        return film.width / film.height, reader.preprocess(film)

    good: list[int] = []
    unreadable: list[FilmError] = []
    aspects: list[float] = []
    squares: list[NDArray[np.uint8]] = []
    outputs: list[Outputs] = []
    for indices, batch in readable_batches(films, both, BATCH, doing, unreadable):
        good += indices
        aspects += [aspect for aspect, _ in batch]
        squares.append(np.stack([square for _, square in batch]))
        outputs.append(reader.read_batch(squares[-1]))
    read = _joined(outputs)
    appearance = [appearance_of(part) for part in squares]
    numbers = {"width / height": np.array(aspects)}
    numbers |= {name: np.concatenate([part[name] for part in appearance]) for name in appearance[0]}
    numbers |= _scores(reader.card, read)
    vectors = {
        "layout": np.concatenate([thumbnail(part) for part in squares]),
        "evidence map": read.maps.reshape(len(good), -1).astype(np.float64),
    }
    return Sample(films.subset(good).groups(), numbers, vectors, _called(reader.card, read), tuple(unreadable))


def subsample_patients(films: Dataset, most: int, seed: int = 0) -> Dataset:
    """At most about `most` films: a random sample of whole patients, in the order of `films`."""
    groups = films.groups()
    order = np.random.default_rng(seed).permutation(int(groups.max(initial=-1)) + 1)
    total = np.cumsum(np.bincount(groups, minlength=len(order))[order])
    kept = order[: max(1, int(np.searchsorted(total, most, side="right")))]
    return films if len(films) <= most else films.subset(np.flatnonzero(np.isin(groups, kept)))


def appearance_of(squares: NDArray[np.uint8]) -> dict[str, Floats]:
    """Films (n, s, s) → mean gray, contrast, sharpness (mean absolute Laplacian), gray of the border; each (n,).

    Of films in colour, (n, s, s, 3), gray is the mean of the channels; how far red and blue lie above it comes too.
    """
    gray = squares.astype(np.float64) if squares.ndim == 3 else squares.mean(axis=3)
    laplacian = (
        4 * gray[:, 1:-1, 1:-1] - gray[:, :-2, 1:-1] - gray[:, 2:, 1:-1] - gray[:, 1:-1, :-2] - gray[:, 1:-1, 2:]
    )
    edge = max(1, gray.shape[1] // EDGE)
    inner = np.zeros(gray.shape[1:], dtype=bool)
    inner[edge:-edge, edge:-edge] = True
    casts = (
        {} if squares.ndim == 3 else {f"{name} cast": squares[..., i].mean(axis=(1, 2)) for i, name in CASTS.items()}
    )
    means = gray.mean(axis=(1, 2))
    return {
        "mean gray": means,
        "contrast": gray.std(axis=(1, 2)),
        "sharpness": np.abs(laplacian).mean(axis=(1, 2)),
        "border gray": gray[:, ~inner].mean(axis=1),
        **{name: cast - means for name, cast in casts.items()},
    }


def thumbnail(squares: NDArray[np.uint8]) -> Floats:
    """Films (n, s, s) → (n, 64): mean gray of each cell, less the film's mean, over its spread (at least 4 levels).

    Of films in colour, (n, s, s, 3): of each channel, (n, 192).
    """
    cell = squares.shape[1] // CELLS
    cut = squares[:, : cell * CELLS, : cell * CELLS].reshape(len(squares), CELLS, cell, CELLS, cell, -1)
    small = cut.mean(axis=(2, 4)).reshape(len(squares), -1)
    centred = small - small.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(centred.std(axis=1, keepdims=True), 4.0))


def _scores(card: Card, read: Outputs) -> dict[str, Floats]:
    labels = card.labels[-read.logits.shape[1] :]
    found = {f"score of {label}": read.logits[:, k].astype(np.float64) for k, label in enumerate(labels)}
    doubts = {f"doubt: {check.name}": read.doubts[:, k].astype(np.float64) for k, check in enumerate(card.gate.checks)}
    return {**found, **doubts}


def _called(card: Card, read: Outputs) -> dict[str, float]:
    called = calls(card, read.probabilities)
    on = called == np.arange(len(card.labels)) if card.task == "multiclass" else called == 1
    shares = {label: float(on[:, k].mean()) for k, label in enumerate(card.labels[-on.shape[1] :])}
    return {**shares, "uncertain": float((~accepted(card, read)).mean())}


def _joined(parts: list[Outputs]) -> Outputs:
    return Outputs(
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.maps for part in parts]),
        np.concatenate([part.doubts for part in parts]),
    )


MAX_FILMS = 1000
"""Films of each side that vectors are compared on: memory grows with the square."""
MIN_PATIENTS = 10
"""Patients of each side below which the comparison is refused."""


@dataclass(frozen=True)
class Shift:
    """One comparison."""

    name: str
    distance: float
    """0 (equal) to 1 (disjoint): Kolmogorov-Smirnov distance, or energy coefficient."""
    p: float
    """The chance of any distance as extreme as this without drift."""
    alarm: bool
    before: float | None = None
    """Median of the reference; None for a vector."""
    after: float | None = None
    """Median now."""


@dataclass(frozen=True)
class Drift:
    """All comparisons, the most significant first."""

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
    """Compare current films with the reference.

    Args:
        before: the reference.
        after: the current films, measured by the same reader. No patient is on both sides.
        level: chance of a false alarm, of the whole comparison.
        draws: number of permutations; at least 1 / level - 1.
        seed: of the permutations.

    Raises:
        SourceError: fewer than ten patients on a side, or too few draws for the level.
    """
    patients = tuple(len(np.unique(side.groups)) for side in (before, after))
    if min(patients) < MIN_PATIENTS:
        raise SourceError(f"drift: expected at least {MIN_PATIENTS} patients on each side, found {min(patients)}")
    if (draws + 1) * level < 1:
        raise SourceError(f"drift: {draws} draws cannot show a chance of {level:g}; take {int(1 / level)} or more")
    permutations = Permutations.of(before, after, draws, np.random.default_rng(seed))
    columns = {name: (before.numbers[name], after.numbers[name]) for name in before.numbers}
    found = {name: _ks_distances(np.concatenate(both), permutations) for name, both in columns.items()}
    for name in before.vectors:
        found[name] = _energy_distances(np.concatenate([before.vectors[name], after.vectors[name]]), permutations)
    p = max_t_p_values(np.stack(list(found.values())))
    shifts = []
    for (name, distances), chance in zip(found.items(), p, strict=True):
        medians = [float(np.median(side)) for side in columns[name]] if name in columns else [None, None]
        shifts.append(Shift(name, float(distances[0]), float(chance), bool(chance <= level), *medians))
    shifts.sort(key=lambda shift: (shift.p, -shift.distance))
    return Drift(tuple(shifts), level, draws, (len(before), len(after)), (patients[0], patients[1]))


@dataclass(frozen=True)
class Permutations:
    """Which films are current: as observed in the first row, then permuted."""

    now: NDArray[np.bool_]
    """(1 + draws, n)."""
    some: NDArray[np.int64]
    """Indices of the films that vectors are compared on."""

    @classmethod
    def of(cls, before: Sample, after: Sample, draws: int, rng: np.random.Generator) -> Permutations:
        """Permute patients, with the observed number on each side."""
        first = np.unique(before.groups, return_inverse=True)[1]
        second = np.unique(after.groups, return_inverse=True)[1] + first.max() + 1
        patient = np.concatenate([first, second])
        sides = np.arange(patient.max() + 1) > first.max()
        assigned = np.stack([sides, *(rng.permutation(sides) for _ in range(draws))])
        kept = [rng.permutation(len(side))[:MAX_FILMS] for side in (before, after)]
        return cls(assigned[:, patient], np.sort(np.concatenate([kept[0], kept[1] + len(before)])))


def _ks_distances(values: Floats, permutations: Permutations) -> Floats:
    """Kolmogorov-Smirnov distance of each permutation, (1 + draws,)."""
    order = np.argsort(values, kind="stable")
    last = np.flatnonzero(np.diff(values[order], append=np.inf))
    now = permutations.now[:, order]
    below = np.cumsum(now, axis=1, dtype=np.int32)[:, last]
    films = now.sum(axis=1, keepdims=True)
    rest = last + 1 - below
    return np.asarray(np.abs(below / films - rest / (now.shape[1] - films)).max(axis=1))


def _energy_distances(vectors: Floats, permutations: Permutations) -> Floats:
    """Energy coefficient of each permutation, (1 + draws,): (2 E|X - Y| - E|X - X'| - E|Y - Y'|) / (2 E|X - Y|)."""
    some = vectors[permutations.some]
    scaled = (some - some.mean(axis=0)) / np.maximum(some.std(axis=0), 1e-9)
    squares = np.square(scaled).sum(axis=1)
    distance = np.sqrt(np.maximum(squares[:, None] + squares - 2 * scaled @ scaled.T, 0))
    now = permutations.now[:, permutations.some].astype(np.float64)
    after = now / now.sum(axis=1, keepdims=True)
    before = (1 - now) / (1 - now).sum(axis=1, keepdims=True)
    across = np.einsum("rn,rn->r", before @ distance, after)
    within = np.einsum("rn,rn->r", before @ distance, before) + np.einsum("rn,rn->r", after @ distance, after)
    return np.asarray((2 * across - within) / np.maximum(2 * across, 1e-12))


def max_t_p_values(distances: Floats) -> Floats:
    """The p value of each of m distances, adjusted for all m.

    Args:
        distances: (m, 1 + draws); the first column is observed.
    """
    middle, spread = distances.mean(axis=1, keepdims=True), distances.std(axis=1, keepdims=True)
    standardised = (distances - middle) / np.maximum(spread, 1e-12)
    largest = standardised.max(axis=0) + 1e-9  # so that a tie with itself counts
    return np.asarray([(largest >= one).mean() for one in standardised[:, 0]])


BINS = 30
TALL, WIDE = 60, 300
"""Size of a histogram."""


def table(drift: Drift, before: Sample, after: Sample, out: Path) -> str:
    """The comparison for a terminal."""
    lines = [f"{'':24}{'reference':>12}{'now':>12}{'distance':>10}{'p':>8}"]
    for shift in drift.shifts:
        medians = f"{number(shift.before):>12}{number(shift.after):>12}"
        lines.append(
            f"{shift.name:24}{medians}{shift.distance:10.3f}{shift.p:8.3f}{'  shifted' if shift.alarm else ''}"
        )
    lines += [f"called {label:17}{before.called[label]:12.1%}{after.called[label]:12.1%}" for label in before.called]
    return "\n".join(["", *lines, "", summary(drift), f"Written to {out}: drift.html, drift.json"])


def summary(drift: Drift) -> str:
    """The comparison in two sentences."""
    sides = [f"{films:,} films of {own:,} patients" for films, own in zip(drift.films, drift.patients, strict=True)]
    counts = " against ".join(sides)
    chance = f"without drift at most {drift.level:.1%} of comparisons raise an alarm"
    if not drift.alarm:
        return f"No shift found: {counts}; {chance}."
    names = ", ".join(shift.name for shift in drift.shifts if shift.alarm)
    return f"Shifted: {names}. {counts}; {chance}."


def to_json(drift: Drift, before: Sample, after: Sample, about: Mapping[str, Any]) -> dict[str, Any]:
    """The content of drift.json."""
    return {
        "schema_version": 1,
        **about,
        "alarm": drift.alarm,
        "level": drift.level,
        "draws": drift.draws,
        "films": {"reference": drift.films[0], "now": drift.films[1]},
        "patients": {"reference": drift.patients[0], "now": drift.patients[1]},
        "shifts": [asdict(shift) for shift in drift.shifts],
        "called": {"reference": before.called, "now": after.called},
        "unread": [str(error) for error in (*before.unreadable, *after.unreadable)],
    }


def page(drift: Drift, before: Sample, after: Sample, reference: str, now: str) -> str:
    """drift.html: self-contained, without films."""
    rows = [_row(shift, before, after) for shift in drift.shifts]
    called = [(label, before.called[label], after.called[label]) for label in before.called]
    return render(
        "drift",
        drift=drift,
        rows=rows,
        called=called,
        reference=reference,
        now=now,
        summary=summary(drift),
        tall=TALL,
        wide=WIDE,
    )


def _row(shift: Shift, before: Sample, after: Sample) -> dict[str, Any]:
    row: dict[str, Any] = {"shift": shift, "before": number(shift.before), "after": number(shift.after), "curves": None}
    if shift.name in before.numbers:
        one, other = before.numbers[shift.name], after.numbers[shift.name]
        low, high = np.quantile(np.concatenate([one, other]), [0.005, 0.995])
        row["curves"] = outlines(one, other, float(low), float(high))
        row["ends"] = (number(float(low)), number(float(high)))
    return row


def outlines(one: NDArray[np.float64], other: NDArray[np.float64], low: float, high: float) -> list[str]:
    """Two histograms on one scale, each the points of an SVG polyline; values beyond the ends count in the end bins."""
    edges = np.linspace(low, max(high, low + 1e-9), BINS + 1)
    shares = [np.histogram(np.clip(side, edges[0], edges[-1]), edges)[0] / len(side) for side in (one, other)]
    return [_outline(TALL * (1 - share / np.max(shares))) for share in shares]


def _outline(height: NDArray[np.float64]) -> str:
    points = [(WIDE * (k + side) / BINS, height[k]) for k in range(BINS) for side in (0, 1)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in [(0.0, TALL), *points, (WIDE, TALL)])


def number(value: float | None) -> str:
    """Three significant digits, or "" for None."""
    return "" if value is None else f"{value:.3g}"
