"""`lucency compare`: two readers on the same films."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
    evaluation_input,
)
from lucency.cli.terminal import echo

if TYPE_CHECKING:
    from lucency.evaluate.comparison import Comparison, Contrast, DeLong
    from lucency.evaluate.predictions import PerFinding, Predictions


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
    from lucency.cli.evaluate import seen_line
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
    echo(content if json else "\n".join([*said, table(found, first.predictions, names, thresholds)]))


def table(
    found: tuple[Comparison, ...], films: Predictions, names: tuple[str, str], thresholds: tuple[PerFinding, PerFinding]
) -> str:
    """The comparison as text for a terminal."""
    from lucency.evaluate.predictions import threshold_words

    patients = int(films.groups().max()) + 1
    whose = f"{patients:,} patients" if films.patients_known else "patients not all known"
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
