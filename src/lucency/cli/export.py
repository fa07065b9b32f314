"""`lucency export`: from a run to a bundle for a phone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lucency.data.splits import Fold


def export(
    run: Annotated[Path, typer.Argument(help="The run, written by lucency train.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the bundle; new.", show_default=False)],
    to: Annotated[str, typer.Option(help="litert (phone, browser, here) or onnx.")] = "litert",
    quantize: Annotated[str, typer.Option(help="none, float16, int8, or weights (int8 weights, float sums).")] = "none",
    data: Annotated[str | None, typer.Option(help="For int8: the films the run learned from.")] = None,
    source: Annotated[str, typer.Option(help="How to read the data: auto, or a row of SOURCES.")] = "auto",
    fold: Annotated[int | None, typer.Option(help="For int8: which fold, for a run of a cross-validation.")] = None,
    folds: Annotated[int, typer.Option(help="Of how many.")] = 5,
    replace: Annotated[bool, typer.Option("--replace", help="Write over a bundle that is there.")] = False,
) -> None:
    """Write one small file that answers with logit, calibrated probability and map, and the bundle around it.

    int8 measures its ranges on films that the run learned from, chosen here; no other film may take part.

    Example: lucency export runs/lecture --quantize int8 --data chest_xray --out bundles/lecture-int8
    """
    from lucency.export import TARGETS
    from lucency.export.exporter import export_run, find_target

    target = find_target(to, quantize)
    squares = _squares(run, data, source, numbered(fold, folds)) if quantize == "int8" else None
    name = next(name for name, row in TARGETS.items() if row is target)
    card = export_run(run, name, out, quantize, squares, replace)  # type: ignore[arg-type]
    size = (out / target.file).stat().st_size / 1e6
    typer.echo(f"{out}: {card.name} for {to}, {quantize}, {target.file} {size:.2f} MB; compare it by lucency parity")


def numbered(fold: int | None, folds: int) -> Fold | None:
    """The fold that is meant, None for a run that is no part of a cross-validation."""
    from lucency.data.splits import Fold

    return None if fold is None else Fold(fold, folds)


def _squares(run: Path, data: str | None, source: str, fold: Fold | None) -> NDArray[np.uint8]:
    """Films to measure ranges on.

    Raises:
        UsageError: no data given.
        ExportError: the data are not those that the run learned from.
    """
    from lucency.bundle import read_card
    from lucency.data import read_dataset
    from lucency.errors import UsageError
    from lucency.export.calibration_films import calibration_squares

    if data is None:
        raise UsageError("int8 measures ranges on films that the run learned from; name them by --data DIR")
    return calibration_squares(read_card(run), read_dataset(data, source), fold)
