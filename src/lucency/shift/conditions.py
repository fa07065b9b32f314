"""Metrics of a reader of two classes, or of several, on held-out films, plain and re-acquired like others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lucency.arrays import Bools, Floats, Ints, Pixels
from lucency.bundle import Card
from lucency.data.acquisition import ALL, PARTS, SIDE
from lucency.data.acquisition_pairs import Squares, Whose, as_another, donor_pools, draws
from lucency.data.dataset import Dataset, decode_each
from lucency.data.splits import Fold, split_hash, train_val_split
from lucency.errors import FilmError, SourceError, UsageError
from lucency.evaluate.confidence_intervals import Estimate, bootstrap
from lucency.evaluate.metrics import auroc, ece, ranking, ratio
from lucency.evaluate.multiclass import balanced_accuracy
from lucency.evaluate.operating_point import by_sensitivity
from lucency.evaluate.predictions import Costs, Predictions
from lucency.evaluate.report import findings
from lucency.film import Film
from lucency.preprocess import Preprocess
from lucency.progress import track
from lucency.reader import Reader
from lucency.recipe import card_data_settings

PLAIN = "plain"
TOGETHER = "all"
CONDITIONS: dict[str, tuple[str, ...]] = {PLAIN: (), **{name: (name,) for name in PARTS}, TOGETHER: ALL}
"""Condition → the parts of acquisition that are exchanged."""
FLOOR = 0.98
"""Sensitivity at which specificity is reported; the threshold is chosen on plain films."""
BATCH = 64


@dataclass(frozen=True)
class Scores:
    """A reader's outputs on n films under one condition."""

    logits: Floats
    """(n,), before calibration; (n, k) of several classes."""
    probabilities: Floats
    """(n,), after it."""


@dataclass(frozen=True)
class ConditionMetrics:
    """A reader of two classes under one condition. Thresholds are not chosen on re-acquired films."""

    condition: str
    auroc: float
    auroc_normals_moved: float
    """Re-acquired normals against plain pneumonias, as in the official test."""
    specificity: float
    """At the threshold at which the plain films have a sensitivity of FLOOR."""
    sensitivity: float
    """At the same threshold."""
    accuracy: float
    """At the shipped threshold, 0.5 if none was chosen."""
    ece: float
    normal_shift: float
    """Mean change of the normals' logits against plain."""
    pneumonia_shift: float
    """The same for films with the finding."""

    def measures(self) -> dict[str, float]:
        """Name → value, of those by which runs are compared."""
        area = {f"AUROC {self.condition}": self.auroc}
        if self.condition == PLAIN:
            return area
        return area | {
            "AUROC normals moved": self.auroc_normals_moved,
            f"specificity {self.condition}": self.specificity,
            f"sensitivity {self.condition}": self.sensitivity,
            f"ECE {self.condition}": self.ece,
        }


def score_conditions(
    readers: Sequence[Reader], squares: Squares, whose: Whose = "other", seed: int = 0, only: Iterable[str] = CONDITIONS
) -> list[dict[str, Scores]]:
    """Condition → scores, for each reader; PLAIN always comes first. Each film is re-acquired once for all readers.

    Raises:
        UsageError: an unknown condition.
        SourceError: a class has no film.
    """
    chosen = tuple(dict.fromkeys((PLAIN, *only)))
    if unknown := [name for name in chosen if name not in CONDITIONS]:
        raise UsageError(f"unknown condition '{unknown[0]}'; known are {', '.join(CONDITIONS)}")
    work = [(name, start) for name in chosen for start in range(0, len(squares), BATCH)]
    parts: list[dict[str, list[Scores]]] = [{name: [] for name in chosen} for _ in readers]
    for name, start in track(work, "reading re-acquired films"):
        indices = range(start, min(start + BATCH, len(squares)))
        films = reacquire_films(squares, indices, CONDITIONS[name], whose, seed)
        for reader, scores in zip(readers, parts, strict=True):
            scores[name].append(_score(reader, films, squares))
    return [{name: _concatenated(some) for name, some in scores.items()} for scores in parts]


def _score(reader: Reader, films: Sequence[tuple[Pixels, int]], squares: Squares) -> Scores:
    found = reader.read_batch(
        np.stack([network_input(reader.preprocess, film, squares, index) for film, index in films])
    )
    logits, probabilities = found.logits.astype(np.float64), found.probabilities.astype(np.float64)
    if logits.shape[1] == 1:
        return Scores(logits[:, 0], probabilities[:, 0])
    return Scores(logits, probabilities)


def _concatenated(parts: Sequence[Scores]) -> Scores:
    logits, probabilities = ([getattr(part, name) for part in parts] for name in ("logits", "probabilities"))
    return Scores(np.concatenate(logits), np.concatenate(probabilities))


