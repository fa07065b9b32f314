"""`lucency gate`: teach a run which films it was not made for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def gate(
    run: Annotated[Path, typer.Argument(help="The run, written by lucency train.", show_default=False)],
    data: Annotated[str, typer.Option(help="The films the run learned from.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the new run.", show_default=False)],
    source: Annotated[str, typer.Option(help="How to read the data: auto, or a row of SOURCES.")] = "auto",
    fold: Annotated[int | None, typer.Option(help="Which fold, for a run of a cross-validation.")] = None,
    folds: Annotated[int, typer.Option(help="Of how many.")] = 5,
    alarms: Annotated[
        float, typer.Option(min=0.0005, max=0.2, help="Share of films of its own kind that may be refused.")
    ] = 0.02,
) -> None:
    """Learn what the run's films look like: of any other it will say `uncertain`, and why.

    Four numbers a film, inside the network and so in every export: how it is laid out, whether it is upside down or
    mirrored, and whether its features are those of films learned from.

    Example: lucency gate runs/kermany --data chest_xray --out runs/kermany-gated
    """
    from lucency.bundle import open_bundle, write_bundle
    from lucency.data import read_dataset
    from lucency.data.splits import Fold
    from lucency.errors import OutputError
    from lucency.models.ood_detector import OOD_FILE
    from lucency.train.ood import fit_gate

    if (out / "card.json").exists():
        raise OutputError(f"{out}: holds a run already; choose another place with --out, or remove it first")
    opened = open_bundle(run)
    numbered = None if fold is None else Fold(fold, folds)
    card, content = fit_gate(opened, read_dataset(data, source), numbered, alarms)
    files = {name: opened.read(name) for name in opened.card.files}
    write_bundle(out, card, {**files, OOD_FILE: content})
    for check in card.gate.checks:
        typer.echo(f"{check.name:13}limit {check.limit:.3g}, above it {check.alarms:.2%} of the films set aside")
    typer.echo(f"{out}: {card.gate.fitted_on}; {len(content) / 1e6:.2f} MB more")
