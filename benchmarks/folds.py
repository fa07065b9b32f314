"""Readers of a cross-validation, each with calibration, abstention and gate that never saw its held-out patients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lucency.bundle import open_bundle, write_bundle
from lucency.data import Dataset, read_dataset
from lucency.data.splits import Fold
from lucency.evaluate.predictions import Predictions, read_predictions
from lucency.evaluate.recalibration import RecalibrationConfig
from lucency.models.ood_detector import OOD_FILE
from lucency.reader import Reader
from lucency.reader.recalibrate import recalibrate
from lucency.train.ood import fit_gate

LEARNED = 1000
"""Films that a gate learns from: half of what `lucency gate` takes, for speed."""


@dataclass(frozen=True)
class Held:
    """One fold: a reader, and the films held out from everything that made it."""

    reader: Reader
    films: Dataset


def held(runs: Path, data: str, number: int, folds: int, asked: RecalibrationConfig) -> Held:
    """Fold `number`, its gate learned and its calibration fitted on the answers of the other folds.

    Kept in `runs`-gated/fold-N, so that the next call is quick; remove it to learn again.
    """
    films = read_dataset(data)
    fold = Fold(number, folds)
    out_films = fold.split(films)[1]
    gated = runs.with_name(f"{runs.name}-gated") / f"fold-{number}"
    if not (gated / "card.json").exists():
        run = open_bundle(runs / f"fold-{number}")
        card, content = fit_gate(run, films, fold, most=LEARNED)
        write_bundle(gated, card, {**{name: run.read(name) for name in run.card.files}, OOD_FILE: content})
    bundle = open_bundle(gated)
    new = recalibrate(bundle.card, others(runs, bundle.card.labels, out_films), asked, "the other folds", resamples=100)
    return Held(Reader(type(bundle)(bundle.path, new.card, bundle.digest, bundle.load), threads=2), out_films)


def others(runs: Path, labels: tuple[str, ...], films: Dataset) -> Predictions:
    """The out-of-fold answers for all films but these."""
    answers = read_predictions(runs / "predictions.csv", labels)
    names = {record.name for record in films.samples}
    return answers.pick(np.array([name not in names for name in answers.names]))


def drawn(films: Dataset, most: int, seed: int = 0) -> Dataset:
    """At most `most` films; all of them for 0."""
    if not most or len(films) <= most:
        return films
    return films.subset(np.sort(np.random.default_rng(seed).permutation(len(films))[:most]))
