"""`lucency audit`, `phantom`, `drift`, `shift`, `leave-out`: check data sets, draw one, test readers for shortcuts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from lucency.cli import echo
from lucency.cli.inputs import AllowMissing, Aspects, DataOptions, Finding, Json, Seed, Source, Threads, read_films

if TYPE_CHECKING:
    from lucency.arrays import Floats, Pixels
    from lucency.audit import Finding as AuditFinding
    from lucency.data import Dataset
    from lucency.data.acquisition_pairs import Whose
    from lucency.film import Film
    from lucency.shift.study import BiasBaseline, HeldOutReader, Settings, ShiftResult


SHOWN = 12
"""Lines printed for a finding that has no pictures."""


def audit(
    data: Annotated[Path, typer.Argument(help="Folder, table or archive of films with labels, or phantom:N.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for audit.html and audit.json.")] = Path("audit"),
    source: Source = "auto",
    allow_missing: AllowMissing = False,
    modality: Annotated[str, typer.Option(help="Kind of picture, as data.modality of a recipe.")] = "chest_xray",
    as_json: Json = False,
) -> None:
    """Check every film of a data set: leaks, duplicates, odd films, shortcuts.

    The exit code is 4 if anything makes results invalid: patients or films on both sides of a split, one film with two
    labels, films that cannot be read. Dangers are reported but do not change the exit code.

    Example: lucency audit chest_xray --out audits/chest_xray
    """
    import json

    from lucency.audit import audit as audit_films
    from lucency.audit.report import page
    from lucency.errors import SourceError, UsageError
    from lucency.files import write_text
    from lucency.modality import MODALITIES

    options = DataOptions(source, allow_missing=allow_missing)

    if modality not in MODALITIES:
        raise UsageError(f"--modality {modality}: expected one of {', '.join(MODALITIES)}")
    found = audit_films(read_films(data, options, depends=False), modality)
    content = json.dumps(found.to_json(), indent=2, ensure_ascii=False)
    write_text(out / "audit.json", content + "\n")
    write_text(out / "audit.html", page(found, str(data)))
    echo(content if as_json else _summary(found.findings, out))
    if found.invalid:
        what = "; ".join(finding.title.lower() for finding in found.invalid)
        raise SourceError(f"{data}: results would be wrong: {what}; see {out / 'audit.html'}")


def _summary(findings: tuple[AuditFinding, ...], out: Path) -> str:
    lines = []
    for finding in findings:
        lines.append(f"{finding.severity:8}{finding.title}: {finding.line}")
        lines += [f"{'':10}{word}" for word in finding.details[:SHOWN] if not finding.groups]
    return "\n".join([*(lines or ["nothing found"]), f"written: {out / 'audit.html'}, {out / 'audit.json'}"])


def phantom(
    out: Annotated[Path, typer.Option(help="Folder for films, masks and labels; new.", show_default=False)],
    films: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the patients.")] = 0,
) -> None:
    """Write drawn chest films with exact lesion masks, to try everything without patient data.

    Example: lucency phantom --out phantoms --films 200
    """
    from lucency.data.phantom import write_phantoms

    write_phantoms(out, films, seed)
    echo(f"{out}: {films} drawn films with their lesion masks; train on them with lucency train --data {out}")


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


IMAGE_SIZE = 192


def leave_out(
    data: Annotated[str, typer.Argument(help="Labelled films of two classes.")],
    by: Annotated[
        str, typer.Option(help="id:50, date:200, size:10, cluster:8 or column:NAME: how films form blocks.")
    ] = "id:50",
    blocks: Annotated[
        Path | None, typer.Option(help='TOML of blocks instead: name = ["PATTERN", "PREFIX 700-749"].')
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Out-of-fold predictions.csv, to evaluate instead of training.")
    ] = None,
    weights: Annotated[str, typer.Option(help="Weights of the frozen backbone.")] = "imagenet",
    source: Source = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder for leave_out.json.")] = None,
    json: Json = False,
) -> None:
    """Leave blocks of films out in turn, train on the rest, and report each block, the worst first.

    By default a logistic regression on frozen ImageNet features of the lungs' box is trained for each block, which
    takes minutes. Each block is evaluated against a fifth of the other class, held out by patient.

    Example: lucency leave-out chest_xray --by id:50 --out blocks
    """
    from json import dumps

    from lucency.files import write_text
    from lucency.shift import leave_out as blockwise

    films = read_films(data, DataOptions(source))
    places = blockwise.blocks_from(films, blocks) if blocks else blockwise.blocks_by(films, by)
    if predictions:
        films, places, scores = _predicted(films, places, predictions)
        found = blockwise.evaluate_blocks(films, places, scores)
    else:
        films, places, features = _features(films, places, weights)
        found = blockwise.leave_out(films, places, blockwise.logistic_on(features, films.label_array()))
    content = dumps({"schema_version": 1, "data": data, "by": str(blocks or by), **found.to_json()}, indent=1)
    if out:
        write_text(out / "leave_out.json", content + "\n")
    echo(content if json else blockwise.table(found))


def _predicted(films: Dataset, places: list[str | None], path: Path) -> tuple[Dataset, list[str | None], Floats]:
    """The predicted films, their blocks, and their logits."""
    from lucency.errors import SourceError
    from lucency.evaluate.predictions import read_predictions

    predictions = read_predictions(path, films.labels)
    rows = {name: row for row, name in enumerate(predictions.names)}
    known = [index for index, sample in enumerate(films.samples) if sample.name in rows]
    if not known:
        raise SourceError(f"{path}: expected predictions of the films of the data, found none by their names")
    order = [rows[films.samples[index].name] for index in known]
    return films.subset(known), [places[index] for index in known], predictions.logits[order, 0].astype(np.float64)


def _features(films: Dataset, places: list[str | None], weights: str) -> tuple[Dataset, list[str | None], Floats]:
    """The readable films, their blocks, and frozen features of their lungs' box, float64 (n, k)."""
    import torch

    from lucency.data.dataset import decode_each, require_readable
    from lucency.errors import FilmError
    from lucency.models import build
    from lucency.progress import track
    from lucency.recipe import ModelSettings

    network = build(ModelSettings(backbone="mobilenet_v2", weights=weights)).eval()
    good, rows, unreadable = [], [], []
    for index, square in enumerate(track(decode_each(films, _lungs_box), "computing features", len(films))):
        if isinstance(square, FilmError):
            unreadable.append(square)
            continue
        with torch.inference_mode():
            rows.append(network.pooled(torch.from_numpy(square[None, None].astype(np.float32))).numpy()[0])
        good.append(index)
    require_readable(films, len(good), unreadable)
    return films.subset(good), [places[index] for index in good], np.stack(rows).astype(np.float64)


def _lungs_box(film: Film) -> Pixels:
    """The lungs' box of a film with a twentieth around it, or the whole film without lungs, as a square."""
    from lucency.lungs import find_lungs
    from lucency.preprocess import resize

    gray = film.gray8()
    left, top, right, bottom = find_lungs(gray).box or (0, 0, film.width, film.height)
    wide, high = (right - left) // 20, (bottom - top) // 20
    box = gray[max(top - high, 0) : bottom + high, max(left - wide, 0) : right + wide]
    return resize(np.ascontiguousarray(box), IMAGE_SIZE)
