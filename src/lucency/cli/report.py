"""`lucency report`: a page for clinicians, a model card, and the guidelines' checklists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency.cli.inputs import (
    AllowMissing,
    DataOptions,
    Finding,
    OnlyUnseen,
    Resamples,
    Seed,
    Source,
    Split,
    Threads,
    Threshold,
    evaluation_input,
    report_skipped,
)
from lucency.cli.terminal import echo

if TYPE_CHECKING:
    from lucency.bundle import Card
    from lucency.cli.inputs import EvaluationInput
    from lucency.data import Dataset
    from lucency.reader import Reader


def report(
    bundle: Annotated[
        Path, typer.Argument(help="The run, cross-validated run or bundle to report on.", metavar="RUN|BUNDLE")
    ],
    data: Annotated[str, typer.Option(help="Labelled films: the folder with the classes, or the one above.")],
    out: Annotated[Path, typer.Option(help="Folder for report.html, model-card.md, checklists and figures.")],
    source: Source = "auto",
    finding: Finding = None,
    allow_missing: AllowMissing = False,
    split: Split = None,
    only_unseen: OnlyUnseen = False,
    threshold: Threshold = None,
    resamples: Resamples = 2000,
    seed: Seed = 0,
    threads: Threads = 1,
) -> int:
    """Report on a run or bundle: one page with every figure and the worst errors, a model card, three checklists.

    TRIPOD+AI, CLAIM 2024 and the Model Facts label are filled in as far as known; the rest is left to the author.
    A cross-validated run (train --folds) is reported by its pooled predictions. A film that cannot be read is skipped;
    the exit code is then 3.

    Example: lucency report runs/lecture --data chest_xray --out reports/lecture
    """
    from lucency.report import build_context, folds_of, write

    options = DataOptions(source, finding, allow_missing)

    folds = folds_of(bundle)
    found, films, card, digest, reader_of = (
        _cross_validated(folds, bundle, data, options, threshold)
        if folds
        else _one(bundle, data, options, split, threshold, threads, only_unseen)
    )
    context = build_context(
        card, digest, found.predictions, found.threshold, found.about, resamples, seed, cross_validated=bool(folds)
    )
    echo(_summary(write(context, reader_of, films, out)))
    return report_skipped(found)


Evaluated = tuple["EvaluationInput", "Dataset", "Card", str, "Callable[[str], Reader]"]
"""Predictions, films, the reader's card, its digest, and the reader of each film by name."""


def _one(
    bundle: Path,
    data: str,
    options: DataOptions,
    split: str | None,
    threshold: float | None,
    threads: int,
    only_unseen: bool,
) -> Evaluated:
    from lucency.reader import Reader
    from lucency.reader.predict import as_labelled

    found = evaluation_input(bundle, data, options, split, threshold, threads, (bundle,) if only_unseen else ())
    reader = Reader.open(bundle)
    assert found.films is not None  # read from `data`
    films = as_labelled(found.films, reader.card.labels)
    return found, films, reader.card, reader.bundle.digest, lambda name: reader


def _cross_validated(
    folds: tuple[Path, ...], run: Path, data: str, options: DataOptions, threshold: float | None
) -> Evaluated:
    """Predictions from the run's folder; films are opened only for the maps of the worst errors."""
    import shlex
    from dataclasses import replace

    from lucency.cli.inputs import labelled_films
    from lucency.data.splits import ALL
    from lucency.errors import SourceError
    from lucency.reader.predict import as_labelled
    from lucency.report.context import card_of, reader_of_film

    found = evaluation_input(run, None, threshold=threshold)
    card, digest = card_of(folds)
    films = as_labelled(labelled_films(data, options, ALL)[0], card.labels)
    there = {sample.name for sample in films.samples}
    if missing := sum(name not in there for name in found.predictions.names):
        raise SourceError(f"{data}: expected the films that {run} was trained on, {missing:,} of them are not there")
    command = shlex.join(["lucency", "report", str(run), "--data", data])
    about = {**found.about, "data": data, "source": films.source, "command": command, "data_warnings": films.warnings}
    return replace(found, about=about), films, card, digest, reader_of_film(folds, films)


def _summary(written: tuple[Path, ...]) -> str:
    page, card, *rest = written
    lists = ", ".join(path.name for path in rest if path.suffix == ".md")
    return "\n".join(
        [
            f"{page}: the page to read",
            f"{card}: the model card",
            f"{lists}: what is marked ‘the author's to fill’ is yours",
            "Research use only. Not a medical device.",
        ]
    )
