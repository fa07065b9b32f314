"""`lucency drift` and `shift`: compare films with a reference, and readers under acquisition shift."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency.cli.inputs import AllowMissing, Aspects, DataOptions, Finding, Json, Seed, Source, Threads, read_films
from lucency.cli.terminal import echo

if TYPE_CHECKING:
    from lucency.data import Dataset
    from lucency.data.acquisition_pairs import Whose
    from lucency.shift.study import BiasBaseline, HeldOutReader, Settings, ShiftResult


DRIFTED = 1


def drift(
    bundle: Annotated[Path, typer.Argument(help="The run or bundle that reads the films.", metavar="RUN|BUNDLE")],
    reference: Annotated[str, typer.Option(help="Reference films: the training films, or last year's.")],
    now: Annotated[str, typer.Option(help="Current films. Labels are ignored.")],
    out: Annotated[Path, typer.Option(help="Folder for drift.html and drift.json.")] = Path("drift"),
    source: Source = "auto",
    finding: Finding = None,
    allow_missing: AllowMissing = False,
    level: Annotated[float, typer.Option(min=0.001, max=0.2, help="Chance of any false alarm.")] = 0.01,
    draws: Annotated[int, typer.Option(min=99, help="Permutations of the patients, for the p values.")] = 999,
    most: Annotated[int, typer.Option(min=20, help="At most so many films of each side, sampled by patient.")] = 1000,
    seed: Seed = 0,
    threads: Threads = 1,
    as_json: Json = False,
) -> int:
    """Compare current films with a reference: appearance, layout, and the reader's outputs.

    The exit code is 1 if anything has shifted: look at the films, and evaluate the reader again on labelled ones.

    Example: lucency drift bundle --reference films_2023 --now films_2024 --out drift
    """
    from json import dumps

    from lucency.drift import compare, page, sample, subsample_patients, table, to_json
    from lucency.files import write_text
    from lucency.reader import Reader

    options = DataOptions(source, finding, allow_missing)

    reader = Reader.open(bundle, threads)
    before, after = (
        sample(reader, subsample_patients(read_films(data, options, depends=False), most, seed), doing)
        for data, doing in ((reference, "reading the reference"), (now, "reading current films"))
    )
    found = compare(before, after, level, draws, seed)
    content = dumps(
        to_json(found, before, after, {"reader": str(bundle), "reference": reference, "now": now}), indent=2
    )
    write_text(out / "drift.json", content + "\n")
    write_text(out / "drift.html", page(found, before, after, reference, now))
    echo(content if as_json else table(found, before, after, out))
    for error in (*before.unreadable, *after.unreadable):
        echo(f"  {error}", err=True)
    return DRIFTED if found.alarm else 0


def shift(
    context: typer.Context,
    runs: Annotated[list[Path], typer.Argument(help="Runs or bundles to compare.", metavar="RUN|BUNDLE...")],
    data: Annotated[str, typer.Option(help="The films they were trained on; with --split any labelled films.")],
    source: Source = "auto",
    finding: Finding = None,
    allow_missing: AllowMissing = False,
    split: Annotated[str | None, typer.Option(help="train, val, test or all. [default: films not trained on]")] = None,
    fold: Annotated[
        int | None, typer.Option(min=1, help="The held-out fold. [default: found by the split hash]")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Number of folds. [default: found by the split hash]")
    ] = None,
    aspects: Aspects = None,
    pairs: Annotated[Path | None, typer.Option(help="Folder with the same films at another resolution.")] = None,
    donors: Annotated[
        str, typer.Option(help="Class of the films whose acquisition is applied: other, any, same.")
    ] = "other",
    only: Annotated[
        list[str] | None, typer.Option(help="A condition to evaluate; may be repeated. [default: all]")
    ] = None,
    bias: Annotated[
        bool, typer.Option("--bias", help="Fit the bias-only baseline too; it measures all films.")
    ] = False,
    seed: Seed = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of a bundle.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder for shift.html and shift.json.")] = None,
    json: Json = False,
) -> None:
    """Evaluate readers on held-out films re-acquired like films of another class: sharpness, tone, aspect and more.

    The threshold is chosen on the plain films. A loss under `--donors other` but not under `same` is a shortcut.

    Example: lucency shift runs/kermany/fold-1 runs/lecture/fold-1 --data chest_xray --bias --out shift
    """
    from shlex import join

    from lucency.data import read_dataset
    from lucency.data.acquisition_pairs import known_aspects
    from lucency.shift.report import table
    from lucency.shift.study import Settings, bias_baseline, evaluate_shift

    options, whose = DataOptions(source, finding, allow_missing), _whose(donors)
    films = read_films(data, options)
    readers = [
        _held_out_reader(run, title, films, data, options, split, fold, folds, threads)
        for run, title in zip(runs, _titles(runs), strict=True)
    ]
    known = known_aspects(aspects) if aspects else {}
    settings = Settings(whose, seed, tuple(only or ()), known, read_dataset(pairs) if pairs else None)
    found = bias_baseline(films, known) if bias else None
    studies = evaluate_shift(readers, films, settings, found)
    command = join(["lucency", *(context.find_root().obj or ["shift", *map(str, runs)])])
    content = _json(studies, settings, found, command)
    if out:
        _write(out, studies, settings, found, command, content)
    echo(content if json else table(studies, whose, found))


def _whose(donors: str) -> Whose:
    from lucency.data.acquisition_pairs import WHOSE
    from lucency.errors import UsageError

    for name in WHOSE:
        if name == donors:
            return name
    raise UsageError(f"--donors: expected {', '.join(WHOSE)}, received '{donors}'")


def _held_out_reader(
    run: Path,
    title: str,
    all_films: Dataset,
    data: str,
    options: DataOptions,
    split: str | None,
    fold: int | None,
    folds: int | None,
    threads: int,
) -> HeldOutReader:
    from lucency.cli.inputs import labelled_films
    from lucency.reader import Reader
    from lucency.reader.predict import as_labelled
    from lucency.shift.conditions import held_out
    from lucency.shift.study import HeldOutReader

    reader = Reader.open(run, threads)
    if split is None:
        films, how = held_out(reader.card, all_films, fold, folds)
    else:
        films, used = labelled_films(data, options, split)
        how = f"{len(films)} films, split {used} (may include training films)"
    return HeldOutReader(title, reader, as_labelled(films, reader.card.labels), how)


def _titles(runs: list[Path]) -> list[str]:
    """The shortest end of each path that is unique among the runs; of a fold with at least its parent folder."""
    return [_title(run, [other for other in runs if other != run]) for run in runs]


def _title(run: Path, others: list[Path]) -> str:
    parts = run.parts
    least = 2 if run.name.startswith("fold-") else 1
    apart = (n for n in range(least, len(parts)) if all(other.parts[-n:] != parts[-n:] for other in others))
    return "/".join(parts[-next(apart, len(parts)) :])


def _json(studies: list[ShiftResult], settings: Settings, bias: BiasBaseline | None, command: str) -> str:
    from dataclasses import asdict
    from json import dumps

    from lucency.shift.study import summarise_seeds

    baseline = None if bias is None else {"auroc": bias.auroc, "films": bias.films, "wrong": len(bias.wrong)}
    recipes = [asdict(one) for one in summarise_seeds(studies)]
    about = {"schema_version": 1, "command": command, "donors": settings.whose, "seed": settings.seed}
    return dumps({**about, "bias_only": baseline, "recipes": recipes, "runs": [r.to_json() for r in studies]}, indent=1)


def _write(
    out: Path, studies: list[ShiftResult], settings: Settings, bias: BiasBaseline | None, command: str, content: str
) -> None:
    from lucency.files import write_text
    from lucency.shift.report import page

    write_text(out / "shift.json", content + "\n")
    write_text(out / "shift.html", page(studies, settings.whose, bias, command))
