"""A film of a data set, the data set, what a source states of its films; and its films decoded, as squares."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from lucency.data.labels import fold
from lucency.errors import FILMS_MISSING, FilmError, SourceError, UsageError
from lucency.files import sha256_bytes, sha256_file
from lucency.film import Film
from lucency.modality import MODALITIES
from lucency.prefetch import prefetch
from lucency.preprocess import Preprocess
from lucency.progress import track
from lucency.recipe import DataSettings

Task = Literal["binary", "multiclass", "multilabel"]
"""binary: one finding, one sigmoid. multiclass: exactly one of several. multilabel: any number of several."""

LEFT_OUT = {
    "no_label": "without a label",
    "missing_file": "not found on disk",
    "broken_link": "behind a broken link",
    "not_regular": "behind a pipe, socket or device",
    "in_subfolder": "in a folder inside a class folder",
    "beside_classes": "beside the class folders",
    "beside_splits": "beside the split folders",
    "other_suffix": "with an unknown suffix",
    "other_class": "of another class",
    "not_dicom": "without a DICOM image",
}
"""Why a film of the data is left out: code and words."""
NO_FILMS = {
    "system_file": "of an operating system",
    "other_file": "of another kind",
    "localizer": "that show where slices lie (localizers)",
    "folder_again": "in folders linked twice",
}
"""Why something else is left out; it counts as no film."""
TOLERATED = 0.1
"""Share of the films that may be left out unless the user allows more."""


@dataclass(frozen=True)
class Sample:
    """One film with what is known of it. Nothing is decoded until `load` is called."""

    name: str
    """Unique within the source and stable between runs: the path below the root, with forward slashes."""
    label: int | tuple[int, ...]
    """Index into `Dataset.labels`; for multilabel, one 0 or 1 per label."""
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

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the film's file, or of its pixels where it has no file of its own. Computed once."""
        if self.path is not None:
            return sha256_file(self.path)
        film = self.load()
        pixels = film.pixels if film.colour is None else film.colour
        return sha256_bytes(repr((pixels.shape, pixels.dtype.str)).encode() + pixels.tobytes())


