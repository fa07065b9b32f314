"""`lucency parity`: does the exported file answer as its run does?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lucency.cli.inputs import Json, Source, Split, Threads, report_unreadable

if TYPE_CHECKING:
    from lucency.data import Dataset
    from lucency.export.parity import Comparison

SHOWN = 20
"""Flips printed; all of them are in --json."""


def parity(
    run: Annotated[Path, typer.Argument(help="The run, written by lucency train.", show_default=False)],
    bundle: Annotated[Path, typer.Argument(help="A bundle exported from it.", show_default=False)],
    data: Annotated[str, typer.Option(help="Labelled films, best such as the run never saw.", show_default=False)],
    source: Source = "auto",
    split: Split = None,
    fold: Annotated[int | None, typer.Option(help="Only the films held out from this fold's run.")] = None,
    folds: Annotated[int, typer.Option(help="Of how many.")] = 5,
    max_flips: Annotated[int | None, typer.Option(min=0, help="Fail above so many films called differently.")] = None,
    max_logit: Annotated[float | None, typer.Option(min=0, help="Fail above this difference of logits.")] = None,
    min_map: Annotated[float | None, typer.Option(help="Fail below this correlation of maps.")] = None,
    threads: Threads = 1,
    json: Json = False,
) -> int:
    """Ask a run and its export about every film: logits, maps, and each film that the two call differently.

    What is found is written into the bundle's card. Fails (exit code 8) only above a limit that is given.

    Example: lucency parity runs/lecture bundles/lecture-int8 --data chest_xray --max-flips 3
    """
    from lucency.bundle import write_card
    from lucency.export.parity import compare
    from lucency.reader import Reader

    films, used = _films(data, source, split, fold, folds)
    found = compare(Reader.open(run, threads), reader := Reader.open(bundle, threads), films, used)
    if bundle.is_dir():
        write_card(bundle, reader.card.model_copy(update={"parity": found.parity}))
    typer.echo(_json(found) if json else table(found))
    code = report_unreadable(found.unreadable, len(films))
    _require(found, max_flips, max_logit, min_map)
    return code


def _films(data: str, source: str, split: str | None, fold: int | None, folds: int) -> tuple[Dataset, str]:
    """The films, and which they are in words; no path, since the card travels."""
    from lucency.cli.export import numbered
    from lucency.cli.inputs import labelled_films
    from lucency.data import read_dataset

    part = numbered(fold, folds)
    if part is None:
        films, used = labelled_films(data, source, split)
        return films, f"{films.source}, {used}"
    held = part.split(read_dataset(data, source))[1]
    return held, f"{held.source}, held-out films of fold {part.number} of {part.of}"


def table(found: Comparison) -> str:
    """What was found, as a person reads it in a terminal."""
    parity = found.parity
    alike = "not known, a map is constant" if parity.map_correlation is None else f"{parity.map_correlation:.6f}"
    lines = [
        f"{parity.films:,} films of {parity.data}",
        f"logit difference      mean {parity.logit_mean:.2g}, largest {parity.logit_max:.2g}",
        f"lowest map correlation {alike}",
        f"AUROC                 run {_figure(parity.auroc_source)}, export {_figure(parity.auroc_export)}",
        f"called differently    {parity.flips} films ({parity.flips / parity.films:.2%})",
    ]
    if parity.uncertain_flips:
        lines.append(
            f"uncertain in one only {parity.uncertain_flips} films ({parity.uncertain_flips / parity.films:.2%})"
        )
    for flip in found.flips[:SHOWN]:
        ours, theirs = (" ".join(f"{value:.4f}" for value in row) for row in (flip.source, flip.export))
        lines.append(f"  {flip.film}  {flip.label}  {flip.what}  run {ours}  export {theirs}")
    if len(found.flips) > SHOWN:
        lines.append(f"  … {len(found.flips) - SHOWN} more; all by --json")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.5f}"


def _json(found: Comparison) -> str:
    from dataclasses import asdict
    from json import dumps

    content: dict[str, Any] = found.parity.model_dump()
    content["differences"] = [asdict(flip) for flip in found.flips]
    content["unread"] = [str(error) for error in found.unreadable]
    return dumps(content, ensure_ascii=False)


def _require(found: Comparison, max_flips: int | None, max_logit: float | None, min_map: float | None) -> None:
    """Raises ExportError where a limit that was given is passed."""
    from lucency.errors import ExportError

    parity = found.parity
    if max_flips is not None and parity.flips > max_flips:
        raise ExportError(f"{parity.flips} films are called differently, allowed are {max_flips}")
    if max_logit is not None and parity.logit_max > max_logit:
        raise ExportError(f"a logit differs by {parity.logit_max:.3g}, allowed is {max_logit:g}")
    if min_map is not None and (parity.map_correlation is None or parity.map_correlation < min_map):
        raise ExportError(f"the lowest map correlation is {_figure(parity.map_correlation)}, asked for {min_map:g}")
