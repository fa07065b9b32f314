"""The films that a map is judged on: those with the finding, with their lesion where the data know it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lucency.data.record import Films, Record
from lucency.data.squares import attempts, require_some
from lucency.errors import FilmError, SourceError
from lucency.explain.faith.place import Mask
from lucency.film import Film
from lucency.preprocess import Preprocess, fitted, resized
from lucency.progress import track

Gray = NDArray[np.uint8]
Lungs = Callable[[Gray], Mask]
"""A film's square uint8 (s, s) → where its lungs are, bool (s, s)."""


@dataclass(frozen=True)
class Case:
    """One film with the finding, as the network sees it. All arrays (s, s)."""

    name: str
    gray: Gray
    group: int
    """The same number for films of one patient."""
    lesion: Mask | None
    """None where the data do not say, or where nothing of it lies in what the network sees."""
    lungs: Mask


@dataclass(frozen=True)
class Cases:
    """What is judged, and what could not be read."""

    films: tuple[Case, ...]
    unreadable: tuple[FilmError, ...] = ()

    @property
    def groups(self) -> NDArray[np.int64]:
        """int64 (n,), numbered from 0 without gaps."""
        return np.unique([case.group for case in self.films], return_inverse=True)[1].astype(np.int64)

    @property
    def squares(self) -> Gray:
        """uint8 (n, s, s)."""
        return np.stack([case.gray for case in self.films])


def gather(films: Films, preprocess: Preprocess, lungs: Lungs, finding: int, most: int, seed: int = 0) -> Cases:
    """The films that have the finding, at most `most`, drawn at random; films with a known lesion come first.

    Args:
        films: labelled as the reader labels them.
        preprocess: how the reader sees them.
        lungs: finds the lungs.
        finding: which logit.
        most: how many films; 0 takes all.
        seed: of the draw.

    Raises:
        SourceError: no film has the finding, or none of them can be read.
    """
    chosen = _with_finding(films, finding, most, seed)

    def prepare(film: Film) -> Gray:
        return preprocess(film)

    made: list[Case] = []
    unreadable: list[FilmError] = []
    groups = chosen.groups()
    outcomes = track(attempts(chosen, prepare), "finding lungs and lesions", total=len(chosen))
    for record, group, gray in zip(chosen.records, groups, outcomes, strict=True):
        if isinstance(gray, FilmError):
            unreadable.append(gray)
        else:
            made.append(Case(record.name, gray, int(group), _lesion(record, preprocess), lungs(gray)))
    require_some(chosen, len(made), unreadable)
    return Cases(tuple(made), tuple(unreadable))


def squared(mask: Mask, preprocess: Preprocess) -> Mask:
    """A mask at the film's own size as the network would see it: where at least half of a pixel's area is in it."""
    gray = mask.astype(np.uint8) * np.uint8(255)
    return np.asarray(resized(fitted(gray, preprocess.fit), preprocess.side) >= 128)


def _lesion(record: Record, preprocess: Preprocess) -> Mask | None:
    if record.mask is None:
        return None
    mask = squared(record.mask(), preprocess)
    return mask if mask.any() else None


def _with_finding(films: Films, finding: int, most: int, seed: int) -> Films:
    labels = films.label_array()
    if films.task == "multilabel":
        has = labels[:, finding] == 1
    else:
        has = labels == (1 if films.task == "binary" else finding)
    where = np.flatnonzero(has)
    if not len(where):
        raise SourceError(f"{films.source}: expected films with the finding to judge maps on, found none")
    if most and len(where) > most:
        drawn = np.random.default_rng(seed).permutation(where)
        known = np.array([films.records[index].mask is not None for index in drawn])
        where = np.sort(drawn[np.argsort(~known, kind="stable")][:most])
    return films.pick(where.astype(np.int64))
