"""Shared options; the films that a command line names; recipes, labelled films and predictions, opened."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lucency.cli import echo
from lucency.errors import FILM_MISSING, SOME_UNREADABLE, FilmError
from lucency.film.film import READERS, kind_of

if TYPE_CHECKING:
    from lucency.data import Dataset
    from lucency.evaluate import Predictions
    from lucency.evaluate.predictions import PerFinding
    from lucency.reader import Reader
    from lucency.recipe import Recipe


Source = Annotated[str, typer.Option(help="How to read the data: auto, or a row of SOURCES.")]
Finding = Annotated[str | None, typer.Option(help="The label that is the finding. [default: by the labels' names]")]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="Continue if more than a tenth of the films is left out.")
]
Split = Annotated[
    str | None,
    typer.Option(help="train, test, all, or val: its validation films. [default: test if there, else all]"),
]
OnlyUnseen = Annotated[
    bool, typer.Option("--only-unseen", help="Leave out films that the reader learned from, by their content.")
]
Threshold = Annotated[float | None, typer.Option(min=0, max=1, help="Call at or above. [default: the card's]")]
Weights = Annotated[str | None, typer.Option(help="Pretrained weights: imagenet, a file, or none.")]
HeldOutFold = Annotated[int | None, typer.Option(help="The held-out fold, for a run of a cross-validation.")]
FoldCount = Annotated[int, typer.Option(min=2, help="Number of folds of that cross-validation.")]
Threads = Annotated[int, typer.Option(min=1, help="Films read in parallel.")]
Seed = Annotated[int, typer.Option(min=0, help="Random seed.")]
Resamples = Annotated[int, typer.Option(min=100, help="Bootstrap draws for the intervals.")]
ShippedBundle = Annotated[Path | None, typer.Option("--bundle", help="Bundle or run. [default: the shipped bundle]")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
JsonLines = Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")]
Aspects = Annotated[
    Path | None, typer.Option(help="Folder with the same films at their true aspect, if DATA is stretched.")
]

REPORT_FIELDS = (
    "reader",
    "reader_name",
    "reader_sha256",
    "data",
    "source",
    "split",
    "threshold_chosen_by",
    "unread",
    "seen",
)
"""Fields of report.json on the origin of predictions, repeated in further reports of the same predictions."""


def open_recipe(recipe: Path | str, seed: int | None, weights: str | None) -> Recipe:
    """The recipe of a file or name; command-line options override it.

    Raises:
        RecipeError: the file or a setting in it is wrong.
    """
    from lucency.recipe import parse_recipe, read_recipe

    content: dict[str, Any] = read_recipe(recipe).model_dump()
    if seed is not None:
        content["seed"] = seed
    if weights is not None:
        content["model"]["weights"] = weights
    return parse_recipe(content, str(recipe))


def unique_names(films: list[Path]) -> dict[Path, str]:
    """A name for each film's picture; files of the same name get a number."""
    names: dict[Path, str] = {}
    for path in films:
        name, number = path.stem, 1
        while name in names.values():
            number += 1
            name = f"{path.stem}-{number}"
        names.setdefault(path, name)
    return names


@dataclass(frozen=True)
class DataOptions:
    """How a command reads labelled films."""

    source: str = "auto"
    """A row of SOURCES, or "auto"."""
    finding: str | None = None
    """The label that is the finding, if names do not show it."""
    allow_missing: bool = False
    """Whether more than a tenth of the films may be left out."""


def read_films(data: Path | str, options: DataOptions, classes: int = 2, depends: bool = True) -> Dataset:
    """A data set; warnings, films left out, and the finding are printed to stderr.

    Args:
        data: what `read_dataset` takes.
        options: how to read it.
        classes: how many classes must have a film.
        depends: whether the command depends on which label is the finding.

    Raises:
        SourceError: the data cannot be read, lack more than a tenth of their films, or do not show the finding.
        UsageError: no such finding.
    """
    from lucency.data import read_dataset

    films = read_dataset(data, options.source, classes, options.finding)
    if not options.allow_missing:
        films.require_complete()
    if os.environ.get("LOCAL_RANK", "0") == os.environ.get("RANK", "0") == "0":
        for line in films.warnings:
            typer.echo(f"{data}: {line}", err=True)
    if depends:
        announce_finding(films)
    return films


def announce_finding(films: Dataset, clear: bool = True) -> None:
    """Print the finding to stderr; without `clear`, nothing if the labels' names do not show it.

    Raises:
        SourceError: `clear`, and neither the labels' names nor the user show which one is the finding.
    """
    from lucency.data.labels import finding_is_clear
    from lucency.errors import SourceError

    if films.task != "binary" or len(films.labels) != 2:
        typer.echo(f"findings: {', '.join(films.labels)}", err=True)
        return
    negative, positive = films.labels
    if films.finding is not None or finding_is_clear(films.labels):
        typer.echo(f"finding: {positive} (its absence: {negative}); --finding names another", err=True)
    elif clear:
        raise SourceError(
            f"cannot tell which label is the finding, '{negative}' or '{positive}'; name it with --finding"
        )


def labelled_films(
    data: Path | str, options: DataOptions = DataOptions(), split: str | None = None, classes: int = 2
) -> tuple[Dataset, str]:
    """The films of one split, and its name.

    Args:
        data: the folder with the classes, or one above it that holds train/ and test/.
        options: how to read it.
        split: "train", "val", "test" or "all"; by default the test split where there is one, else all films.
        classes: how many classes must have a film; one is enough for sensitivity or specificity alone.

    Raises:
        SourceError: the data cannot be read, or has no such split.
    """
    from lucency.data.splits import choose_split

    films = read_films(data, options, classes, depends=False)
    announce_finding(films, clear=False)
    return choose_split(films, split, str(data))


