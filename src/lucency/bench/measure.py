"""Latency by stage and films per second of several bundles, measured in turns on the same films."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lucency.film import open_film
from lucency.paint import overlay
from lucency.progress import track
from lucency.reader import Reader

STAGES = ("decode", "resize", "infer", "map", "total")
"""File to pixels; pixels to the network's square; the network; its map painted over the film; all four."""
ROUNDS = 3
"""Passes over all films from which the median of films per second is taken."""


@dataclass(frozen=True)
class Spread:
    """What most films take, and what the slowest take, in milliseconds."""

    median: float
    p95: float


@dataclass(frozen=True)
class Pace:
    """A bundle's speed at one number of threads."""

    threads: int
    stages: dict[str, Spread]
    """One film at a time, all threads on it."""
    films_per_second: float
    """Files to verdicts and maps (not painted), films side by side."""


@dataclass(frozen=True)
class Bench:
    """What was measured of one bundle."""

    name: str
    format: str
    quantize: str
    file_mb: float
    """The network's file, in 10^6 bytes."""
    paces: tuple[Pace, ...]


def measure(bundles: Sequence[Path], files: Sequence[Path], threads: Sequence[int]) -> list[Bench]:
    """Measure every bundle at every number of threads, film by film in turns, so that a drifting machine slows all.

    Raises:
        BundleError: a bundle cannot be opened.
        FilmError: a film cannot be read.
    """
    readers = [[Reader.open(bundle, count) for count in threads] for bundle in bundles]
    every = [reader for row in readers for reader in row]
    for reader in every:
        _seconds(reader, files[0])  # the first film pays for what is set up once
    timed: dict[int, list[list[float]]] = {id(reader): [] for reader in every}
    for file in track(files, "timing stages", len(files)):
        for reader in every:
            timed[id(reader)].append(_seconds(reader, file))
    paced = {id(reader): float(np.median(rates)) for reader, rates in zip(every, _rates(every, files), strict=True)}
    return [
        _bench(row[0], [Pace(reader.threads, _spreads(timed[id(reader)]), paced[id(reader)]) for reader in row])
        for row in readers
    ]


def _seconds(reader: Reader, file: Path) -> list[float]:
    """One film through all stages: the seconds of each, and their sum."""
    marks = [time.perf_counter()]
    film = open_film(file)
    marks.append(time.perf_counter())
    square = reader.preprocess(film)
    marks.append(time.perf_counter())
    answers = reader.read_batch(square[None])
    marks.append(time.perf_counter())
    overlay(film, answers.maps[0, 0], reader.preprocess)
    marks.append(time.perf_counter())
    return [*np.diff(marks), marks[-1] - marks[0]]


def _rates(readers: Sequence[Reader], files: Sequence[Path]) -> Iterator[list[float]]:
    """For each reader its films per second in each round; readers take turns within a round."""
    rounds = []
    for _ in track(range(ROUNDS), "timing streams", ROUNDS):
        rounds.append([_rate(reader, files) for reader in readers])
    return (list(rates) for rates in zip(*rounds, strict=True))


def _rate(reader: Reader, files: Sequence[Path]) -> float:
    start = time.perf_counter()
    done = sum(1 for _ in reader.read_many(files))
    return done / (time.perf_counter() - start)


def _spreads(rows: list[list[float]]) -> dict[str, Spread]:
    ms = np.array(rows) * 1000
    middle, high = np.median(ms, axis=0), np.percentile(ms, 95, axis=0)
    return {name: Spread(float(middle[i]), float(high[i])) for i, name in enumerate(STAGES)}


def _bench(reader: Reader, paces: list[Pace]) -> Bench:
    model = reader.card.model
    size = len(reader.bundle.read(model.file)) / 1e6
    return Bench(reader.card.name, model.format, model.quantize, size, tuple(paces))