@dataclass(frozen=True)
class SourceInfo:
    """What a source states of its films, and how they are read: a row of SOURCES.

    Facts that a source cannot know, because the user brings the films, are empty.
    """

    name: str
    """Its row in SOURCES."""
    read: Callable[[Path], Dataset]
    """Lists the films below a root; decodes none."""
    recognises: Callable[[Path], bool]
    """Whether a root looks like this source, by names and first bytes alone."""
    patients_known: bool
    """Whether the source can tell which films show the same patient."""
    population: str = ""
    ages: tuple[int, int] | None = None
    """Youngest and oldest, in whole years."""
    labelled_by: str = ""
    """Who gave the labels."""
    counts: str = ""
    """How many films, by split and class."""
    citation: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Dataset:
    """A data set: its labels and its records in a stable order."""

    labels: tuple[str, ...]
    """Names of the classes; for a binary task (negative, positive)."""
    samples: tuple[Sample, ...]
    task: Task = "binary"
    source: str = ""
    """Which row of SOURCES read it."""
    warnings: tuple[str, ...] = ()
    """What the source found odd, and what it left out, in words."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many films and files were left out, by a code of LEFT_OUT or NO_FILMS."""
    found: int = 0
    """Films that the source found, whatever part of them this is."""
    finding: str | None = None
    """The label that the user named as the finding."""

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def patients_known(self) -> bool:
        """Whether every film names its patient."""
        return all(sample.patient is not None for sample in self.samples)

    def require_complete(self) -> None:
        """Refuse a data set of which more than a tenth of the films was left out. Raises SourceError."""
        require_complete(self.found, self.left_out)

    def with_split(self, split: str) -> Dataset:
        """The films that the source places in `split`."""
        return self.subset([i for i, sample in enumerate(self.samples) if sample.split == split])

    def subset(self, indices: list[int] | NDArray[np.int64]) -> Dataset:
        """The films at `indices`, in that order."""
        return replace(self, samples=tuple(self.samples[i] for i in indices))

    def with_labels(self, labels: tuple[str, ...], places: list[int]) -> Dataset:
        """The same films under another list of labels: label number i becomes number `places[i]` of `labels`."""
        if labels == self.labels and places == list(range(len(labels))):
            return self

        def moved(label: int | tuple[int, ...]) -> int | tuple[int, ...]:
            if isinstance(label, int):
                return places[label]
            shown = {places[index] for index, on in enumerate(label) if on}
            return tuple(int(index in shown) for index in range(len(labels)))

        samples = tuple(replace(sample, label=moved(sample.label)) for sample in self.samples)
        return replace(self, labels=labels, samples=samples)

    def label_array(self) -> NDArray[np.int64]:
        """int64 (n,) class indices, or (n, labels) of 0 and 1 for a multilabel task."""
        return np.array([sample.label for sample in self.samples], dtype=np.int64)

    def groups(self) -> NDArray[np.int64]:
        """int64 (n,): films with the same number show the same patient; an unknown patient stands alone."""
        keys = [sample.patient or f"\0{sample.name}" for sample in self.samples]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        return np.array([numbers[key] for key in keys], dtype=np.int64)

    def with_finding(self, finding: str) -> Dataset:
        """The same films, `finding` the positive one of their two labels; of several, it against all others.

        Raises:
            UsageError: no label is called so.
        """
        names = [fold(label) for label in self.labels]
        if fold(finding) not in names:
            raise UsageError(f"--finding {finding}: expected one of the labels {', '.join(self.labels)}")
        index = names.index(fold(finding))
        label = self.labels[index]
        if self.task == "binary" and len(self.labels) == 2:
            places = [0, 1] if index else [1, 0]
            return replace(self.with_labels((self.labels[1 - index], label), places), finding=label)
        shown = [one.label == index if isinstance(one.label, int) else one.label[index] for one in self.samples]
        samples = tuple(replace(one, label=int(is_it)) for one, is_it in zip(self.samples, shown, strict=True))
        return replace(self, labels=(f"no {label}", label), samples=samples, task="binary", finding=label)

    def class_counts(self) -> dict[str, int]:
        """Films per label, in label order."""
        if self.task == "multilabel":
            sums = self.label_array().reshape(len(self), len(self.labels)).sum(axis=0)
            return dict(zip(self.labels, map(int, sums), strict=True))
        tally = Counter(sample.label for sample in self.samples)
        return {name: tally[index] for index, name in enumerate(self.labels)}

    def require_trainable(self) -> None:
        """Refuse what no classifier can be fitted to.

        Raises:
            SourceError: no film, one class only, or a class with a single patient.
        """
        if not self.samples:
            raise SourceError(
                f"{self.source}: expected films of {' and '.join(self.labels) or 'two classes'}, found none"
            )
        if self.task == "multilabel":
            return
        for index, name in enumerate(self.labels):
            patients = {sample.patient or sample.name for sample in self.samples if sample.label == index}
            if len(patients) < 2:
                found = "no film" if not patients else "a single patient"
                raise SourceError(
                    f"{self.source}: class '{name}' has {found}; learning needs at least two patients a class"
                )


def require_complete(found: int, left_out: Mapping[str, int]) -> None:
    """Refuse films of which more than a tenth was left out.

    Raises:
        SourceError: with the reasons; its code is FILMS_MISSING.
    """
    reasons = {why: left_out[why] for why in LEFT_OUT if left_out.get(why)}
    missing = sum(reasons.values())
    if missing > TOLERATED * (missing + found):
        said = ", ".join(f"{count} {LEFT_OUT[why]}" for why, count in reasons.items())
        raise SourceError(
            f"{missing} of {missing + found} films are left out: {said}; mend the data, or add --allow-missing",
            code=FILMS_MISSING,
        )


def describe_left_out(left_out: Mapping[str, int]) -> tuple[str, ...]:
    """A line for each reason."""
    words = LEFT_OUT | NO_FILMS
    counts = {why: left_out[why] for why in words if left_out.get(why)}
    kinds = {why: ("film" if why in LEFT_OUT else "file") + "s" * (count > 1) for why, count in counts.items()}
    return tuple(f"left out {count} {kinds[why]} {words[why]}" for why, count in counts.items())


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
