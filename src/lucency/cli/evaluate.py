"""`lucency evaluate`, `compare`, `report`: metrics of one reader, or of two on the same films; its page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lucency.cli import echo
from lucency.cli.inputs import (
    AllowMissing,
    DataOptions,
    Finding,
    Json,
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

if TYPE_CHECKING:
    from lucency.bundle import Card
    from lucency.cli.inputs import EvaluationInput
    from lucency.data import Dataset
    from lucency.evaluate import Report
    from lucency.evaluate.comparison import Comparison, Contrast, DeLong
    from lucency.evaluate.predictions import PerFinding, Predictions
    from lucency.evaluate.subgroups import Subgroup
    from lucency.reader import Reader


def evaluate(
    bundle: Annotated[Path, typer.Argument(help="The run or bundle to evaluate.", metavar="RUN|BUNDLE")],
    data: Annotated[
        str | None,
        typer.Option(
            help="Labelled films: the folder with the classes, or the one above. Without it RUN is a folder "
            "with predictions.csv, as --out or train --folds writes."
        ),
    ] = None,
    source: Source = "auto",
    finding: Finding = None,
    allow_missing: AllowMissing = False,
    split: Split = None,
    only_unseen: OnlyUnseen = False,
    threshold: Threshold = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.json, predictions.csv and plots.")] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Column of subgroups, such as sex, age, cause; may be repeated."),
    ] = None,
    resamples: Resamples = 2000,
    seed: Seed = 0,
    threads: Threads = 1,
    json: Annotated[bool, typer.Option("--json", help="Print report.json instead of the table.")] = False,
) -> int:
    """Evaluate a run or bundle on labelled films: every metric with its 95 % interval, by patient.

    Without --data, stored predictions are evaluated again, such as by other columns or at another threshold.
    A film that cannot be read is skipped and reported at the end; the exit code is then 3.

    Example: lucency evaluate runs/lecture --data chest_xray --out evaluation
    """
    from lucency.evaluate import evaluate_predictions, write_report
    from lucency.evaluate.report import dump, to_json
    from lucency.evaluate.subgroups import subgroup_masks, subgroups

    options = DataOptions(source, finding, allow_missing)

    found = evaluation_input(bundle, data, options, split, threshold, threads, (bundle,) if only_unseen else ())
    for column in by or ():
        subgroup_masks(found.predictions, column)
    report = evaluate_predictions(found.predictions, found.threshold, resamples, seed)
    parts = [one for name in by or () for one in subgroups(found.predictions, name, found.threshold, resamples, seed)]
    about = {**found.about, **({"subgroups": [part.to_json() for part in parts]} if parts else {})}
    if out:
        write_report(report, found.predictions, out, about)
    echo(dump(to_json(report, about)) if json else table(report, about, out, parts))
    return report_skipped(found)


def table(report: Report, about: dict[str, Any], out: Path | None, parts: Sequence[Subgroup] = ()) -> str:
    """The report as text for a terminal."""
    from lucency.evaluate.predictions import threshold_words
    from lucency.evaluate.report import ALL, MACRO, WEIGHTED

    counts = ", ".join(f"{name} {n:,}" for name, n in zip(report.label_names, report.films_per_label, strict=True))
    lines = [f"{report.counted} ({counts}); split {about['split']} of {about['data']}"]
    if seen := seen_line(about):
        lines.append(seen)
    if report.threshold is not None:
        called_at = threshold_words(report.threshold, report.label_names)
        lines.append(f"called at or above {called_at} ({about['threshold_chosen_by']})")
    if report.task != "multilabel":
        lines += ["", *_confusion(report)]
    lines.append("")
    for measure in report.measures:
        if report.task == "binary" or measure.finding in (ALL, MACRO, WEIGHTED):
            kind = f"{measure.finding if measure.finding in (MACRO, WEIGHTED) else '':10}"
            lines.append(f"{measure.name.replace('_', ' '):20}{kind if report.task != 'binary' else ' ' * 6}{measure}")
    if report.task != "binary":
        lines += ["", *_per_class(report)]
    lines += parts_table(parts)
    resampled = "patients" if report.patients_known else "films as if each were another patient"
    lines += ["", f"In brackets: 95 % intervals, resampling {resampled}."]
    if out:
        lines.append(f"Written to {out}: report.json, predictions.csv and five plots")
    return "\n".join(lines)


PER_CLASS = ("sensitivity", "specificity", "auroc", "average_precision", "ece")


def _per_class(report: Report) -> list[str]:
    """A line per class: each against all others."""
    wide = max(10, *(len(name) + 2 for name in report.label_names))
    head = f"{'class':{wide}}{'films':>7}" + "".join(f"{name.replace('_', ' '):>24}" for name in PER_CLASS)
    rows = zip(report.label_names, report.films_per_label, strict=True)
    return [
        head,
        *(
            f"{name:{wide}}{films:>7,}" + "".join(f"{_short(report, metric, name):>24}" for metric in PER_CLASS)
            for name, films in rows
        ),
    ]


def _short(report: Report, metric: str, finding: str) -> str:
    measure = report.measure(metric, finding)
    return "not defined" if measure.value is None else str(measure)


def seen_line(about: Mapping[str, Any]) -> str:
    """Which of the films the reader has seen before, as report.json keeps it; empty where none, or where not known."""
    from lucency.data.learned import Seen

    return Seen(**about["seen"]).line() if about.get("seen") else ""


def parts_table(parts: Sequence[Subgroup]) -> list[str]:
    """A line per subgroup; a star where it differs from the other films."""
    lines = []
    for column in dict.fromkeys(part.column for part in parts):
        here = [part for part in parts if part.column == column]
        names = [figure.name for figure in here[0].figures]
        wide = max(14, *(len(part.value) + 2 for part in here))
        lines += ["", f"{'by ' + column:{wide}}{'films':>7}" + "".join(f"{name:>26}" for name in names)]
        for part in here:
            cells = "".join(f"{f'{figure}*' if figure.differs else f'{figure} ':>26}" for figure in part.figures)
            several = f"  {part.finding}" if len({one.finding for one in here}) > 1 else ""
            lines.append(f"{part.value:{wide}}{part.films:>7,}{cells}{several}")
    return [*lines, "* differs from the other films (95 %, over all subgroups of a column)"] if lines else []


def _confusion(report: Report) -> list[str]:
    names = report.label_names
    wide = max(8, *(len(name) + 2 for name in names))
    head = f"{'true, called:':{wide + 6}}" + "".join(f"{name:>{wide}}" for name in names)
    rows = report.confusion["all"]
    return [
        head,
        *(f"{name:{wide + 6}}" + "".join(f"{n:>{wide},}" for n in row) for name, row in zip(names, rows, strict=True)),
    ]


def compare(
    a: Annotated[
        Path, typer.Argument(help="Run or bundle; without --data a folder written by evaluate --out.", metavar="A")
    ],
    b: Annotated[Path, typer.Argument(help="The same, of the second reader.", metavar="B")],
    data: Annotated[str | None, typer.Option(help="Labelled films, if A and B are runs or bundles.")] = None,
    source: Source = "auto",
    finding: Finding = None,
    allow_missing: AllowMissing = False,
    split: Split = None,
    only_unseen: OnlyUnseen = False,
    out: Annotated[Path | None, typer.Option(help="File for the comparison as JSON.")] = None,
    resamples: Resamples = 2000,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Compare two readers on the same films: DeLong's test for AUROC, McNemar's for correct calls, all by patient.

    Also reports the detectable difference, so that too few films are not taken for "no difference".

    Example: lucency compare evaluations/first evaluations/second
    """
    from lucency.evaluate.comparison import compare as compare_readers
    from lucency.evaluate.report import dump
    from lucency.files import write_text

    options = DataOptions(source, finding, allow_missing)

    first, second = (
        evaluation_input(path, data, options, split, unseen_by=(a, b) if only_unseen else ()) for path in (a, b)
    )
    names, thresholds = (str(a), str(b)), (first.threshold, second.threshold)
    found = compare_readers(first.predictions, second.predictions, thresholds, resamples, seed)
    seen = {name: one.about.get("seen") for name, one in (("A", first), ("B", second))}
    content = dump({"seen": seen} | _to_json(found, first.predictions, names, thresholds, str(first.about["data"])))
    if out:
        write_text(out, content + "\n")
    said = [f"{name}: {line}" for name, one in (("A", first), ("B", second)) if (line := seen_line(one.about))]
    echo(content if json else "\n".join([*said, comparison_table(found, first.predictions, names, thresholds)]))


