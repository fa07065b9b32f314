"""Splits by patient: no patient is ever on two sides, and the same films always split the same way.

Films of a patient whose name is unknown stand alone, each a patient of its own.
Patients are put in order by a hash of their name, so neither the order of the films nor the numpy version matters.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lucency.data.dataset import Dataset, Sample
from lucency.errors import SourceError, UsageError
from lucency.recipe import DataSettings

Indices = NDArray[np.int64]

ENOUGH = 0.02
"""A stated `val` split with a smaller share of the films decides nothing (Kaggle's holds 16): it is learned from."""
SPLIT_SEED = 0
"""Splits stay the same when the training seed changes, so that seeds compare."""


@dataclass(frozen=True)
class Fold:
    """One fold of a cross-validation, counted from 1."""

    number: int
    of: int

    def split(self, films: Dataset) -> tuple[Dataset, Dataset]:
        """The films that the fold's run was given, and those held out from it.

        Raises:
            UsageError: there is no such fold.
            SourceError: a class has fewer patients than there are folds.
        """
        if not 1 <= self.number <= self.of:
            raise UsageError(f"expected a fold from 1 to {self.of}, received {self.number}; see --fold and --folds")
        here = without_test(films)
        rest, held = stratified_group_kfold(here, self.of, SPLIT_SEED)[self.number - 1]
        return here.subset(rest), here.subset(held)


ALL = "all"
"""The split that is every film."""


def choose_split(films: Dataset, split: str | None, data: str) -> tuple[Dataset, str]:
    """The films of one split, and its name.

    Args:
        films: all films.
        split: "train", "val", "test" or "all"; None: the test split where there is one, else all films.
        data: where they come from, for the message.

    Raises:
        SourceError: there is no such split.
    """
    splits = Counter(sample.split for sample in films.samples if sample.split)
    chosen = split or ("test" if splits["test"] else ALL)
    if chosen == ALL:
        return films, ALL
    if not splits[chosen]:
        there = ", ".join(f"{name} ({count} films)" for name, count in sorted(splits.items())) or "films without splits"
        raise SourceError(f"{data}: expected the split '{chosen}', found {there}; choose another with --split, or all")
    return films.with_split(chosen), chosen


def without_test(films: Dataset) -> Dataset:
    """The films but those that the source calls `test`."""
    return films.subset([index for index, record in enumerate(films.samples) if record.split != "test"])


def train_val_split(films: Dataset, settings: DataSettings) -> tuple[Dataset, Dataset, str]:
    """Part the films, never a patient. Films that the source calls `test` take no part.

    Returns:
        films to learn from, validation films, and how they were parted, in words.

    Raises:
        SourceError: nothing to learn from: no film, one class only, a class with a single patient.
    """
    here = without_test(films)
    here.require_trainable()
    stated = here.with_split("val")
    if len(stated) >= ENOUGH * len(here) and _whole(stated) and not _shared_patients(here, stated):
        rest = here.subset([index for index, record in enumerate(here.samples) if record.split != "val"])
        rest.require_trainable()
        return rest, stated, "the source's own val split validates"
    train, val = group_holdout(here, settings.validation, SPLIT_SEED)
    return here.subset(train), here.subset(val), f"{settings.validation:.0%} of the patients validate, stratified"


def _whole(films: Dataset) -> bool:
    return films.task == "multilabel" or all(films.class_counts().values())


def _shared_patients(films: Dataset, stated: Dataset) -> bool:
    theirs = {record.patient for record in stated.samples if record.patient}
    return any(record.patient in theirs for record in films.samples if record.split != "val")


def stratified_group_kfold(
    films: Dataset, folds: int, seed: int = 0, finer: str = "cause"
) -> list[tuple[Indices, Indices]]:
    """Deal the patients into folds that each look like the whole.

    Films that their source places in a rare acquisition setting (column `setting`) go to one fold whole, so that every
    setting is left out in turn. The other patients go one by one, those with most films first, to the fold that has
    least of what they bring. Where each patient has films of one stratum, no two folds differ in a stratum by more
    films than its largest patient has.

    Args:
        films: any task.
        folds: how many, at least 2.
        seed: another seed, other folds.
        finer: column that refines the label into strata (bacteria and virus within pneumonia), where present.

    Returns:
        For each fold (training indices, held-out indices), both sorted; each film is held out once.

    Raises:
        UsageError: fewer than two folds.
        SourceError: a class has fewer patients than folds.
    """
    if folds < 2:
        raise UsageError(f"expected at least 2 folds, received {folds}")
    places = _deal(films, np.full(folds, 1 / folds), seed, finer)
    settings = sorted({setting for sample in films.samples if (setting := sample.columns.get("setting"))})
    for index, sample in enumerate(films.samples):
        if setting := sample.columns.get("setting"):
            places[index] = settings.index(setting) % folds
    return [(np.flatnonzero(places != fold), np.flatnonzero(places == fold)) for fold in range(folds)]


def group_holdout(films: Dataset, fraction: float, seed: int = 0, finer: str = "cause") -> tuple[Indices, Indices]:
    """Set a share of the patients aside, stratified as `stratified_grouped` does.

    Returns:
        (kept indices, held-out indices), both sorted.

    Raises:
        UsageError: the fraction does not lie between 0 and 1.
        SourceError: a class has fewer than two patients.
    """
    if not 0 < fraction < 1:
        raise UsageError(f"expected a fraction between 0 and 1, received {fraction}")
    places = _deal(films, np.array([1 - fraction, fraction]), seed, finer)
    return np.flatnonzero(places == 0), np.flatnonzero(places == 1)


def split_hash(films: Dataset, indices: Iterable[int] | Indices) -> str:
    """SHA-256, hexadecimal, over the names of the films at `indices`; their order does not matter."""
    names = sorted(films.samples[int(index)].name for index in indices)
    return hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()


def strata(films: Dataset, finer: str = "cause") -> NDArray[np.int64]:
    """int64 (n, strata) one-hot: films that agree in label, or set of labels, and `finer` share a stratum."""
    return _one_hot([(record.label, record.columns.get(finer, "")) for record in films.samples])


def _deal(films: Dataset, shares: NDArray[np.float64], seed: int, finer: str) -> Indices:
    """The split of each film: int64 (n,), an index into `shares`."""
    groups = films.groups()
    labels = _by_patient(_labels(films), groups)
    _require_patients(films, labels, len(shares))
    brought = np.hstack([_by_patient(strata(films, finer), groups), labels])
    order = _order(films, groups, seed)
    places = _place(brought, brought.shape[1] - labels.shape[1], order, shares)
    return places[groups]


def _place(brought: NDArray[np.int64], fine: int, order: Sequence[int], shares: NDArray[np.float64]) -> Indices:
    """Deal patients to splits.

    Args:
        brought: (patients, strata + labels), films of each; the first `fine` columns are the strata.
        fine: how many columns are strata.
        order: who comes first.
        shares: (splits,), what each split should get; sums to 1.
    """
    held = np.zeros((len(shares), brought.shape[1]))
    weight = 1 / np.maximum(brought.sum(axis=0), 1)
    places = np.zeros(len(brought), dtype=np.int64)
    for patient in order:
        lack = held * (weight * brought[patient]) / shares[:, None]
        ranks = (held.sum(axis=1) / shares, lack[:, fine:].sum(axis=1), lack[:, :fine].sum(axis=1))
        place = np.lexsort(ranks)[0]
        places[patient] = place
        held[place] += brought[patient]
    return places


def _order(films: Dataset, groups: Indices, seed: int) -> list[int]:
    """Patients, most films first; a hash decides between equals."""
    sizes = np.bincount(groups)
    keys = dict(zip(groups.tolist(), _keys(films), strict=True))
    return sorted(keys, key=lambda patient: (-sizes[patient], _unit(str(seed), keys[patient]), keys[patient]))


def _labels(films: Dataset) -> NDArray[np.int64]:
    """int64 (n, labels), one-hot; for several findings a film, their 0 and 1 as they are."""
    if films.task == "multilabel":
        return films.label_array().reshape(len(films), len(films.labels))
    return _one_hot([record.label for record in films.samples])


def _one_hot(keys: Sequence[object]) -> NDArray[np.int64]:
    numbers = {key: number for number, key in enumerate(sorted(set(keys), key=repr))}
    return np.eye(len(numbers), dtype=np.int64)[[numbers[key] for key in keys]]


def _by_patient(rows: NDArray[np.int64], groups: Indices) -> NDArray[np.int64]:
    total = np.zeros((int(groups.max(initial=-1)) + 1, rows.shape[1]), dtype=np.int64)
    np.add.at(total, groups, rows)
    return total


def _require_patients(films: Dataset, labels: NDArray[np.int64], splits: int) -> None:
    """Refuse a class that cannot be in every split.

    Raises:
        SourceError: it has fewer patients than there are splits.
    """
    if films.task == "multilabel":
        return
    films.require_trainable()
    present = sorted({record.label for record in films.samples}, key=repr)
    for label, patients in zip(present, (labels > 0).sum(axis=0), strict=True):
        if patients < splits and isinstance(label, int):
            raise SourceError(
                f"{films.source}: class '{films.labels[label]}' has {patients} patients, expected at least {splits}, "
                "one for each fold; take fewer folds or add patients"
            )


def _keys(films: Dataset) -> list[str]:
    return [_key(record) for record in films.samples]


def _key(record: Sample) -> str:
    return f"patient\0{record.patient}" if record.patient else f"film\0{record.name}"


def _unit(salt: str, key: str) -> float:
    """A number in [0, 1) that depends on `salt` and `key` alone."""
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48
