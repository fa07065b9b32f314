"""`lucency train`: from a folder of films to a trained, judged run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    context: typer.Context,
    recipe: Annotated[Path, typer.Argument(help="The recipe, a TOML file.", show_default=False)],
    data: Annotated[str, typer.Option(help="Folder of films, or phantom:N for N drawn ones.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the run; new, or one to resume.", show_default=False)],
    source: Annotated[str, typer.Option(help="How to read the data: auto, or a row of SOURCES.")] = "auto",
    weights: Annotated[str | None, typer.Option(help="Pretrained weights: imagenet, a file, or none.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's seed.")] = None,
    folds: Annotated[int | None, typer.Option(help="Cross-validate: so many folds by patient, a run each.")] = None,
    fold: Annotated[int | None, typer.Option(min=1, help="Train the run of this one fold of --folds alone.")] = None,
    seeds: Annotated[bool, typer.Option("--seeds", help="Train each fold by a seed of its own, counted up.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a stopped run was; same result.")] = False,
    shuffle_labels: Annotated[
        bool, typer.Option("--shuffle-labels", help="Deal the labels out anew: a run that lucency faith compares with.")
    ] = False,
    cache: Annotated[Path | None, typer.Option(help="Folder of the feature cache. [default: OUT/../cache]")] = None,
    devices: Annotated[int, typer.Option(min=1, help="Processes that train together on each machine, a GPU each.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines; torchrun or srun starts the command on each.")] = 1,
) -> int:
    """Fit a reader to labelled films, by a recipe, and judge it on films it has not seen.

    With --devices, processes train together, each on patients of its own; the recipe's batch is what all take at once.

    Example: lucency train recipes/lecture.toml --data chest_xray --out runs/lecture --weights mobilenet_v2.pth
    """
    from lucency.cli.evaluate import table
    from lucency.cli.inputs import open_recipe
    from lucency.data import read_dataset
    from lucency.data.splits import Fold
    from lucency.errors import UsageError
    from lucency.explain.randomization import with_shuffled_labels
    from lucency.train import cross_validate, train_run
    from lucency.train.distributed import is_main_process, process_group

    if fold is not None and folds is None:
        raise UsageError(f"--fold {fold}: expected --folds too, how many there are")
    if seeds and (folds is None or fold is not None):
        raise UsageError("--seeds: expected --folds, each of which gets a seed; one run takes --seed")
    if _needs_launching(devices, nodes, folds if fold is None else None):
        from lucency.train.launch import launch

        return launch(devices, context.find_root().obj)
    chosen = open_recipe(recipe, seed, weights)
    films = read_dataset(data, source)
    if shuffle_labels:
        films = with_shuffled_labels(films, chosen.seed)
    where = cache or out.parent / "cache"
    if fold is not None and folds is not None:
        films, _ = Fold(fold, folds).split(films)
    if folds is None or fold is not None:
        with process_group(devices, nodes):
            told = train_run(chosen, films, out, where, resume)
            if is_main_process():
                typer.echo(told)
    else:
        report, about = cross_validate(chosen, films, folds, out, where, resume, seeds)
        typer.echo(table(report, about, out))
    return 0


def _needs_launching(devices: int, nodes: int, folds: int | None) -> bool:
    """Whether this process is to start those that train.

    Raises:
        UsageError: nobody started this command on the other machines, or folds are asked for.
    """
    from lucency.errors import UsageError
    from lucency.train.distributed import is_launched

    if devices * nodes == 1:
        return False
    if folds is not None:
        raise UsageError("--folds: expected one process a fold, so no --devices or --nodes; train the folds one by one")
    if nodes > 1 and not is_launched():
        raise UsageError(f"--nodes {nodes}: expected torchrun or srun to start this command on each; see docs/scale.md")
    return not is_launched()