def comparison_table(
    found: tuple[Comparison, ...], films: Predictions, names: tuple[str, str], thresholds: tuple[PerFinding, PerFinding]
) -> str:
    """The comparison as text for a terminal."""
    from lucency.evaluate.predictions import patient_words, threshold_words

    whose = patient_words(int(films.groups().max()) + 1 if films.patients_known else None)
    lines = [
        f"A {names[0]} (at {threshold_words(thresholds[0], films.label_names)})",
        f"B {names[1]} (at {threshold_words(thresholds[1], films.label_names)})",
        f"{len(films):,} films, {whose}",
    ]
    for one in found:
        lines += ["", f"{one.finding:14}{'A':>8}{'B':>8}{'A − B':>9}   95 % interval          p   shows from"]
        if one.areas is not None:
            lines.append(_areas(one.areas))
        lines += [_contrast(contrast) for contrast in one.contrasts if contrast.difference is not None]
    return "\n".join([*lines, "", *NOTES])


NOTES = (
    "p: DeLong's test for AUROC, McNemar's mid-p for the rest, both by patient: the chance of so large a difference",
    "between equally good readers. shows from: the difference that films like these show four times in five;",
    "– where no difference would show.",
)


def _areas(areas: DeLong) -> str:
    from lucency.evaluate.comparison import detectable_difference

    low, high = areas.interval
    shows = f"{detectable_difference(areas.error):.3f}" if areas.error else "–"
    return _line("AUROC", (areas.a, areas.b, areas.difference), f"{low:+.3f} to {high:+.3f}", _p(areas.p), shows)


