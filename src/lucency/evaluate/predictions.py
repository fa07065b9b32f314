"""A reader's outputs for labelled films, in memory and as predictions.csv; and their calls, by threshold or by costs.

Where errors have costs, the class of least expected cost is called, in place of the most probable one:

    expected cost of calling j = sum over i of P(i) · cost(true i, called j)        Elkan 2001, The foundations of
                                                                                    cost-sensitive learning, eq. 1
    expected cost of referring = sum over i of P(i) · refer(true i)

A film is referred where that costs less than any call.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lucency.arrays import Bools, Floats, Ints
from lucency.errors import SourceError, UsageError
from lucency.tables import read_table

REFER = "refer"
"""The column of what referring costs."""
MAX_BYTES = 1 << 20
MAX_COST = 1e9


class Costs(Protocol):
    """What the functions below need: the table of a card."""

    @property
    def called(self) -> tuple[tuple[float, ...], ...]:
        """K rows, true, of k costs, called."""

    @property
    def refer(self) -> tuple[float, ...]:
        """K costs of referring a film of each class; empty: costs refer none."""


def expected_costs(costs: Costs, probabilities: NDArray[np.floating]) -> Floats:
    """Probabilities (n, k) → the expected cost of calling each class, float64 (n, k)."""
    return np.asarray(np.asarray(probabilities, dtype=np.float64) @ np.array(costs.called))


def least_cost(costs: Costs, probabilities: NDArray[np.floating]) -> Ints:
    """The class of least expected cost, (n,); the first of equals."""
    return np.asarray(expected_costs(costs, probabilities).argmin(axis=1), dtype=np.int64)


def refers(costs: Costs, probabilities: NDArray[np.floating]) -> Bools:
    """Whether referring costs less than any call, (n,)."""
    if not costs.refer:
        return np.zeros(len(probabilities), dtype=np.bool_)
    referring = np.asarray(probabilities, dtype=np.float64) @ np.array(costs.refer)
    return np.asarray(referring < expected_costs(costs, probabilities).min(axis=1))


def costs_paid(costs: Costs, labels: Ints, called: Ints, answered: Bools | None) -> Floats:
    """What each film cost, (n,): of its call, or of referring it where that has a cost and it was not answered."""
    paid = np.array(costs.called)[labels, called]
    if answered is None or not costs.refer:
        return np.asarray(paid)
    return np.where(answered, paid, np.array(costs.refer)[labels])


def read_costs(path: Path, labels: tuple[str, ...]) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]:
    """Costs in a CSV file: a row for each true class, a column for each called one, and perhaps `refer`.

        true,nv,mel,refer
        nv,0,1,0.5
        mel,20,0,2

    Returns:
        The k × k costs in the order of `labels`, and the k of referring, or none.

    Raises:
        UsageError: a class is missing or unknown, or a cost is no number from 0 to 1e9.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.reader(stream.read(MAX_BYTES).splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: expected costs as CSV, cannot read it ({error})") from error
    head = [name.strip().casefold() for name in rows[0][1:]] if rows else []
    table = {row[0].strip().casefold(): [cell.strip() for cell in row[1:]] for row in rows[1:] if any(row)}
    wanted = [label.casefold() for label in labels]
    known = [*wanted, REFER] if REFER in head else wanted
    whole = sorted(head) == sorted(known) and sorted(table) == sorted(wanted)
    if not whole or any(len(row) != len(head) for row in table.values()):
        raise UsageError(f"{path}: expected a row and a column for each of {', '.join(labels)}, and perhaps '{REFER}'")
    ordered = [[_cost(path, table[true][head.index(called)]) for called in known] for true in wanted]
    called = tuple(tuple(row[: len(labels)]) for row in ordered)
    return called, tuple(row[-1] for row in ordered) if REFER in head else ()


def _cost(path: Path, text: str) -> float:
    try:
        cost = float(text)
    except ValueError:
        cost = math.nan
    if not 0 <= cost <= MAX_COST:
        raise UsageError(f"{path}: expected a cost from 0 to {MAX_COST:g}, received '{text}'")
    return cost


Task = Literal["binary", "multiclass", "multilabel"]
PerFinding = float | tuple[float, ...]
"""A threshold or figure: one number, or one for each finding of a multilabel task."""
UNCERTAIN = "uncertain"
"""The verdict of a film that the reader refers to a person."""
FILM_COLUMNS = ("file", "patient", "label")
CALL_COLUMNS = ("called", "verdict")
SEPARATOR = "|"
"""Between the labels of a film that may have several."""


@dataclass(frozen=True)
class Predictions:
    """n films, their true labels and a reader's outputs.

    Raises:
        SourceError: the lengths differ, a label is out of range, or an output is not a finite number.
    """

    names: tuple[str, ...]
    """Each film's name, unique."""
    patients: tuple[str | None, ...]
    """None where unknown."""
    labels: Ints
    """int64 (n,), indices into `label_names`; (n, labels) of 0 and 1 for a multilabel task."""
    logits: Floats
    """float64 (n, f), before calibration. f is 1 for a binary task."""
    probabilities: Floats
    """float64 (n, f), after calibration; of the positive label for a binary task."""
    label_names: tuple[str, ...]
    """(negative, positive) for a binary task."""
    task: Task = "binary"
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further facts per film, for subgroups."""
    answered: Bools | None = None
    """(n,), whether the reader answers; elsewhere its verdict is `uncertain`. None: it answers every film."""
    costs: Costs | None = None
    """Of a multiclass task: the class of least expected cost is called. None: the most probable one."""

    def __post_init__(self) -> None:
        n, f = len(self.names), 1 if self.task == "binary" else len(self.label_names)
        shapes = {
            "patients": (len(self.patients), n),
            "labels": (self.labels.shape, (n, f) if self.task == "multilabel" else (n,)),
            "logits": (self.logits.shape, (n, f)),
            "probabilities": (self.probabilities.shape, (n, f)),
            "answered": ((n,) if self.answered is None else self.answered.shape, (n,)),
            **{f"column {name!r}": (len(values), n) for name, values in self.columns.items()},
        }
        for what, (came, expected) in shapes.items():
            if came != expected:
                raise SourceError(f"predictions of {n} films: expected {what} of shape {expected}, received {came}")
        self._check_values()

    def _check_values(self) -> None:
        highest = 1 if self.task == "multilabel" else len(self.label_names) - 1
        if self.labels.size and not (self.labels.min() >= 0 and self.labels.max() <= highest):
            raise SourceError(
                f"predictions: expected labels 0 to {highest}, received {np.unique(self.labels).tolist()}"
            )
        bad = ~(np.isfinite(self.logits) & np.isfinite(self.probabilities)).all(axis=1)
        if bad.any():
            first = self.names[int(np.argmax(bad))]
            raise SourceError(f"{first}: the reader's output is not a finite number ({bad.sum()} such films)")
        outside = (self.probabilities < 0) | (self.probabilities > 1)
        if outside.any():
            raise SourceError(
                f"predictions: expected probabilities from 0 to 1, received {self.probabilities[outside][0]}"
            )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def patients_known(self) -> bool:
        """Whether every film names its patient."""
        return None not in self.patients

    def groups(self) -> Ints:
        """int64 (n,) from 0 without gaps, one number per patient; a film of an unknown patient has its own."""
        both = zip(self.names, self.patients, strict=True)
        keys = [name if patient is None else ("patient", patient) for name, patient in both]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        return np.array([numbers[key] for key in keys], dtype=np.int64)

    def pick(self, indices: Sequence[int] | Ints | Bools) -> Predictions:
        """The films at `indices` (or where a bool mask is true), in that order."""
        chosen = np.arange(len(self))[np.asarray(indices, dtype=None if len(indices) else np.int64)]
        return replace(
            self,
            names=tuple(self.names[i] for i in chosen),
            patients=tuple(self.patients[i] for i in chosen),
            labels=self.labels[chosen],
            logits=self.logits[chosen],
            probabilities=self.probabilities[chosen],
            columns={name: tuple(values[i] for i in chosen) for name, values in self.columns.items()},
            answered=None if self.answered is None else self.answered[chosen],
        )

    def finding(self, index: int) -> Predictions:
        """One finding of a multilabel task, as a binary task."""
        name, own = self.label_names[index], slice(index, index + 1)
        return replace(
            self,
            labels=self.labels[:, index],
            logits=self.logits[:, own],
            probabilities=self.probabilities[:, own],
            label_names=(f"no {name}", name),
            task="binary",
        )

    def called(self, threshold: PerFinding = 0.5) -> Ints:
        """The label called for each film, answered or not: int64, as `labels`; of several classes the most probable,
        or the one of least expected cost.
        """
        if self.costs is not None:
            return least_cost(self.costs, self.probabilities)
        if self.task == "multiclass":
            best: Ints = self.probabilities.argmax(axis=1).astype(np.int64)
            return best
        called: Ints = (self.probabilities >= np.asarray(threshold)).astype(np.int64)
        return called if self.task == "multilabel" else called[:, 0]

    def names_of(self, labels: Ints) -> list[str]:
        """`labels`, shaped as `self.labels`, by name."""
        if self.task == "multilabel":
            return [
                SEPARATOR.join(name for name, on in zip(self.label_names, row, strict=True) if on) for row in labels
            ]
        return [self.label_names[index] for index in labels]

    def to_csv(self, threshold: PerFinding = 0.5) -> str:
        """One line per film: file, patient, label, logit, probability, called, verdict, then further facts.

        `called` is the label at the threshold; `verdict` is the same, or `uncertain`. Several labels have a
        `logit NAME` and `probability NAME` each. Numbers are read back exactly.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        logits, probabilities = output_columns(self.task, self.label_names)
        ours = [*FILM_COLUMNS, *logits, *probabilities, *CALL_COLUMNS]
        writer.writerow([*ours, *(f"{name} (source)" if name in ours else name for name in self.columns)])
        truths, called = self.names_of(self.labels), self.names_of(self.called(threshold))
        for i, name in enumerate(self.names):
            numbers = [repr(float(value)) for value in (*self.logits[i], *self.probabilities[i])]
            facts = [values[i] for values in self.columns.values()]
            verdict = called[i] if self.answered is None or self.answered[i] else UNCERTAIN
            writer.writerow([name, self.patients[i] or "", truths[i], *numbers, called[i], verdict, *facts])
        return text.getvalue()


def patient_words(patients: int | None) -> str:
    """How many patients there are; None where not every film names its own."""
    return "patients not all known" if patients is None else f"{patients:,} patients"


def threshold_words(threshold: PerFinding, label_names: Sequence[str]) -> str:
    """`0.5`, or of several findings `edema 0.31, mass 0.5`."""
    if not isinstance(threshold, tuple):
        return f"{threshold:.4g}"
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(label_names, threshold, strict=True))


