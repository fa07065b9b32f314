"""The functions of `import lucency`. Each imports what it needs when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lucency.audit import Audit
    from lucency.bundle.card import Quantize
    from lucency.data import Dataset
    from lucency.evaluate import Report
    from lucency.export import TargetName
    from lucency.reader import Reader
    from lucency.recipe import Recipe


def load(bundle: Path | str | None = None, threads: int = 1) -> Reader:
    """Open a bundle or run.

    >>> reader = lucency.load()
    >>> reading = reader.read(lucency.open_film(film))
    >>> reading.called, reading.probability > 0.5
    ('pneumonia', True)
    >>> reading.map.shape
    (24, 24)

    Args:
        bundle: a directory or .zip; the bundle that ships with lucency where none is given.
        threads: films that are read side by side in a batch.

    Raises:
        BundleError: missing, altered, from a newer lucency, or in need of a library that is not installed.
    """
    from lucency.reader import Reader

    return Reader.open(None if bundle is None else Path(bundle), threads)


def train(
    recipe: Recipe | Mapping[str, Any] | Path | str,
    data: Dataset | Path | str,
    out: Path | str,
    *,
    resume: bool = False,
    cache: Path | str | None = None,
) -> Reader:
    """Train by a recipe, write the run to `out` and open it. Needs lucency[train].

    >>> recipe = {
    ...     "name": "tiny",
    ...     "data": {"side": 32},
    ...     "model": {"backbone": "mobilenet_v1", "width": 0.25, "depth": 1, "head": "linear"},
    ...     "head": {"epochs": 1},
    ... }
    >>> run = lucency.train(recipe, "phantom:24", folder / "run")
    >>> run.card.labels
    ('normal', 'pneumonia')

    Args:
        recipe: a TOML file, or its content.
        data: a data set, or what `read_dataset` takes.
        out: folder of the run; new, or an unfinished run where `resume` is set.
        resume: continue from the last whole epoch, to the same result as without the stop.
        cache: folder of the feature cache; `cache` beside `out` by default.

    Raises:
        RecipeError, SourceError, WeightsError, TrainingError, OutputError: the message says what to do.
    """
    from lucency.recipe import Recipe, parse_recipe, read_recipe
    from lucency.train import train_run

    if isinstance(recipe, Mapping):
        recipe = parse_recipe(dict(recipe), "recipe")
    elif not isinstance(recipe, Recipe):
        recipe = read_recipe(Path(recipe))
    out = Path(out)
    train_run(recipe, _dataset(data), out, Path(cache) if cache else out.parent / "cache", resume)
    return load(out)


def evaluate(
    reader: Reader | Path | str,
    data: Dataset | Path | str,
    *,
    threshold: float | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Report:
    """Evaluate a reader on labelled films: every metric with its 95 % interval, by patient. Needs lucency[evaluate].

    Films that cannot be read are left out and named on stderr.

    >>> report = lucency.evaluate(lucency.load(), "phantom:40:7", resamples=100)
    >>> report.films, report.patients_known
    (40, True)
    >>> 0 <= report.measure("auroc").value <= 1
    True

    Args:
        reader: an open reader, or a bundle or run.
        data: a data set, or what `read_dataset` takes; all of its films are read.
        threshold: a finding is called at or above this probability; the card's by default.
        resamples: bootstrap draws of patients for the intervals.
        seed: of the draws; the same seed gives the same report.

    Raises:
        BundleError: no bundle or run.
        SourceError: no film can be read, or labels that the reader does not know.
    """
    from lucency.data.decode import report_skipped
    from lucency.evaluate import evaluate_predictions
    from lucency.reader.predict import predict

    opened = _reader(reader)
    predicted = predict(opened, _dataset(data, classes=1))
    report_skipped(predicted.unreadable)
    point = opened.card.operating_point.threshold if threshold is None else threshold
    return evaluate_predictions(predicted.predictions, point, resamples, seed)


def export(
    run: Reader | Path | str,
    out: Path | str,
    *,
    to: TargetName = "litert",
    quantize: Quantize = "none",
    data: Dataset | Path | str | None = None,
    replace: bool = False,
) -> Reader:
    """Write a run as one small file for a phone, with the bundle around it, and open it. Needs lucency[export].

    >>> bundle = lucency.export(run, folder / "bundle", to="onnx")
    >>> bundle.card.model.format
    'onnx'

    Args:
        run: an open run, or its folder.
        out: folder of the bundle.
        to: litert or onnx.
        quantize: none, float16, int8, or weights.
        data: films the run was trained on, which int8 measures its ranges on.
        replace: write over a bundle that is there.

    Raises:
        UsageError: no such target or edition, or int8 without `data`.
        BundleError: no run.
        ExportError: the network cannot be written for this target.
        OutputError: `out` holds a bundle, or cannot be written.
    """
    from lucency.errors import UsageError
    from lucency.export.calibration_films import calibration_squares
    from lucency.export.exporter import export_run

    path = run if isinstance(run, str | Path) else run.bundle.path
    squares = None
    if quantize == "int8":
        if data is None:
            raise UsageError("int8 measures its ranges on films that the run was trained on: give data")
        squares = calibration_squares(_reader(run).card, _dataset(data), None)
    export_run(Path(path), to, Path(out), quantize, squares, replace)
    return load(out)


def audit(data: Dataset | Path | str) -> Audit:
    """Look at every film of a data set: leaks, duplicates, odd films, shortcuts. Needs lucency[evaluate].

    >>> found = lucency.audit("phantom:40")
    >>> found.invalid
    ()

    Args:
        data: a data set, or what `read_dataset` takes.

    Raises:
        SourceError: the data cannot be read.
    """
    from lucency.audit import audit as run

    return run(_dataset(data))


def _dataset(data: Dataset | Path | str, classes: int = 2) -> Dataset:
    from lucency.data import read_dataset

    if not isinstance(data, str | Path):
        return data
    films = read_dataset(data, classes=classes)
    films.require_complete()
    return films


def _reader(reader: Reader | Path | str) -> Reader:
    return load(reader) if isinstance(reader, str | Path) else reader