def _contrast(contrast: Contrast) -> str:
    assert contrast.a is not None
    assert contrast.b is not None
    assert contrast.difference is not None
    interval = "–" if contrast.low is None or contrast.high is None else f"{contrast.low:+.3f} to {contrast.high:+.3f}"
    p = "–" if contrast.balance is None else _p(contrast.balance.mid_p)
    shows = "–" if contrast.detectable is None else f"{contrast.detectable:.3f}"
    line = _line(contrast.name, (contrast.a, contrast.b, contrast.difference), interval, p, shows)
    if contrast.balance is None:
        return line
    return f"{line}   right: only A {contrast.balance.only_a}, only B {contrast.balance.only_b}"


def _line(name: str, values: tuple[float, float, float], interval: str, p: str, shows: str) -> str:
    a, b, difference = values
    return f"{name:14}{a:>8.3f}{b:>8.3f}{difference:>+9.3f}   {interval:18}{p:>8}{shows:>8}"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _to_json(
    found: tuple[Comparison, ...],
    films: Predictions,
    names: tuple[str, str],
    thresholds: tuple[PerFinding, PerFinding],
    data: str,
) -> dict[str, Any]:
    return {
        "a": names[0],
        "b": names[1],
        "thresholds": list(thresholds),
        "data": data,
        "films": len(films),
        "patients": int(films.groups().max()) + 1,
        "patients_known": films.patients_known,
        "findings": [one.to_json() for one in found],
    }


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
