"""`lucency train`: from a folder of films to a trained, judged run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a TOML file.", show_default=False)],
    data: Annotated[str, typer.Option(help="Folder of films, or phantom:N for N drawn ones.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the run; new, or one to resume.", show_default=False)],
    source: Annotated[str, typer.Option(help="How to read the data: auto, or a row of SOURCES.")] = "auto",
    weights: Annotated[str | None, typer.Option(help="Pretrained weights: imagenet, a file, or none.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's seed.")] = None,
    folds: Annotated[int | None, typer.Option(help="Cross-validate: so many folds by patient, a run each.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a stopped run was; same result.")] = False,
    shuffle_labels: Annotated[
        bool, typer.Option("--shuffle-labels", help="Deal the labels out anew: a run that lucency faith compares with.")
    ] = False,
    cache: Annotated[Path | None, typer.Option(help="Folder of the feature cache. [default: OUT/../cache]")] = None,
) -> None:
    """Fit a reader to labelled films, by a recipe, and judge it on films it has not seen.

    Example: lucency train recipes/lecture.toml --data chest_xray --out runs/lecture --weights mobilenet_v2.pth
    """
    from lucency.cli.evaluate import table
    from lucency.cli.options import open_recipe
    from lucency.data import read_films
    from lucency.data.shuffled import shuffled_labels
    from lucency.train import cross_validate, train_run

    chosen = open_recipe(recipe, seed, weights)
    films = read_films(data, source)
    if shuffle_labels:
        films = shuffled_labels(films, chosen.seed)
    where = cache or out.parent / "cache"
    if folds is None:
        typer.echo(train_run(chosen, films, out, where, resume))
    else:
        report, about = cross_validate(chosen, films, folds, out, where, resume)
        typer.echo(table(report, about, out))