@dataclass(frozen=True)
class EvaluationInput:
    """Predictions to evaluate, and where they come from."""

    predictions: Predictions
    threshold: PerFinding
    about: Mapping[str, Any]
    """The fields of report.json that name reader, data and split."""
    unreadable: tuple[str, ...] = ()
    """For each film that cannot be read, why."""
    films: Dataset | None = None
    """Those read; None of stored predictions."""


def evaluation_input(
    path: Path,
    data: str | None,
    options: DataOptions = DataOptions(),
    split: str | None = None,
    threshold: float | None = None,
    threads: int = 1,
    unseen_by: Sequence[Path] = (),
) -> EvaluationInput:
    """Predictions of the run or bundle at `path` for the films at `data`; without `data`, those stored at `path`.

    Films that any run or bundle of `unseen_by` learned from are left out; those that this one did are named in `about`.

    Raises:
        UsageError: a run or bundle, but no films.
        SourceError: no films, no predictions, or labels that the reader does not know.
        BundleError: no run or bundle.
    """
    if data is None:
        return _from_disk(path, threshold)
    from lucency.bundle import open_bundle
    from lucency.data.learned import fresh_films
    from lucency.data.splits import ALL
    from lucency.reader import Reader
    from lucency.reader.predict import predict

    reader = Reader.open(path, threads)
    given, _ = labelled_films(data, options, ALL, classes=1)
    films, used, seen = fresh_films(given, split, reader.bundle, data, [open_bundle(one) for one in unseen_by])
    predicted = predict(reader, films)
    unreadable = tuple(map(str, predicted.unreadable))
    point = reader.card.operating_point
    about = _about(reader, path, data, films, used, threshold) | {
        "unread": list(unreadable),
        "data_warnings": [*films.warnings, *filter(None, [seen.line()])],
        "seen": asdict(seen),
        "left_out": dict(films.left_out),
        "finding": films.labels[-1] if films.task == "binary" else None,
    }
    return EvaluationInput(
        predicted.predictions, point.threshold if threshold is None else threshold, about, unreadable, films
    )


def report_skipped(found: EvaluationInput) -> int:
    """Print which films could not be read and are not in the figures; return the exit code."""
    return report_unreadable(found.unreadable, len(found.predictions) + len(found.unreadable))


def report_unreadable(reasons: Sequence[str | FilmError], total: int) -> int:
    """Print to stderr which of `total` films could not be read; return the exit code."""
    if not reasons:
        return 0
    echo(f"\n{len(reasons)} of {total} films could not be read:", err=True)
    for reason in reasons:
        echo(f"  {reason}", err=True)
    return SOME_UNREADABLE


def print_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    import json

    echo(json.dumps(content, ensure_ascii=False))


def _from_disk(path: Path, threshold: float | None) -> EvaluationInput:
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
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    about = {
        "data": "films not named",
        "split": "not named",
        "threshold_chosen_by": "default",
        "lucency": __version__,
        "command": shlex.join(["lucency", "evaluate", str(path), *_threshold_option(threshold)]),
        **{name: report[name] for name in REPORT_FIELDS if name in report},
    }
    if threshold is not None:
        about["threshold_chosen_by"] = "given"
    return EvaluationInput(predictions, at if threshold is None else threshold, about)


def _about(
    reader: Reader, bundle: Path, data: str, films: Dataset, split: str, threshold: float | None
) -> dict[str, Any]:
    import shlex

    from lucency import __version__

    command = ["lucency", "evaluate", str(bundle), "--data", data, "--source", films.source, "--split", split]
    return {
        "lucency": __version__,
        "command": shlex.join([*command, *_threshold_option(threshold)]),
        "reader": str(bundle),
        "reader_name": reader.card.name,
        "reader_sha256": reader.bundle.digest,
        "data": data,
        "source": films.source,
        "split": split,
        "threshold_chosen_by": reader.card.operating_point.chosen_by if threshold is None else "given",
    }


def _threshold_option(threshold: float | None) -> list[str]:
    return [] if threshold is None else ["--threshold", f"{threshold:g}"]


HEAD = 512
"""Bytes that are enough to recognise a film."""


def film_paths(named: Iterable[Path]) -> list[Path]:
    """The films in order: a file as named, those below a folder, those that a pattern matches.

    A folder is searched for files that begin like a film, whatever they are called; hidden ones are left out.

    Raises:
        FilmError: a folder without a film.
    """
    return [film for path in named for film in _films(path)]


def _films(path: Path) -> list[Path]:
    if os.path.isdir(path):  # noqa: PTH112  # Path.is_dir raises of a name that is too long
        found = sorted(file for file in path.rglob("*") if _begins_like_a_film(file, path))
        if not found:
            raise FilmError(f"{path}: expected films below this folder, found none; check the path", code=FILM_MISSING)
        return found
    if has_magic(str(path)) and not os.path.exists(path):  # noqa: PTH110  # as above
        matches = sorted(map(Path, glob(str(path), recursive=True)))  # noqa: PTH207  # Path.glob takes none from the root
        return [film for match in matches for film in _films(match)] or [path]  # reported as missing, with the others
    return [path]


def _begins_like_a_film(file: Path, root: Path) -> bool:
    if any(part.startswith(".") for part in file.relative_to(root).parts) or not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            return kind_of(stream.read(HEAD)) in READERS
    except OSError:
        return True  # its error is reported with the others
