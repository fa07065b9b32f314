"""Two samples of films, one question: could they come from the same place?

Each number is compared by the distance of Kolmogorov and Smirnov (the largest gap between the two shares below any
value), each vector by the energy distance (Székely & Rizzo 2013). Chance is measured, not assumed: patients are dealt
anew to the two sides, films of one patient staying together, and all distances are computed again. The p told of a
distance is how often any distance, each in its own spreads, comes out as large (Westfall & Young 1993, maxT). So one
comparison of like films raises an alarm with a chance of at most `level`, however many numbers are
compared, however alike the films of a patient are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lucency.bundle import Card
from lucency.data.dataset import Dataset
from lucency.data.decode import decode_each, require_readable
from lucency.errors import FilmError, SourceError
from lucency.film import Film
from lucency.html import render
from lucency.progress import track
from lucency.reader import Outputs, Reader
from lucency.reader.outputs import accepted

BATCH = 32
EDGE = 16
"""The border is one part in so many of the side."""
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
    """Label -> share of films called so; `uncertain` -> share not answered."""
    unreadable: tuple[FilmError, ...] = ()

    def __len__(self) -> int:
        return len(self.groups)


def sample(reader: Reader, films: Dataset, doing: str = "reading films") -> Sample:
    """Measure every film that can be read; labels are not needed and not looked at.

    Raises:
        SourceError: no film can be read.
    """

    def both(film: Film) -> tuple[float, NDArray[np.uint8]]:
        return film.width / film.height, reader.preprocess(film)

    good: list[int] = []
    unreadable: list[FilmError] = []
    aspects: list[float] = []
    squares: list[NDArray[np.uint8]] = []
    answers: list[Outputs] = []
    outcomes = enumerate(track(decode_each(films, both), doing, total=len(films)))
    while batch := list(islice(outcomes, BATCH)):
        unreadable += [outcome for _, outcome in batch if isinstance(outcome, FilmError)]
        usable = [(index, *outcome) for index, outcome in batch if not isinstance(outcome, FilmError)]
        if usable:
            good += [index for index, _, _ in usable]
            aspects += [aspect for _, aspect, _ in usable]
            squares.append(np.stack([square for _, _, square in usable]))
            answers.append(reader.read_batch(squares[-1]))
    require_readable(films, len(good), unreadable)
    read = _joined(answers)
    looks = [appearance_of(part) for part in squares]
    numbers = {"width / height": np.array(aspects)}
    numbers |= {name: np.concatenate([part[name] for part in looks]) for name in looks[0]}
    numbers |= _scores(reader.card, read)
    vectors = {
        "layout": np.concatenate([thumbnail(part) for part in squares]),
        "evidence map": read.maps.reshape(len(good), -1).astype(np.float64),
    }
    return Sample(films.subset(good).groups(), numbers, vectors, _called(reader.card, read), tuple(unreadable))


def subsample_patients(films: Dataset, most: int, seed: int = 0) -> Dataset:
    """At most about `most` films: whole patients, drawn; the order of the films stays."""
    groups = films.groups()
    order = np.random.default_rng(seed).permutation(int(groups.max(initial=-1)) + 1)
    total = np.cumsum(np.bincount(groups, minlength=len(order))[order])
    kept = order[: max(1, int(np.searchsorted(total, most, side="right")))]
    return films if len(films) <= most else films.subset(np.flatnonzero(np.isin(groups, kept)))


def appearance_of(squares: NDArray[np.uint8]) -> dict[str, Floats]:
    """Of films (n, s, s): mean gray, contrast, sharpness (mean absolute Laplacian), gray of the border; each (n,)."""
    gray = squares.astype(np.float64)
    laplacian = (
        4 * gray[:, 1:-1, 1:-1] - gray[:, :-2, 1:-1] - gray[:, 2:, 1:-1] - gray[:, 1:-1, :-2] - gray[:, 1:-1, 2:]
    )
    edge = max(1, gray.shape[1] // EDGE)
    inner = np.zeros(gray.shape[1:], dtype=bool)
    inner[edge:-edge, edge:-edge] = True
    return {
        "mean gray": gray.mean(axis=(1, 2)),
        "contrast": gray.std(axis=(1, 2)),
        "sharpness": np.abs(laplacian).mean(axis=(1, 2)),
        "border gray": gray[:, ~inner].mean(axis=1),
    }


def thumbnail(squares: NDArray[np.uint8]) -> Floats:
    """Films (n, s, s) → (n, 64): mean gray of each cell, less the film's mean, over its spread (at least 4 levels)."""
    cell = squares.shape[1] // CELLS
    cut = squares[:, : cell * CELLS, : cell * CELLS].reshape(len(squares), CELLS, cell, CELLS, cell)
    small = cut.mean(axis=(2, 4)).reshape(len(squares), -1)
    centred = small - small.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(centred.std(axis=1, keepdims=True), 4.0))


