"""Films as squares with their measured acquisition, and the donor whose acquisition each film gets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lucency.data import read_dataset
from lucency.data.acquisition import SIDE, Acquisition, acquisition, reacquire
from lucency.data.dataset import Dataset, decode_each, report_skipped, require_readable
from lucency.errors import FilmError, UsageError
from lucency.film import Film
from lucency.preprocess import Preprocess
from lucency.progress import track

Pixels = NDArray[np.uint8]
Whose = Literal["other", "any", "same"]

WHOSE: dict[Whose, str] = {
    "other": "of another class: acquisition then points to the wrong class",
    "any": "of any class: acquisition then tells nothing",
    "same": "of its own class: the control, the cost of re-acquiring itself",
}
"""Class of the donor -> what that means."""

SHARES = (0.0, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 1.0)
ASPECTS: dict[str, tuple[float, ...]] = {
    "normal": (0.90, 1.03, 1.06, 1.12, 1.21, 1.30, 1.39, 1.44, 1.81),
    "pneumonia": (0.84, 1.17, 1.24, 1.35, 1.50, 1.66, 1.80, 1.92, 3.18),
}
"""Width over height at SHARES of the films: 403 normal and 1,163 pneumonia films of Kermany et al. 2018."""


@dataclass(frozen=True)
class Squares:
    """The readable films."""

    films: Dataset
    pixels: Pixels
    """uint8 (n, SIDE, SIDE), stretched; 50 kB a film. In colour (n, SIDE, SIDE, 3), 150 kB."""
    acquisitions: tuple[Acquisition, ...]
    stored: NDArray[np.float64]
    """(n,), width over height as stored; 1 for a film that is stored stretched to a square."""
    known: NDArray[np.float64]
    """(n,), true width over height, NaN where it is unknown: the one that is drawn instead would tell the class."""

    def __len__(self) -> int:
        return len(self.pixels)


def squares_of(films: Dataset, aspects: Mapping[str, float] | None = None, channels: int = 1) -> Squares:
    """Decode and measure films.

    Args:
        films: of one class each.
        aspects: file stem -> true width over height, of films stored as squares.
        channels: 1: gray; 3: red, green, blue.

    Raises:
        UsageError: a task with several findings.
        SourceError: no film can be read.
    """
    _require_one_class_each(films)
    good, pixels, ratios, unreadable = [], [], [], []
    for index, came in enumerate(
        track(decode_each(films, partial(_square, channels)), "decoding films", total=len(films))
    ):
        if isinstance(came, FilmError):
            unreadable.append(came)
            continue
        good.append(index)
        pixels.append(came[0])
        ratios.append(came[1])
    require_readable(films, len(good), unreadable)
    report_skipped(unreadable)
    return measured(films.subset(good), pixels, ratios, aspects)


def measured(
    films: Dataset, pixels: Sequence[Pixels], ratios: Sequence[float], aspects: Mapping[str, float] | None = None
) -> Squares:
    """Measure the acquisition of films that are squares already.

    Args:
        films: n, all readable.
        pixels: n squares, uint8 (SIDE, SIDE) or (SIDE, SIDE, 3), stretched.
        ratios: width over height of each as stored.
        aspects: file stem -> true width over height, of films stored as squares.

    Raises:
        UsageError: a task with several findings.
    """
    _require_one_class_each(films)
    stems = [Path(record.name).stem for record in films.samples]
    known = [
        ratio if ratio != 1.0 else (aspects or {}).get(stem, np.nan) for stem, ratio in zip(stems, ratios, strict=True)
    ]
    work = track(zip(pixels, known, strict=True), "measuring acquisition", total=len(films))
    found = tuple(
        acquisition(square, _drawn_aspect(films, index) if np.isnan(true) else true)
        for index, (square, true) in enumerate(work)
    )
    return Squares(films, np.stack(pixels), found, np.array(ratios), np.array(known))


def known_aspects(folder: Path) -> dict[str, float]:
    """File stem -> width over height of the films at `folder`, the same films with their true aspect."""
    films = read_dataset(folder)
    stems = [Path(record.name).stem for record in films.samples]
    found = track(decode_each(films, lambda film: film.width / film.height), "measuring aspects", total=len(films))
    return {stem: ratio for stem, ratio in zip(stems, found, strict=True) if not isinstance(ratio, FilmError)}


def draws(name: str, seed: int) -> np.random.Generator:
    """The random generator of one film, from its name and the seed."""
    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])])


def donor_pools(films: Dataset, whose: Whose) -> dict[int, NDArray[np.int64]]:
    """Class of a film -> indices of its possible donors.

    Raises:
        SourceError: a class has no film.
    """
    films.require_trainable()
    labels = films.label_array()
    alike = labels == np.arange(len(films.labels))[:, None]
    among = {"other": ~alike, "same": alike, "any": np.ones_like(alike)}[whose]
    return {own: np.flatnonzero(donors) for own, donors in enumerate(among)}


def as_another(
    squares: Squares, index: int, donors: NDArray[np.int64], parts: Sequence[str], rng: np.random.Generator
) -> Pixels:
    """The film at `index` as if it had been acquired like one of `donors`, drawn by `rng`: uint8, of the same shape."""
    donor = squares.acquisitions[int(rng.choice(donors))]
    return reacquire(squares.pixels[index], squares.acquisitions[index], donor, parts, rng)


def require_two_classes(films: Dataset, doing: str) -> None:
    """Raises UsageError, which says that `doing` needs two classes."""
    if films.task != "binary":
        raise UsageError(f"{doing} needs two classes, received a {films.task} task of {len(films.labels)}")


def _require_one_class_each(films: Dataset) -> None:
    if films.task == "multilabel":
        raise UsageError("re-acquiring needs films of one class each, received a multilabel task")


def _square(channels: int, film: Film) -> tuple[Pixels, float]:
    return Preprocess(SIDE, channels=channels)(film), film.width / film.height


def _drawn_aspect(films: Dataset, index: int) -> float:
    """Width over height drawn from films of the same class, where those are known; else 1."""
    record = films.samples[index]
    assert isinstance(record.label, int)
    label = films.labels[record.label].lower()
    if films.source != "kermany" or label not in ASPECTS:
        return 1.0
    return float(np.interp(draws(record.name, 0).uniform(), SHARES, ASPECTS[label]))
