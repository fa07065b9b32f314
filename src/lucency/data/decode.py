"""Films decoded once and held in memory, ready to become the network's squares."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lucency.data.dataset import Dataset, Sample
from lucency.errors import FilmError, SourceError
from lucency.film import Film
from lucency.modality import MODALITIES
from lucency.prefetch import prefetch
from lucency.preprocess import Preprocess
from lucency.progress import track
from lucency.recipe import DataSettings

Pixels = NDArray[np.uint8]
Prepared = TypeVar("Prepared")

DECODERS = 2
"""Threads that decode: Pillow lets go of the interpreter while it works."""
IN_FLIGHT = 64
"""Films decoded ahead of their use, at most, so that memory stays bounded."""
SHOWN = 10
"""Films named when many cannot be read."""


@dataclass(frozen=True)
class Decoded:
    """The readable films of a data set, their pixels, and the errors of the others."""

    films: Dataset
    """The readable films, in order."""
    pixels: tuple[Pixels, ...]
    """One uint8 array a readable film."""
    unreadable: tuple[FilmError, ...]
    """One error per skipped film."""


def preprocess_of(settings: DataSettings) -> Preprocess:
    """The preprocessing that a recipe's [data] table describes."""
    return Preprocess(settings.image_size, settings.resize_mode, MODALITIES[settings.modality].channels)


def decode_squares(films: Dataset, preprocess: Preprocess) -> Decoded:
    """Decode every film to the square the network sees, uint8 (side, side), in colour (side, side, 3).

    Raises:
        SourceError: no film at all can be read.
    """
    pixels, good, unreadable = [], [], []
    for index, outcome in enumerate(track(decode_each(films, preprocess), "decoding films", total=len(films))):
        if isinstance(outcome, FilmError):
            unreadable.append(outcome)
        else:
            good.append(index)
            pixels.append(outcome)
    require_readable(films, len(good), unreadable)
    return Decoded(films.subset(good), tuple(pixels), tuple(unreadable))


def decode_each(films: Dataset, prepare: Callable[[Film], Prepared]) -> Iterator[Prepared | FilmError]:
    """Decode and prepare films on threads, in order; a film that cannot be read yields its error and costs no other."""

    def attempt(record: Sample) -> Prepared | FilmError:
        try:
            return prepare(record.load())
        except FilmError as error:
            return error

    return prefetch(attempt, films.samples, DECODERS, IN_FLIGHT)


def readable_batches(
    films: Dataset, prepare: Callable[[Film], Prepared], size: int, doing: str, unreadable: list[FilmError]
) -> Iterator[tuple[list[int], list[Prepared]]]:
    """Indices and prepared films of the readable ones of each `size` films; errors of the others go to `unreadable`.

    Raises:
        SourceError: after the last film, if none can be read.
    """
    outcomes = enumerate(track(decode_each(films, prepare), doing, total=len(films)))
    readable = 0
    while batch := list(islice(outcomes, size)):
        unreadable += [outcome for _, outcome in batch if isinstance(outcome, FilmError)]
        good = [(index, outcome) for index, outcome in batch if not isinstance(outcome, FilmError)]
        readable += len(good)
        if good:
            yield [index for index, _ in good], [outcome for _, outcome in good]
    require_readable(films, readable, unreadable)


def require_readable(films: Dataset, readable: int, unreadable: list[FilmError]) -> None:
    """Refuse a data set of which no film can be read, quoting the first reason.

    Raises:
        SourceError: `readable` is 0.
    """
    if not readable:
        first = f"; the first: {unreadable[0]}" if unreadable else ""
        raise SourceError(f"{films.source}: expected readable films, none of {len(films)} could be read{first}")


def report_skipped(errors: Sequence[FilmError]) -> None:
    """Print to stderr which films were skipped: the first ten, and how many."""
    for error in errors[:SHOWN]:
        print(f"skipped: {error}", file=sys.stderr)
    if len(errors) > SHOWN:
        print(f"skipped: {len(errors)} films in all; the first {SHOWN} are named", file=sys.stderr)
