"""`lucency recalibrate`: calibration, threshold and abstention for a site, in a new bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency.cli import echo
from lucency.cli.inputs import AllowMissing, DataOptions, Finding, OnlyUnseen, Source, Threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lucency.bundle import Card
    from lucency.errors import SourceError
    from lucency.evaluate.predictions import Predictions
    from lucency.evaluate.recalibration import RecalibrationConfig
    from lucency.reader.recalibrate import Recalibrated

FEW = 20
"""Films of a label below which the figures say little."""


Method = Annotated[
    str, typer.Option(help="auto (best by log loss), temperature, platt, beta, isotonic, dirichlet, none or keep.")
]
Threshold = Annotated[
    str, typer.Option(help="youden, sensitivity=0.95, cost=5:1, a number, or keep: call the same films.")
]
CostTable = Annotated[
    Path | None,
    typer.Option(help="CSV of what errors cost: rows true, columns called, perhaps 'refer'; of several classes."),
]
Balanced = Annotated[
    bool,
    typer.Option(
        "--balanced",
        help="Weigh each of several classes the same: keeps balanced accuracy; probabilities as if all were alike.",
    ),
]
Coverage = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Of the prediction sets, per label; 0: answer every film. 0.95, or 0 for several findings a film.",
        show_default=False,
    ),
]


def recalibrate(
    bundle: Annotated[Path, typer.Argument(help="The run or bundle to start from.", metavar="RUN|BUNDLE")],
    out: Annotated[Path, typer.Option(help="Folder of the new one.")],
    data: Annotated[str | None, typer.Option(help="Labelled films of the site; a hundred will do.")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Instead: predictions.csv of films it was not trained on.")
    ] = None,
    source: Source = "auto",
    finding: Finding = None,
    allow_missing: AllowMissing = False,
    split: Annotated[str, typer.Option(help="train, val, test or all.")] = "all",
    method: Method = "platt",
    threshold: Threshold = "youden",
    balanced: Balanced = False,
    costs: CostTable = None,
    coverage: Coverage = None,
    folds: Annotated[int, typer.Option(min=2, help="Of the cross-validation that measures the gain.")] = 10,
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap draws for the intervals.")] = 1000,
    threads: Threads = 1,
    only_unseen: OnlyUnseen = False,
    force: Annotated[bool, typer.Option("--force", help="Write it even if it is worse on other patients.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print recalibration.json instead of the table.")] = False,
) -> int:
    """Fit calibration, threshold and abstention to a site's labelled films; write a new bundle with them.

    The network stays. The gain is measured by cross-validation by patient. A threshold does not carry over
    between sites: choose it where it is used.

    Example: lucency recalibrate bundle --data our_films --threshold sensitivity=0.95 --out ours
    """
    from lucency.bundle import open_bundle
    from lucency.errors import OutputError
    from lucency.reader.recalibrate import evidence, recalibrate, write_recalibrated

    options = DataOptions(source, finding, allow_missing)

    if (out / "card.json").exists():
        raise OutputError(f"{out}: holds a bundle already; choose another place with --out, or remove it first")
    opened = open_bundle(bundle)
    found, on, let_in = _answers(bundle, data, predictions, options, split, threads, only_unseen)
    config = _config(opened.card, method, threshold, coverage, costs, balanced)
    new = recalibrate(opened.card, found, config, on, folds, resamples, let_in)
    if is_worse(new) and not force:
        raise _worse(new, on, out)
    write_recalibrated(opened, new, out)
    if json:
        from lucency.evaluate.report import dump

        echo(dump(evidence(opened, new)))
    else:
        echo(f"{table(new, on)}\nWritten to {out}")
    return 0


def _worse(new: Recalibrated, on: str, out: Path) -> SourceError:
    """The error, when the table that shows why has been printed."""
    from lucency.errors import RECALIBRATION_WORSE, SourceError

    echo(table(new, on))
    return SourceError(
        f"{out}: not written, on other patients this calibration is worse than the old one; give more films, leave "
        "the old one with --method keep, or write it with --force",
        code=RECALIBRATION_WORSE,
    )


def _config(
    card: Card, method: str, threshold: str, coverage: float | None, costs: Path | None, balanced: bool
) -> RecalibrationConfig:
    from lucency.bundle import Costs
    from lucency.errors import UsageError
    from lucency.evaluate.predictions import read_costs
    from lucency.evaluate.recalibration import KEEP, RecalibrationConfig
    from lucency.reader.recalibrate import kept_logits, kept_point

    if balanced and card.task != "multiclass":
        raise UsageError(f"--balanced is for one of several classes, not for a {card.task} task; choose a --threshold")
    stated = card.costs
    if costs is not None:
        if card.task != "multiclass":
            raise UsageError(f"--costs is for one of several classes, not for a {card.task} task; --threshold cost=5:1")
        called, refer = read_costs(costs, card.labels)
        stated = Costs(called=called, refer=refer, source=costs.name)
    if coverage is None:
        coverage = 0 if card.task == "multilabel" else 0.95
    return RecalibrationConfig(
        method=None if method == KEEP else method,  # type: ignore[arg-type]
        rule=threshold,
        coverage=None if stated is not None and stated.refer else coverage or None,
        kept=kept_point(card),
        costs=stated,
        balanced=balanced,
        kept_logits=(0.0,) if card.task == "multiclass" else kept_logits(card),
    )


def _answers(
    bundle: Path,
    data: str | None,
    table: Path | None,
    options: DataOptions,
    split: str,
    threads: int,
    only_unseen: bool,
) -> tuple[Predictions, str, NDArray[np.bool_] | None]:
    """Predictions for the films, the films in words, and those that the gate accepts."""
    from lucency.errors import UsageError

    if (data is None) == (table is None):
        raise UsageError("expected the site's films with --data, or their predictions with --predictions, and not both")
    if table is not None:
        from lucency.bundle import read_card
        from lucency.evaluate.predictions import read_predictions

        card = read_card(bundle)
        path = table / "predictions.csv" if table.is_dir() else table
        return read_predictions(path, card.labels, card.task), _words(path), None
    from lucency.cli.inputs import labelled_films
    from lucency.data.learned import fresh_films
    from lucency.data.splits import ALL
    from lucency.reader import Reader
    from lucency.reader.predict import predict

    reader = Reader.open(bundle, threads)
    given, _ = labelled_films(str(data), options, ALL)
    unseen_by = [reader.bundle] if only_unseen else ()
    films, used, seen = fresh_films(given, split, reader.bundle, str(data), unseen_by)
    if len(seen):
        echo(seen.line(), err=True)
    predicted = predict(reader, films)
    for error in predicted.unreadable:
        echo(f"  {error}", err=True)
    n, where = len(predicted.predictions), Path(str(data)).name
    words = f"{n} films of {where}" + ("" if used == "all" else f", split {used}")
    if len(seen) and not seen.left_out:
        words += f", {len(seen)} of which the network has seen"
    return predicted.predictions, words, predicted.let_in


def _words(path: Path) -> str:
    """The films of a predictions.csv, from the report beside it."""
    from json import loads

    try:
        report = loads(path.with_name("report.json").read_text(encoding="utf-8"))
        return f"{report['films']} films of {Path(report['data']).name}, {report['split']}"
    except (OSError, ValueError, KeyError, TypeError):
        return path.name


def table(new: Recalibrated, on: str) -> str:
    """What was fitted and its gain, as text for a terminal."""
    from lucency.evaluate.predictions import patient_words, threshold_words

    predictions, card = new.crossfitted.predictions, new.card
    patients = patient_words(int(predictions.groups().max()) + 1 if predictions.patients_known else None)
    names = max(26, *(len(gain.name) + 2 for gain in new.gains))
    lines = [f"{on}; {patients}", "", f"{'':{names}}{'before':26}{'after':26}gain"]
    lines += [
        f"{gain.name.replace('_', ' '):{names}}{gain.before!s:26}{gain.after!s:26}{gain.difference}"
        for gain in new.gains
    ]
    lines += [
        "",
        f"After: fitted on other patients, {new.folds} folds. In brackets: 95 % intervals, resampling patients.",
    ]
    if new.balanced:
        lines.append("Each class weighs the same in log loss, Brier score and ECE, and in the probabilities.")
    point, numbers = card.operating_point, card.calibration.parameters
    shown = ", ".join(f"{name} {values[0]:.3g}" for name, values in numbers.items() if len(values) == 1)
    lines.append(f"calibration {card.calibration.method}{f' ({shown})' if shown else ''}")
    if card.costs is not None:
        referring = ", or referred where that costs less" if card.costs.refer else ""
        lines.append(f"the class of least expected cost is called{referring} ({card.costs.source})")
    if predictions.task != "multiclass":
        lines.append(f"threshold {threshold_words(point.threshold, card.labels)}, by {point.chosen_by}")
    if card.abstention.least:
        needs = ", ".join(f"{name} {least:.3g}" for name, least in zip(card.labels, card.abstention.least, strict=True))
        lines.append(f"uncertain unless one label alone has at least: {needs} (coverage {card.abstention.coverage:g})")
    lines += [f"note: {note}" for note in _notes(new)]
    return "\n".join(lines)


def is_worse(new: Recalibrated) -> bool:
    """Whether the calibration has the greater log loss on patients that it was not fitted on."""
    gain = {one.name: one for one in new.gains}["log_loss"].difference
    return gain.value is not None and gain.value > 0


def _notes(new: Recalibrated) -> list[str]:
    """What a person should know before using the new bundle."""
    from lucency.evaluate.report import films_per_label

    found, fewest = [], min(films_per_label(new.crossfitted.predictions))
    if fewest < FEW:
        found.append(f"a label has {fewest} films only; the figures say little")
    if is_worse(new):
        found.append("on other patients this calibration is worse than the old one; --method keep leaves the old one")
    return [*found, *_rare(new)]


def _rare(new: Recalibrated) -> list[str]:
    """Labels of too few patients for the coverage of the prediction sets."""
    from lucency.evaluate.selective_prediction import too_rare

    card, predictions = new.card, new.crossfitted.predictions
    if card.abstention.method == "none" or not card.abstention.least:
        return []
    rare = too_rare(predictions.labels, predictions.groups(), len(card.labels), card.abstention.coverage)
    if not rare:
        return []
    instead = "it is never ruled out" if len(card.labels) == 2 else "for it stands the number of all labels together"
    names = ", ".join(card.labels[label] for label in rare)
    return [f"too few patients for this coverage of {names}: {instead}"]
