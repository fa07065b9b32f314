"""`lucency faith`: whether a reader's maps can be believed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from lucency.cli.inputs import Json, Resamples, Source, Split, report_unreadable

if TYPE_CHECKING:
    from lucency.arrays import Floats32, Pixels
    from lucency.data import Dataset
    from lucency.explain import BoundExplainer
    from lucency.explain.faithfulness import Cases, ExplainerResult, Networks
    from lucency.reader import Reader

ALL = "all"


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
    split: Split = None,
    fold: Annotated[int | None, typer.Option(help="Which fold was held out, for a run of a cross-validation.")] = None,
    folds: Annotated[int, typer.Option(min=2, help="Of how many.")] = 5,
    films: Annotated[int, typer.Option(min=0, help="Films with the finding, drawn at random; 0 for all.")] = 100,
    finding: Annotated[str | None, typer.Option(help="Which label, where there are several.")] = None,
    shuffled: Annotated[
        Path | None, typer.Option(help="A run trained on shuffled labels (lucency train --shuffle-labels).")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Only where the evidence lies: seconds, not minutes.")] = False,
    resamples: Resamples = 2000,
    seed: Annotated[int, typer.Option(help="Of the draw of films.")] = 0,
    json: Json = False,
) -> int:
    """Measure whether a reader's maps can be believed, beside a random map; every figure with its 95 % interval.

    Where the evidence lies (lesion, lungs), whether the reader minds losing it (deletion, insertion, occlusion), and
    whether the map shows the network at all (weights or labels made random, other seeds).

    Example: lucency faith runs/phantom --data phantom:400:1 --method cam --method guided_backprop --out faith
    """
    from lucency.cli.explain import label_index
    from lucency.explain.faithfulness import gather_cases
    from lucency.lungs import lung_mask
    from lucency.reader import Reader
    from lucency.reader.predict import as_labelled

    reader = Reader.open(readers[0])
    index = label_index(reader, finding) or 0
    found, used = _films(data, source, split, fold, folds)
    cases = gather_cases(as_labelled(found, reader.card.labels), reader.preprocess, lung_mask, index, films, seed)
    networks = _networks(reader, readers[1:], shuffled)
    judged = _evaluated(reader, _explainers(reader, method or ["cam"]), index, cases, networks, resamples, quick)
    _write(judged, _about(reader, readers, index, data, found, used, cases), out, json)
    return report_unreadable(cases.unreadable, len(cases.films) + len(cases.unreadable))


def _films(data: str, source: str, split: str | None, fold: int | None, folds: int) -> tuple[Dataset, str]:
    """The films to judge on and what they are called: a fold as it was held out, or a split.

    Raises:
        UsageError: both were asked for, or there is no such fold.
        SourceError: the data cannot be read, or has no such split.
    """
    from lucency.cli.inputs import labelled_films
    from lucency.data import read_dataset
    from lucency.data.splits import Fold
    from lucency.errors import UsageError

    if fold is None:
        return labelled_films(data, source, split)
    if split is not None:
        raise UsageError(f"expected --fold or --split, came both; a fold is never part of a split: leave out {split}")
    return Fold(fold, folds).split(read_dataset(data, source))[1], f"fold {fold} of {folds}"


def _evaluated(
    reader: Reader,
    explainers: list[BoundExplainer],
    index: int,
    cases: Cases,
    networks: Networks,
    resamples: int,
    quick: bool,
) -> list[ExplainerResult]:
    from lucency.cli.explain import bind
    from lucency.explain.faithfulness import evaluate_explainers

    def read(squares: Pixels) -> Floats32:
        return reader.read_batch(squares).probabilities[:, index]

    occlusion = bind(reader, "occlusion")
    return evaluate_explainers(explainers, index, read, occlusion, cases, networks, resamples, quick)


def _write(judged: list[ExplainerResult], about: dict[str, Any], out: Path, json: bool) -> None:
    """Write faith.json, the curves where some were drawn, and print what was found."""
    from lucency.evaluate.report import dump
    from lucency.explain.faithfulness_report import curves_picture, table, to_json
    from lucency.files import write_bytes, write_text

    content = dump(to_json(judged, about))
    if any(len(row.deletion) for row in judged):
        write_bytes(out / "curves.png", curves_picture(judged))
    write_text(out / "faith.json", content + "\n")
    typer.echo(content if json else f"{table(judged, about)}\nWritten to {out}")


def _explainers(reader: Reader, wanted: list[str]) -> list[BoundExplainer]:
    """The explainers named, or all that this reader supports."""
    from lucency.cli.explain import bind, methods

    names = list(methods(reader)) if ALL in wanted else list(dict.fromkeys(wanted))
    return [bind(reader, name) for name in names]


def _networks(reader: Reader, others: list[Path], shuffled: Path | None) -> Networks:
    """The networks that the sanity checks need; none for an exported bundle.

    Raises:
        UsageError: further runs were given for an exported bundle.
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
    """What faith.json says of where its figures come from."""
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
