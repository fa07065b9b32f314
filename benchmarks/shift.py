"""When films change: `python benchmarks/shift.py --runs runs/kermany --data kermany224`.

Films held out from each fold, read by that fold's run, with calibration and abstention fitted on the other folds'
answers and a gate learned from the run's own training films: as they are, and under planted shifts. Forced accuracy
must fall; gate and abstention must catch what it loses.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from folds import drawn, held
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lucency.bundle import read_card
from lucency.data import Dataset
from lucency.data.dataset import decode_squares
from lucency.evaluate import Predictions, evaluate_predictions
from lucency.evaluate.predictions import concatenate, read_predictions
from lucency.evaluate.recalibration import RecalibrationConfig, cross_fit
from lucency.evaluate.selective_prediction import (
    answered_parts,
    confidence,
    correct_calls,
    part_interval,
    risk_coverage,
    risk_interval,
)
from lucency.progress import track
from lucency.reader import Reader
from lucency.reader.outputs import accepted, failed_checks

Squares = NDArray[np.uint8]
SUREST = 0.95
COVERAGES = (0.95, 0.97, 0.975, 0.98, 0.9825, 0.985, 0.99)
MEASURES = ("accuracy", "auroc", "ece", "answered", "answered_accuracy")


def table(curve: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Callable[[Squares], Squares]:
    """Gray to gray, both 0 to 1."""
    steps = np.clip(np.rint(255 * curve(np.arange(256) / 255)), 0, 255).astype(np.uint8)
    return lambda films: steps[films]


UNIT = 160
"""Blur and noise are given for squares of this side and scaled with larger ones."""


def blurred(sigma: float) -> Callable[[Squares], Squares]:
    def blur(film: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(Image.fromarray(film).filter(ImageFilter.GaussianBlur(sigma * len(film) / UNIT)))

    return lambda films: np.stack([blur(film) for film in films])


def noisy(sigma: float) -> Callable[[Squares], Squares]:
    rng = np.random.default_rng(0)

    def noise(films: Squares) -> Squares:
        grain = rng.normal(0, sigma * films.shape[1] / UNIT, films.shape)
        return np.clip(films + grain, 0, 255).astype(np.uint8)

    return noise


SHIFTS: dict[str, Callable[[Squares], Squares]] = {
    "as they are": lambda films: films,
    "darker: half the gray": table(lambda x: x / 2),
    "darker: gamma 2": table(lambda x: x**2),
    "brighter: gamma 1/2": table(lambda x: x**0.5),
    "scanner curve: steep": table(lambda x: 1 / (1 + np.exp(-9 * (x - 0.5)))),
    "scanner curve: flat": table(lambda x: 0.3 + 0.4 * x),
    "blurred, sigma 1": blurred(1),
    "blurred, sigma 2": blurred(2),
    "blurred, sigma 4": blurred(4),
    "noise, 8 levels": noisy(8),
    "noise, 16 levels": noisy(16),
}


def cross_validated(runs: Path, labels: tuple[str, ...], asked: RecalibrationConfig) -> None:
    """All films, each answered by a run, a calibration, a threshold and prediction sets that never saw its patient."""
    everything = read_predictions(runs / "predictions.csv", labels)
    halves = cross_fit(everything, replace(asked, rule="0.5"))
    films, groups = halves.predictions, halves.predictions.groups()
    ece = evaluate_predictions(films).measure("ece")
    print(f"{len(films)} films, cross-validated by patient, {asked.method}: ECE {ece}")
    correct, share = correct_calls(films, halves.called), np.array([SUREST])
    print(f"called at 0.5: accuracy {with_interval(correct, np.ones(len(films)), groups)}")
    low, high = risk_interval(confidence(films, 0.5), correct, groups, share, resamples=1000)
    wrong = np.interp(share, *risk_coverage(confidence(films, 0.5), correct))
    print(f"surest {SUREST:.0%}: accuracy {1 - wrong[0]:.4f} ({1 - high[0]:.4f} to {1 - low[0]:.4f})")
    print(f"called at {asked.rule}, answered by prediction sets:")
    print(f"{'coverage':>10}{'answered':>10}  accuracy, sensitivity, specificity of the answered; then of all films")
    for coverage in COVERAGES:
        crossed = cross_fit(everything, replace(asked, coverage=coverage))
        found = answered_parts(crossed.predictions, crossed.called)
        shown = [with_interval(*found[name], groups) for name in found if name != "answered"]
        shown += [f"{np.mean((crossed.called == films.labels)[films.labels == label]):.4f}" for label in (1, 0)]
        print(f"{coverage:10}{found['answered'][0].mean():10.1%}  {', '.join(shown)}")


def with_interval(values: NDArray[np.float64], over: NDArray[np.float64], groups: NDArray[np.int64]) -> str:
    """A share with its interval by patient."""
    low, high = part_interval((values, over), groups)
    return f"{values[over > 0].mean():.4f} ({low:.4f} to {high:.4f})"


def answered(reader: Reader, films: Dataset, squares: Squares) -> tuple[Predictions, float, float]:
    """Scores, the threshold they are called at, and the share that the gate refuses."""
    answers = reader.read_batch(squares)
    predictions = Predictions(
        names=tuple(record.name for record in films.samples),
        patients=tuple(record.patient for record in films.samples),
        labels=films.label_array(),
        logits=answers.logits.astype(np.float64),
        probabilities=answers.probabilities.astype(np.float64),
        label_names=films.labels,
        answered=accepted(reader.card, answers),
    )
    refused = float(failed_checks(reader.card, answers).any(axis=1).mean())
    return predictions, reader.card.operating_point.threshold, refused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--used", type=int, default=5, help="folds that are shifted; 0 for none")
    parser.add_argument("--most", type=int, default=200, help="films of a fold that are shifted; 0 for all")
    parser.add_argument("--method", default="platt")
    parser.add_argument("--threshold", default="sensitivity=0.98")
    parser.add_argument("--coverage", type=float, default=0.98)
    options = parser.parse_args()
    asked = RecalibrationConfig(method=options.method, rule=options.threshold, coverage=options.coverage)
    cross_validated(options.runs, read_card(options.runs / "fold-1").labels, asked)
    found: dict[str, list[tuple[Predictions, float, float]]] = {name: [] for name in SHIFTS}
    for number in range(1, options.used + 1):
        fold = held(options.runs, options.data, number, options.folds, asked)
        some = drawn(fold.films, options.most)
        squares = np.stack(decode_squares(some, fold.reader.preprocess).pixels)
        for name, change in track(SHIFTS.items(), f"fold {number}: {len(some)} films, shifted", total=len(SHIFTS)):
            found[name].append(answered(fold.reader, some, np.ascontiguousarray(change(squares))))
    if options.used:
        print(f"{'':24}{'gate':>7}" + "".join(f"{name:>26}" for name in MEASURES) + f"{'errors withheld':>18}")
    for name, folds in found.items() if options.used else ():
        print(f"{name:24}{np.mean([refused for *_, refused in folds]):7.1%}{row(folds)}", flush=True)


def row(folds: list[tuple[Predictions, float, float]]) -> str:
    """The figures of MEASURES, and the share of errors that the reader withholds."""
    pooled = concatenate([level(predictions, threshold) for predictions, threshold, _ in folds])
    report = evaluate_predictions(pooled, 0.5, resamples=1000)
    ece = evaluate_predictions(concatenate([predictions for predictions, _, _ in folds]), 0.5, resamples=200).measure(
        "ece"
    )
    cells = [str(ece if name == "ece" else report.measure(name)) for name in MEASURES]
    wrong = correct_calls(pooled, pooled.called(0.5)) == 0
    withheld = wrong & ~pooled.answered if pooled.answered is not None else np.zeros_like(wrong)
    return "".join(f"{cell:>26}" for cell in cells) + f"{f'{withheld.sum()} of {wrong.sum()}':>18}"


def level(predictions: Predictions, threshold: float) -> Predictions:
    """The same calls at 0.5 that `threshold` makes, so that folds with thresholds of their own can be pooled."""
    p = predictions.probabilities
    moved = np.where(p >= threshold, 0.5 + 0.5 * (p - threshold), 0.5 * p / threshold)
    return replace(predictions, probabilities=np.where(p >= threshold, moved, np.minimum(moved, 0.4999999)))


if __name__ == "__main__":
    main()