def concatenate(parts: Sequence[Predictions]) -> Predictions:
    """The films of several predictions, one after another, with the columns that all of them have.

    Raises:
        SourceError: their labels or tasks differ, or there is none.
    """
    kinds = {(part.label_names, part.task) for part in parts}
    if len(kinds) != 1:
        raise SourceError(
            f"predictions to concatenate: expected the same labels in each, received {sorted(map(str, kinds))}"
        )
    shared = [name for name in parts[0].columns if all(name in part.columns for part in parts)]
    return replace(
        parts[0],
        names=tuple(name for part in parts for name in part.names),
        patients=tuple(patient for part in parts for patient in part.patients),
        labels=np.concatenate([part.labels for part in parts]),
        logits=np.concatenate([part.logits for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        columns={name: tuple(value for part in parts for value in part.columns[name]) for name in shared},
        answered=_concatenate_answered([(len(part), part.answered) for part in parts]),
    )


def _concatenate_answered(parts: Sequence[tuple[int, Bools | None]]) -> Bools | None:
    if all(answered is None for _, answered in parts):
        return None
    return np.concatenate([np.ones(n, dtype=np.bool_) if answered is None else answered for n, answered in parts])


def output_columns(task: Task, label_names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of the logit columns and of the probability columns."""
    if task == "binary":
        return ["logit"], ["probability"]
    return [f"logit {name}" for name in label_names], [f"probability {name}" for name in label_names]


def read_predictions(path: Path, label_names: Sequence[str], task: Task = "binary") -> Predictions:
    """Predictions from a `predictions.csv`, ours or anyone's with the same columns.

    Raises:
        SourceError: the file cannot be read, lacks a column, or holds a label or number that makes no sense.
    """
    logits, probabilities = output_columns(task, label_names)
    needed = [*FILM_COLUMNS, *logits, *probabilities]
    try:
        rows = list(read_table(path, [*needed, *CALL_COLUMNS], needed))
    except OSError as error:
        raise SourceError(f"{path}: expected a predictions.csv, but it cannot be read ({error})") from error
    if not rows:
        raise SourceError(f"{path}: expected predictions, found a header alone")
    rest = [name for name in rows[0] if name and name not in {*needed, *CALL_COLUMNS}]
    return Predictions(
        names=tuple(row["file"] for row in rows),
        patients=tuple(row["patient"] or None for row in rows),
        labels=_labels(path, [row["label"] for row in rows], tuple(label_names), task),
        logits=_numbers(path, rows, logits),
        probabilities=_numbers(path, rows, probabilities),
        label_names=tuple(label_names),
        task=task,
        columns={name: tuple(row[name] for row in rows) for name in rest},
        answered=_answered(rows),
    )


def _answered(rows: list[dict[str, str]]) -> Bools | None:
    answered = np.array([row.get("verdict") != UNCERTAIN for row in rows], dtype=np.bool_)
    return None if answered.all() else answered


def _labels(path: Path, words: list[str], names: tuple[str, ...], task: Task) -> Ints:
    places = {name.casefold(): index for index, name in enumerate(names)}
    sets = [[part.strip().casefold() for part in text.split(SEPARATOR) if part.strip()] for text in words]
    written = {part.strip() for text in words for part in text.split(SEPARATOR)} - {""}
    unknown = sorted(word for word in written if word.casefold() not in places)
    if unknown or (task != "multilabel" and any(len(text) != 1 for text in sets)):
        found = ", ".join(unknown) or "a film without one label"
        raise SourceError(f"{path}: expected the labels {', '.join(names)}, received {found}")
    if task == "multilabel":
        return np.array([[int(name in text) for name in places] for text in sets], dtype=np.int64)
    return np.array([places[text[0]] for text in sets], dtype=np.int64)


def _numbers(path: Path, rows: list[dict[str, str]], columns: list[str]) -> Floats:
    try:
        return np.array([[float(row[name].replace(",", ".")) for name in columns] for row in rows], dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise SourceError(f"{path}: expected a number in {', '.join(columns)} of every line ({error})") from error


def class_weights(predictions: Predictions) -> Floats:
    """Weights by which each class counts alike, (n,), with the mean 1.

    Raises:
        UsageError: not exactly one of several classes.
    """
    if predictions.task != "multiclass":
        raise UsageError(
            f"classes weigh the same only where one of several is called, not for a {predictions.task} task"
        )
    counts = np.bincount(predictions.labels)
    return np.asarray(len(predictions) / (np.count_nonzero(counts) * counts[predictions.labels]))
