"""`lucency drift`: do films of now still come from where the reference came from?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DRIFTED = 1


def drift(
    bundle: Annotated[Path, typer.Argument(help="The run or bundle that reads them.", metavar="RUN|BUNDLE")],
    reference: Annotated[str, typer.Option(help="Films as they were: those it learned from, or last year's.")],
    now: Annotated[str, typer.Option(help="Films as they are. Labels are not looked at.")],
    out: Annotated[Path, typer.Option(help="Folder for drift.html and drift.json.")] = Path("drift"),
    source: Annotated[str, typer.Option(help="How to read both: auto, or a row of SOURCES.")] = "auto",
    level: Annotated[float, typer.Option(min=0.001, max=0.2, help="Chance of a false alarm, in all.")] = 0.01,
    draws: Annotated[int, typer.Option(min=99, help="How often patients are dealt anew to measure chance.")] = 999,
    most: Annotated[int, typer.Option(min=20, help="Films of a side that are read, drawn by patient.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Films read side by side.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print drift.json instead of the table.")] = False,
) -> int:
    """Compare films of now with the reference: how they look, how they lie, how they are read.

    Exit code 1 where anything has shifted: look, and judge again on labelled films before trusting the reader.

    Example: lucency drift bundle --reference films_2023 --now films_2024 --out drift
    """
    from json import dumps

    from lucency.data import read_dataset
    from lucency.drift import compare, page, sample, subsample_patients, table, to_json
    from lucency.files import write_text
    from lucency.reader import Reader

    reader = Reader.open(bundle, threads)
    before, after = (
        sample(reader, subsample_patients(read_dataset(data, source), most, seed), doing)
        for data, doing in ((reference, "reading the reference"), (now, "reading films of now"))
    )
    found = compare(before, after, level, draws, seed)
    told = dumps(to_json(found, before, after, {"reader": str(bundle), "reference": reference, "now": now}), indent=2)
    write_text(out / "drift.json", told + "\n")
    write_text(out / "drift.html", page(found, before, after, reference, now))
    typer.echo(told if as_json else table(found, before, after, out))
    for error in (*before.unreadable, *after.unreadable):
        typer.echo(f"  {error}", err=True)
    return DRIFTED if found.alarm else 0