def reacquire_films(
    squares: Squares, indices: Iterable[int], parts: Sequence[str], whose: Whose, seed: int
) -> list[tuple[Pixels, int]]:
    """The films at `indices` as uint8 squares, each with its index. All parts give a film the same donor."""
    pools = donor_pools(squares.films, whose)
    found = []
    for index in indices:
        record = squares.films.samples[index]
        assert isinstance(record.label, int)
        again = as_another(squares, index, pools[record.label], parts, draws(record.name, seed))
        found.append((again, index))
    return found


def network_input(preprocess: Preprocess, square: Pixels, squares: Squares, index: int) -> Pixels:
    """A film's square as the input of the reader's network, uint8 (side, side) or (side, side, 3)."""
    ratio = squares.stored[index]
    if preprocess.resize_mode != "stretch" and ratio != 1.0:  # the reader crops or pads the film's own shape
        size = (round(SIDE * ratio), SIDE) if ratio > 1 else (SIDE, round(SIDE / ratio))
        square = np.array(Image.fromarray(square).resize(size, Image.Resampling.BILINEAR))
    return preprocess(Film(square) if square.ndim == 2 else Film.of_rgb(square))


def condition_metrics(scores: dict[str, Scores], labels: Ints, shipped: float) -> tuple[ConditionMetrics, ...]:
    """Metrics of every condition, of two classes.

    Args:
        scores: condition → scores, PLAIN among them.
        labels: int64 (n,), 0 or 1.
        shipped: the threshold on the card.
    """
    plain, positive = scores[PLAIN], labels == 1
    names = tuple(map(str, range(len(labels))))
    columns = (plain.logits[:, None], plain.probabilities[:, None])
    predictions = Predictions(names, (None,) * len(labels), labels, *columns, ("without", "with"))
    threshold = by_sensitivity(predictions, FLOOR).threshold
    assert isinstance(threshold, float)
    return tuple(_metrics(name, one, plain, positive, threshold, shipped) for name, one in scores.items())


def _metrics(
    name: str, scores: Scores, plain: Scores, positive: Bools, threshold: float, shipped: float
) -> ConditionMetrics:
    called, moved = scores.probabilities >= threshold, scores.logits - plain.logits
    return ConditionMetrics(
        condition=name,
        auroc=auroc(positive, scores.logits),
        auroc_normals_moved=auroc(positive, np.where(positive, plain.logits, scores.logits)),
        specificity=float((~called[~positive]).mean()),
        sensitivity=float(called[positive].mean()),
        accuracy=float(((scores.probabilities >= shipped) == positive).mean()),
        ece=ece(positive, scores.probabilities),
        normal_shift=float(moved[~positive].mean()),
        pneumonia_shift=float(moved[positive].mean()),
    )


FOLD_COUNTS = (5, 3, 10, 2, 4)
"""Numbers of folds that `held_out` tries by default."""


def held_out(card: Card, films: Dataset, fold: int | None = None, folds: int | None = None) -> tuple[Dataset, str]:
    """The films that a run was not trained on, and how they were held out, in words.

    For a run of a cross-validation these are the films of its fold; for any other run its validation films, by which
    its checkpoint may have been chosen. The split hash on the card decides between the two.

    Args:
        card: of a run or of a bundle exported from it.
        films: the run's data set, unchanged since.
        fold: number of the held-out fold, from 1; None tries each.
        folds: how many folds there were; None tries FOLD_COUNTS.

    Raises:
        SourceError: the films are not those it was trained on.
    """
    settings = card_data_settings(card.training.recipe)
    if fold is None and folds is None:
        train, val, _ = train_val_split(films, settings)
        if _trained_on(card, train):
            return val, f"{len(val)} validation films of its training, by which its checkpoint may have been chosen"
    counts = FOLD_COUNTS if folds is None else (folds,)
    for found in _folds(counts, fold):
        rest, held = found.split(films)
        if _trained_on(card, train_val_split(rest, settings)[0]):
            return held, f"{len(held)} films of fold {found.number} of {found.of}, not used in training"
    raise SourceError(
        f"{films.source}: expected the {card.training.films} films that {card.name} was trained on and their split, "
        "none fits the split hash on its card; name its data and --fold, or use all films with --split all"
    )


def _folds(counts: Sequence[int], fold: int | None) -> list[Fold]:
    return [Fold(number, of) for of in counts for number in ((fold,) if fold else range(1, of + 1)) if number <= of]


def _trained_on(card: Card, films: Dataset) -> bool:
    return len(films) == card.training.films and split_hash(films, range(len(films))) == card.training.split_hash


