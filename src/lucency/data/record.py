"""One film of a data set, and the data set: what every source yields and everything downstream takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lucency.errors import SourceError
from lucency.files import sha256_bytes, sha256_file
from lucency.film import Film

Task = Literal["binary", "multiclass", "multilabel"]
"""binary: one finding, one sigmoid. multiclass: exactly one of several. multilabel: any number of several."""


@dataclass(frozen=True)
class Record:
    """One film with what is known of it. Nothing is decoded until `load` is called."""

    name: str
    """Unique within the source and stable between runs: the path below the root, with forward slashes."""
    label: int | tuple[int, ...]
    """Index into `Films.labels`; for multilabel, one 0 or 1 per label."""
    load: Callable[[], Film]
    """Decodes the film; raises FilmError. Can be pickled."""
    patient: str | None = None
    """Who is on the film, or None where the source cannot know."""
    split: str | None = None
    """"train", "val" or "test" where the source states it."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Further facts for subgroups: finer label, age, sex, view…"""
    path: Path | None = None
    """The film's own file, where it has one."""
    mask: Callable[[], NDArray[np.bool_]] | None = None
    """Draws where the lesion is, bool (h, w) at the film's own size, where the source knows."""

    def content(self) -> str:
        """SHA-256 of the film's file, or of its pixels where it has no file of its own."""
        if self.path is not None:
            return sha256_file(self.path)
        film = self.load()
        return sha256_bytes(repr((film.pixels.shape, film.pixels.dtype.str)).encode() + film.pixels.tobytes())


@dataclass(frozen=True)
class Films:
    """A data set: its labels and its records in a stable order."""

    labels: tuple[str, ...]
    """Names of the classes; for a binary task (negative, positive)."""
    records: tuple[Record, ...]
    task: Task = "binary"
    source: str = ""
    """Which row of SOURCES read it."""
    warnings: tuple[str, ...] = ()
    """What the source met and went on past: stray files, records without a label."""

    def __len__(self) -> int:
        return len(self.records)

    @property
    def patients_known(self) -> bool:
        """Whether every film names its patient."""
        return all(record.patient is not None for record in self.records)

    def having_split(self, split: str) -> Films:
        """The films that the source places in `split`."""
        return self.pick([i for i, record in enumerate(self.records) if record.split == split])

    def pick(self, indices: list[int] | NDArray[np.int64]) -> Films:
        """The films at `indices`, in that order."""
        return replace(self, records=tuple(self.records[i] for i in indices))

    def relabelled(self, labels: tuple[str, ...], places: list[int]) -> Films:
        """The same films under another list of labels: label number i becomes number `places[i]` of `labels`."""
        if labels == self.labels and places == list(range(len(labels))):
            return self

        def moved(label: int | tuple[int, ...]) -> int | tuple[int, ...]:
            if isinstance(label, int):
                return places[label]
            shown = {places[index] for index, on in enumerate(label) if on}
            return tuple(int(index in shown) for index in range(len(labels)))

        records = tuple(replace(record, label=moved(record.label)) for record in self.records)
        return replace(self, labels=labels, records=records)

    def label_array(self) -> NDArray[np.int64]:
        """int64 (n,) class indices, or (n, labels) of 0 and 1 for a multilabel task."""
        return np.array([record.label for record in self.records], dtype=np.int64)

    def groups(self) -> NDArray[np.int64]:
        """int64 (n,): films with the same number show the same patient; an unknown patient stands alone."""
        keys = [record.patient or f"\0{record.name}" for record in self.records]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        return np.array([numbers[key] for key in keys], dtype=np.int64)

    def counts(self) -> dict[str, int]:
        """Films per label, in label order."""
        if self.task == "multilabel":
            sums = self.label_array().reshape(len(self), len(self.labels)).sum(axis=0)
            return dict(zip(self.labels, map(int, sums), strict=True))
        tally = Counter(record.label for record in self.records)
        return {name: tally[index] for index, name in enumerate(self.labels)}

    def require_learnable(self) -> None:
        """Refuse what no classifier can be fitted to.

        Raises:
            SourceError: no film, one class only, or a class with a single patient.
        """
        if not self.records:
            raise SourceError(
                f"{self.source}: expected films of {' and '.join(self.labels) or 'two classes'}, found none"
            )
        if self.task == "multilabel":
            return
        for index, name in enumerate(self.labels):
            patients = {record.patient or record.name for record in self.records if record.label == index}
            if len(patients) < 2:
                found = "no film" if not patients else "a single patient"
                raise SourceError(
                    f"{self.source}: class '{name}' has {found}; learning needs at least two patients a class"
                )