def _scores(card: Card, read: Outputs) -> dict[str, Floats]:
    labels = card.labels[-read.logits.shape[1] :]
    found = {f"score of {label}": read.logits[:, k].astype(np.float64) for k, label in enumerate(labels)}
    doubts = {f"doubt: {check.name}": read.doubts[:, k].astype(np.float64) for k, check in enumerate(card.gate.checks)}
    return {**found, **doubts}


def _called(card: Card, read: Outputs) -> dict[str, float]:
    if card.task == "multiclass":
        places = read.probabilities.argmax(axis=1)
        shares = {label: float((places == k).mean()) for k, label in enumerate(card.labels)}
    else:
        on = read.probabilities >= np.float32(card.operating_point.threshold)
        names = card.labels[-on.shape[1] :]
        shares = {label: float(on[:, k].mean()) for k, label in enumerate(names)}
    if card.task == "multilabel":
        return shares
    return {**shares, "uncertain": float((~accepted(card, read)).mean())}


def _joined(parts: list[Outputs]) -> Outputs:
    return Outputs(
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.maps for part in parts]),
        np.concatenate([part.doubts for part in parts]),
    )


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
    deal = Permutations.of(before, after, draws, np.random.default_rng(seed))
    columns = {name: (before.numbers[name], after.numbers[name]) for name in before.numbers}
    found = {name: _gaps(np.concatenate(both), deal) for name, both in columns.items()}
    for name in before.vectors:
        found[name] = _energies(np.concatenate([before.vectors[name], after.vectors[name]]), deal)
    p = max_t_p_values(np.stack(list(found.values())))
    shifts = []
    for (name, distances), chance in zip(found.items(), p, strict=True):
        medians = [float(np.median(side)) for side in columns[name]] if name in columns else [None, None]
        shifts.append(Shift(name, float(distances[0]), float(chance), bool(chance <= level), *medians))
    shifts.sort(key=lambda shift: (shift.p, -shift.distance))
    return Drift(tuple(shifts), level, draws, (len(before), len(after)), (patients[0], patients[1]))


@dataclass(frozen=True)
class Permutations:
    """Who is on which side: as it is in the first row, then dealt anew."""

    now: NDArray[np.bool_]
    """(1 + draws, n)."""
    some: NDArray[np.int64]
    """Indices of the films that vectors are compared on."""

    @classmethod
    def of(cls, before: Sample, after: Sample, draws: int, rng: np.random.Generator) -> Permutations:
        """Permutations patients, as many to each side as there are."""
        first = np.unique(before.groups, return_inverse=True)[1]
        second = np.unique(after.groups, return_inverse=True)[1] + first.max() + 1
        patient = np.concatenate([first, second])
        sides = np.arange(patient.max() + 1) > first.max()
        dealt = np.stack([sides, *(rng.permutation(sides) for _ in range(draws))])
        kept = [rng.permutation(len(side))[:MOST] for side in (before, after)]
        return cls(dealt[:, patient], np.sort(np.concatenate([kept[0], kept[1] + len(before)])))


def _gaps(values: Floats, deal: Permutations) -> Floats:
    """Kolmogorov-Smirnov distance of each deal, (1 + draws,)."""
    order = np.argsort(values, kind="stable")
    last = np.flatnonzero(np.diff(values[order], append=np.inf))
    now = deal.now[:, order]
    seen = np.cumsum(now, axis=1, dtype=np.int32)[:, last]
    films = now.sum(axis=1, keepdims=True)
    rest = last + 1 - seen
    return np.asarray(np.abs(seen / films - rest / (now.shape[1] - films)).max(axis=1))


def _energies(vectors: Floats, deal: Permutations) -> Floats:
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


def max_t_p_values(distances: Floats) -> Floats:
    """The p of each of m distances among those of like films, for all m together.

    Args:
        distances: (m, 1 + draws); the first column is what was seen.
    """
    middle, spread = distances.mean(axis=1, keepdims=True), distances.std(axis=1, keepdims=True)
    surprise = (distances - middle) / np.maximum(spread, 1e-12)
    largest = surprise.max(axis=0) + 1e-9  # so that a tie with itself counts
    return np.asarray([(largest >= one).mean() for one in surprise[:, 0]])


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
    chance = f"films that are alike raise an alarm in at most {drift.level:.1%} of such comparisons"
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
    """drift.html: no request leaves it, no film is in it."""
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
    """Two histograms on one scale, each the points of an SVG polyline; what lies beyond the ends counts there."""
    edges = np.linspace(low, max(high, low + 1e-9), BINS + 1)
    shares = [np.histogram(np.clip(side, edges[0], edges[-1]), edges)[0] / len(side) for side in (one, other)]
    return [_outline(TALL * (1 - share / np.max(shares))) for share in shares]


def _outline(height: NDArray[np.float64]) -> str:
    points = [(WIDE * (k + side) / BINS, height[k]) for k in range(BINS) for side in (0, 1)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in [(0.0, TALL), *points, (WIDE, TALL)])


def number(value: float | None) -> str:
    """Three digits, or nothing."""
    return "" if value is None else f"{value:.3g}"
