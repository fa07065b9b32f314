"""`lucency faith`: how faithful a reader's maps are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from lucency.cli import echo
from lucency.cli.inputs import (
    AllowMissing,
    DataOptions,
    FoldCount,
    HeldOutFold,
    Json,
    Resamples,
    Source,
    Split,
    read_films,
    report_unreadable,
)
from lucency.modality import MODALITIES

if TYPE_CHECKING:
    from lucency.arrays import Floats32, Pixels
    from lucency.data import Dataset
    from lucency.explain import BoundExplainer
    from lucency.explain.faithfulness import Cases, Estimate, ExplainerResult, Networks
    from lucency.reader import Reader

ALL = "all"


OutlinedLungs = Annotated[
    Path | None, typer.Option(help="Of chest films: folder with films/ and masks/ of lungs outlined by hand.")
]


def faith(
    readers: Annotated[
        list[Path], typer.Argument(help="A run or bundle; then runs of other seeds.", metavar="RUN|BUNDLE…")
    ],
    data: Annotated[str, typer.Option(help="Films; with masks or boxes the lesion is scored too.")],
    out: Annotated[Path, typer.Option(help="Folder for faith.json and curves.png.")],
    method: Annotated[
        list[str] | None, typer.Option(help="An explainer; may be repeated, `all` for all. [default: cam]")
    ] = None,
    source: Source = "auto",
    allow_missing: AllowMissing = False,
    split: Split = None,
    fold: HeldOutFold = None,
    folds: FoldCount = 5,
    films: Annotated[int, typer.Option(min=0, help="Films with the finding, drawn at random; 0 for all.")] = 100,
    finding: Annotated[str | None, typer.Option(help="Which label, where there are several.")] = None,
    shuffled: Annotated[
        Path | None, typer.Option(help="A run trained on shuffled labels (lucency train --shuffle-labels).")
    ] = None,
    boxes: Annotated[Path | None, typer.Option(help="Table of boxes around the disease; its films are used.")] = None,
    lungs: OutlinedLungs = None,
    beside: Annotated[
        list[Path] | None, typer.Option(help="Another run or bundle to evaluate on the same films; may be repeated.")
    ] = None,
    causes: Annotated[bool, typer.Option(help="Of chest films: also paint over lungs and exchange the rest.")] = True,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only measure where the evidence lies: seconds, not minutes.")
    ] = False,
    resamples: Resamples = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the sample of films.")] = 0,
    json: Json = False,
) -> int:
    """Measure how faithful a reader's maps are, against a random map; every figure with its 95 % interval.

    Where the evidence lies (in the lesion, where it is marked), whether removing it changes the output (deletion,
    insertion, occlusion), and whether the map depends on the network (random weights or labels, other seeds). For
    chest films also whether evidence lies in the lungs, and whether the output depends on them (painted over;
    everything outside them exchanged with another film's).

    Example: lucency faith runs/phantom --data phantom:400:1 --method cam --method guided_backprop --out faith
    """
    from lucency.explain.boxes import with_boxes
    from lucency.reader import Reader

    options = DataOptions(source, allow_missing=allow_missing)

    reader = Reader.open(readers[0])
    index = _index(reader, finding)
    found, used = _films(data, options, split, fold, folds, boxes)
    networks = _networks(reader, readers[1:], shuffled)
    chosen = method or (["cam", "grad_cam"] if boxes and networks.own else ["cam"])
    marked = with_boxes(found, boxes) if boxes else found
    task = Task(marked, index, 0 if boxes else films, seed, resamples, lungs)
    results, cases = _evaluated(reader, chosen, task, networks, quick)
    for path in beside or ():
        results += _beside(path, task)
    shown = causes and reader.card.task == "binary" and MODALITIES[reader.card.modality].lungs
    changed = _causes(reader, found, index, films, seed, resamples) if shown else []
    _write(results, _about(reader, readers, index, data, found, used, cases), changed, out, json)
    return report_unreadable(cases.unreadable, len(cases.films) + len(cases.unreadable))


def _index(reader: Reader, finding: str | None) -> int:
    """The logit whose maps are measured.

    Raises:
        UsageError: none is named, or no such label.
    """
    from lucency.errors import UsageError
    from lucency.explain.explanation import label_index

    index = label_index(reader, finding)
    if index is None and reader.card.task != "binary":
        raise UsageError(f"--finding: expected one of {', '.join(reader.card.labels)}, whose maps are to be measured")
    return index or 0


@dataclass(frozen=True)
class Task:
    """The films and settings for every reader."""

    films: Dataset
    finding: int
    most: int
    seed: int
    resamples: int
    lungs: Path | None
    """Folder of lungs outlined by hand."""


def _films(
    data: str, options: DataOptions, split: str | None, fold: int | None, folds: int, boxes: Path | None
) -> tuple[Dataset, str]:
    """The films to evaluate on and their description: a held-out fold, or a split.

    Raises:
        UsageError: both are given, or there is no such fold.
        SourceError: the data cannot be read, or has no such split.
    """
    from lucency.cli.inputs import labelled_films
    from lucency.data.splits import Fold
    from lucency.errors import UsageError

    if boxes and _unlabelled(Path(data)):
        from lucency.explain.boxes import boxed_films

        return boxed_films(boxes, Path(data)), "boxed films"
    if fold is None:
        return labelled_films(data, options, split)
    if split is not None:
        raise UsageError(
            f"expected --fold or --split, received both; a fold is never part of a split: leave out {split}"
        )
    return Fold(fold, folds).split(read_films(data, options))[1], f"fold {fold} of {folds}"


def _unlabelled(data: Path) -> bool:
    """Whether the data are a table without a column `label`."""
    return data.is_file() and "label" not in data.read_text(encoding="utf-8").partition("\n")[0].strip().split(",")


def _evaluated(
    reader: Reader, methods: list[str], task: Task, networks: Networks, quick: bool
) -> tuple[list[ExplainerResult], Cases]:
    from lucency.explain.explanation import bind
    from lucency.explain.faithfulness import evaluate_explainers, gather_cases
    from lucency.lungs import lung_mask
    from lucency.reader.predict import as_labelled

    def read(squares: Pixels) -> Floats32:
        return reader.read_batch(squares).probabilities[:, task.finding]

    films = as_labelled(task.films, reader.card.labels)
    lungs = lung_mask if MODALITIES[reader.card.modality].lungs else None
    cases = gather_cases(films, reader.preprocess, lungs, task.finding, task.most, task.seed)
    explainers, occlusion = _explainers(reader, methods), bind(reader, "occlusion")
    results = evaluate_explainers(explainers, task.finding, read, occlusion, cases, networks, task.resamples, quick)
    return _on_outlined_lungs(results, reader, explainers, task) if task.lungs else results, cases


def _on_outlined_lungs(
    results: list[ExplainerResult], reader: Reader, explainers: list[BoundExplainer], task: Task
) -> list[ExplainerResult]:
    """The results with the energy in lungs that a person outlined, the random map's too."""
    from lucency.explain.boxes import outlined_lungs
    from lucency.explain.faithfulness import energy_in_outlined_lungs, random_map

    assert task.lungs is not None
    cases = outlined_lungs(task.lungs, reader.preprocess)
    numbers = iter(range(len(cases.films)))
    maps = [lambda gray, one=one: one.explain(gray, task.finding) for one in explainers]
    more = [
        energy_in_outlined_lungs(explain, cases, task.resamples)
        for explain in (*maps, lambda _gray: random_map(next(numbers)))
    ]
    return [replace(row, figures=(*row.figures, *figures)) for row, figures in zip(results, more, strict=True)]


def _beside(path: Path, task: Task) -> list[ExplainerResult]:
    """Another reader's own map on the same films."""
    from lucency.explain.faithfulness import Networks
    from lucency.reader import Reader

    results, _ = _evaluated(Reader.open(path), ["cam"], task, Networks(), quick=True)
    return [replace(results[0], method=f"cam of {path}")]


def _causes(reader: Reader, films: Dataset, index: int, most: int, seed: int, resamples: int) -> list[Estimate]:
    """The effects of interventions; none if the films are of one class only."""
    from lucency.data.dataset import decode_each
    from lucency.errors import FilmError
    from lucency.explain.interventions import ReadOutputs, evaluate_causes
    from lucency.lungs import lung_mask
    from lucency.reader.outputs import accepted
    from lucency.reader.predict import as_labelled

    films = as_labelled(films, reader.card.labels)
    order = np.random.default_rng(seed).permutation(len(films))
    labels = films.label_array()
    each = most or len(films)
    chosen = films.subset(np.sort(np.concatenate([order[labels[order] == label][:each] for label in (0, 1)])))
    if len(set(chosen.label_array().tolist())) < 2:
        return []
    squares = list(decode_each(chosen, reader.preprocess.__call__))
    good = [i for i, square in enumerate(squares) if not isinstance(square, FilmError)]

    def read(some: Pixels) -> ReadOutputs:
        outputs = reader.read_batch(some)
        called = outputs.probabilities[:, index] >= np.float32(reader.card.thresholds[index])
        logits = outputs.logits[:, index].astype(np.float64)
        return ReadOutputs(logits, called.astype(np.int64), ~accepted(reader.card, outputs))

    read_films = chosen.subset(good)
    stack = np.stack([square for square in squares if not isinstance(square, FilmError)])
    positive = read_films.label_array() == 1
    return evaluate_causes(read, stack, positive, read_films.groups(), lung_mask, resamples, seed)


def _write(
    results: list[ExplainerResult], about: dict[str, Any], causes: list[Estimate], out: Path, json: bool
) -> None:
    """Write faith.json and, if any, the curves; print the results."""
    from lucency.evaluate.report import dump
    from lucency.explain.faithfulness_report import curves_picture, table, to_json
    from lucency.files import write_bytes, write_text

    content = dump(to_json(results, about, causes))
    if any(len(row.deletion) for row in results):
        write_bytes(out / "curves.png", curves_picture(results))
    write_text(out / "faith.json", content + "\n")
    echo(content if json else f"{table(results, about, causes)}\nWritten to {out}")


def _explainers(reader: Reader, wanted: list[str]) -> list[BoundExplainer]:
    """The explainers named, or all that this reader supports."""
    from lucency.explain.explanation import bind, methods

    names = list(methods(reader)) if ALL in wanted else list(dict.fromkeys(wanted))
    return [bind(reader, name) for name in names]


def _networks(reader: Reader, others: list[Path], shuffled: Path | None) -> Networks:
    """The networks that the sanity checks need; none for an exported bundle.

    Raises:
        UsageError: further runs are given for an exported bundle.
        BundleError: one of them is no run.
    """
    from lucency.errors import UsageError
    from lucency.explain.faithfulness import Networks

    if reader.card.model.format != "torch":
        if others or shuffled:
            raise UsageError(
                f"{reader.bundle.path}: further runs are compared with a run, received a bundle; name its run first"
            )
        return Networks()
    from lucency.models.run import load_run, open_run

    peers = tuple(open_run(path).classifier for path in others)
    return Networks(load_run(reader.bundle).classifier, peers, open_run(shuffled).classifier if shuffled else None)


def _about(
    reader: Reader, readers: list[Path], index: int, data: str, films: Dataset, split: str, cases: Cases
) -> dict[str, Any]:
    """The fields of faith.json on reader and films."""
    from lucency import __version__

    card = reader.card
    return {
        "lucency": __version__,
        "readers": [str(path) for path in readers],
        "reader_sha256": reader.bundle.digest,
        "finding": card.labels[1] if card.task == "binary" else card.labels[index],
        "data": data,
        "source": films.source,
        "split": split,
        "films": len(cases.films),
        "films_with_lesion": sum(case.lesion is not None for case in cases.films),
        "patients": len(np.unique(cases.groups)),
        "patients_known": films.patients_known,
        "unread": [str(error) for error in cases.unreadable],
    }