@dataclass(frozen=True)
class EditionDifference:
    """|logit of one copy - logit of the other| over the films in both folders, and over the classes where several."""

    films: int
    mean: float
    largest: float


def compare_editions(reader: Reader, films: Dataset, others: Dataset) -> EditionDifference:
    """Read films of the same name in two editions, such as at original resolution and as squares of 224 pixels.

    Raises:
        SourceError: no name is in both, or one of the pair cannot be read.
    """
    theirs = {Path(record.name).stem: index for index, record in enumerate(others.samples)}
    ours = {stem: index for index, record in enumerate(films.samples) if (stem := Path(record.name).stem) in theirs}
    if not ours:
        raise SourceError(f"expected films of the same names in both folders, found none among {len(others)} others")
    one = _logits(reader, films.subset(list(ours.values())))
    moved = np.abs(one - _logits(reader, others.subset([theirs[stem] for stem in ours])))
    return EditionDifference(len(ours), float(moved.mean()), float(moved.max()))


def _logits(reader: Reader, films: Dataset) -> np.ndarray:
    squares = []
    for square in decode_each(films, reader.preprocess):
        if isinstance(square, FilmError):
            raise SourceError(f"a film of the pairs cannot be read: {square}")
        squares.append(square)
    logits = reader.read_batch(np.stack(squares)).logits
    if reader.card.task == "multiclass":  # what is added to all changes no probability
        logits = logits - logits.mean(axis=1, keepdims=True)
    return logits


RESAMPLES = 1000
"""Bootstrap draws of patients."""


@dataclass(frozen=True)
class ClassMetrics:
    """A reader of several classes under one condition, with 95 % intervals by patient."""

    condition: str
    balanced_accuracy: Estimate
    change: Estimate
    """Balanced accuracy less that of the plain films, paired."""
    mean_auroc: Estimate
    """Of one class against the rest."""
    called_otherwise: Estimate
    """Share of films that are not called as when plain."""
    ece: float
    """Mean over the classes."""
    sensitivity: Mapping[str, float]
    """Class → share of its films that are called so."""

    def measures(self) -> dict[str, float]:
        """Name → value, of those by which runs are compared."""
        values = {
            "balanced accuracy": self.balanced_accuracy.value,
            "mean AUROC": self.mean_auroc.value,
            "ECE": self.ece,
            "called otherwise": None if self.condition == PLAIN else self.called_otherwise.value,
        }
        return {f"{name} {self.condition}": value for name, value in values.items() if value is not None}


def class_metrics(
    scores: Mapping[str, Scores], films: Dataset, costs: Costs | None = None, resamples: int = RESAMPLES
) -> tuple[ClassMetrics, ...]:
    """Metrics of every condition.

    Args:
        scores: condition → scores (n, k), PLAIN among them.
        films: n, of k classes.
        costs: of errors, where the card has them: they decide the call.
        resamples: bootstrap draws of patients.
    """
    plain = _predictions(scores[PLAIN], films, costs)
    work = track(scores.items(), "resampling patients", total=len(scores))
    return tuple(_class_metrics(name, _predictions(one, films, costs), plain, resamples) for name, one in work)


def _predictions(scores: Scores, films: Dataset, costs: Costs | None) -> Predictions:
    return Predictions(
        names=tuple(sample.name for sample in films.samples),
        patients=tuple(sample.patient for sample in films.samples),
        labels=films.label_array(),
        logits=scores.logits,
        probabilities=scores.probabilities,
        label_names=films.labels,
        task="multiclass",
        costs=costs,
    )


def _class_metrics(name: str, moved: Predictions, plain: Predictions, resamples: int) -> ClassMetrics:
    labels, called, before = moved.labels, moved.called(), plain.called()
    otherwise = (called != before).astype(np.float64)
    each = findings(moved)

    def statistic(weights: Floats) -> Floats:
        right = balanced_accuracy(labels, called, weights)
        area = np.mean([ranking(one.truth, one.score, weights)[0] for one in each], axis=0)
        change = right - balanced_accuracy(labels, before, weights)
        return np.stack([right, change, area, ratio(weights @ otherwise, weights.sum(axis=1))], axis=1)

    found = bootstrap(statistic, moved.groups(), resamples)
    right, change, area, share = (
        Estimate(float(found.value[i])) if found.fixed[i] else found.estimate(i) for i in range(4)
    )
    return ClassMetrics(
        name,
        right,
        change,
        area,
        share,
        ece=float(np.mean([ece(one.truth, one.probability) for one in each])),
        sensitivity={one.name: float(one.called[one.truth].mean()) for one in each},
    )
