"""A reader's answers for the commands that judge: asked now, or read from disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from lucency.data import Films
    from lucency.evaluate import Predictions
    from lucency.reader import Reader

SOME_UNREAD = 3
KEPT = ("reader", "reader_name", "reader_sha256", "data", "source", "split", "threshold_chosen_by", "unread")
"""What a judgement on disk says of where its answers come from, and another judgement of them repeats."""


@dataclass(frozen=True)
class Asked:
    """Answers to judge."""

    predictions: Predictions
    threshold: float
    about: Mapping[str, Any]
    """What report.json says of where they come from."""
    unreadable: tuple[str, ...] = ()
    """Why films could not be read."""


def answers(
    path: Path,
    data: str | None,
    source: str = "auto",
    split: str | None = None,
    threshold: float | None = None,
    threads: int = 1,
) -> Asked:
    """Ask the run or bundle at `path` about the films at `data`; without `data`, open the predictions at `path`.

    Raises:
        UsageError: a run or bundle, but no films.
        SourceError: no films, or no predictions; or labels that the reader does not know.
        BundleError: no run or bundle.
    """
    if data is None:
        return _from_disk(path, threshold)
    from lucency.cli.films import labelled_films
    from lucency.reader import Reader
    from lucency.reader.predict import predict

    films, used = labelled_films(data, source, split, classes=1)
    reader = Reader.open(path, threads)
    predicted = predict(reader, films)
    unreadable = tuple(map(str, predicted.unreadable))
    point = reader.card.operating_point.threshold if threshold is None else threshold
    about = about_judging(reader, path, data, films, used, threshold, unreadable)
    return Asked(predicted.predictions, point, about, unreadable)


def _from_disk(path: Path, threshold: float | None) -> Asked:
    import json
    import shlex

    from lucency import __version__
    from lucency.errors import SourceError, UsageError
    from lucency.evaluate.report import open_predictions

    if not path.exists():
        raise SourceError(f"{path}: expected a folder that lucency evaluate wrote, found nothing there; check the path")
    folder = path if path.is_dir() else path.parent
    if (folder / "card.json").is_file() and not (folder / "predictions.csv").is_file():
        raise UsageError(f"{path} is a run or bundle: name the films it should read with --data DIR")
    predictions, at = open_predictions(path)
    told = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    given = [] if threshold is None else ["--threshold", f"{threshold:g}"]
    command = shlex.join(["lucency", "evaluate", str(path), *given])
    about = {"lucency": __version__, "command": command, **{name: told[name] for name in KEPT if name in told}}
    about = {"data": "films not named", "split": "not named", "threshold_chosen_by": "default", **about}
    if threshold is not None:
        about["threshold_chosen_by"] = "given"
    return Asked(predictions, at if threshold is None else threshold, about)


def about_judging(
    reader: Reader,
    bundle: Path,
    data: str,
    films: Films,
    split: str,
    threshold: float | None,
    unreadable: tuple[str, ...],
) -> dict[str, Any]:
    """What report.json says of where its figures come from."""
    import shlex

    from lucency import __version__

    command = ["lucency", "evaluate", str(bundle), "--data", data, "--source", films.source, "--split", split]
    point = reader.card.operating_point
    given = [] if threshold is None else ["--threshold", f"{threshold:g}"]
    return {
        "lucency": __version__,
        "command": shlex.join([*command, *given]),
        "reader": str(bundle),
        "reader_name": reader.card.name,
        "reader_sha256": reader.bundle.digest,
        "data": data,
        "source": films.source,
        "split": split,
        "threshold_chosen_by": point.chosen_by if threshold is None else "given",
        "unread": list(unreadable),
        "data_warnings": list(films.warnings),
    }


def report_unread(asked: Asked) -> int:
    """Tell which films could not be read; the exit code that follows from it."""
    if not asked.unreadable:
        return 0
    total = len(asked.predictions) + len(asked.unreadable)
    typer.echo(f"\n{len(asked.unreadable)} of {total} films could not be read and are not in these figures:", err=True)
    for reason in asked.unreadable:
        typer.echo(f"  {reason}", err=True)
    return SOME_UNREAD
