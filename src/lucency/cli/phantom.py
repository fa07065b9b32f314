"""`lucency phantom`: drawn chest films on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def phantom(
    out: Annotated[Path, typer.Option(help="Folder for films, masks and labels; new.", show_default=False)],
    films: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other patients.")] = 0,
) -> None:
    """Write drawn chest films whose lesions are known to the pixel, to try everything on without a patient.

    Example: lucency phantom --out phantoms --films 200
    """
    from lucency.data.phantom import write_phantoms

    write_phantoms(out, films, seed)
    typer.echo(f"{out}: {films} drawn films with their lesion masks; learn from them with lucency train --data {out}")
