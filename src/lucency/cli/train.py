"""`lucency train` and `gate`: train a run on a folder of films, and fit its input checks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lucency.cli.inputs import (
    AllowMissing,
    DataOptions,
    Finding,
    FoldCount,
    HeldOutFold,
    Source,
    Weights,
    open_recipe,
    read_films,
)
from lucency.cli.terminal import echo

RecipeName = Annotated[
    str, typer.Argument(help="A recipe: a name (lucency recipes) or a TOML file.", show_default=False)
]
Folds = Annotated[int | None, typer.Option(help="Cross-validate with this many folds by patient, a run each.")]
ShuffleLabels = Annotated[
    bool, typer.Option("--shuffle-labels", help="Permute the labels: a control run for lucency faith.")
]


def train(
    context: typer.Context,
    recipe: RecipeName,
    data: Annotated[str, typer.Option(help="Folder of films, or phantom:N for N drawn ones.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; new, or one to resume. [default: runs/RECIPE]")
    ] = None,
    source: Source = "auto",
    finding: Finding = None,
    allow_missing: AllowMissing = False,
    weights: Weights = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's seed.")] = None,
    folds: Folds = None,
    fold: Annotated[int | None, typer.Option(min=1, help="Train the run of this fold of --folds only.")] = None,
    seeds: Annotated[bool, typer.Option("--seeds", help="Give each fold its own seed, counted up.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run, to the same result.")] = False,
    shuffle_labels: ShuffleLabels = False,
    cache: Annotated[Path | None, typer.Option(help="Folder of the feature cache. [default: OUT/../cache]")] = None,
    devices: Annotated[int, typer.Option(min=1, help="Processes that train together on each machine, a GPU each.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines; torchrun or srun starts the command on each.")] = 1,
) -> int:
    """Train a reader on labelled films, by a recipe, and evaluate it on held-out films.

    With --devices, processes train together, each on its own patients, and share the recipe's batch.

    Example: lucency train lecture --data chest_xray --out runs/lecture --weights mobilenet_v2.pth
    """
    from lucency.cli.evaluate import table
    from lucency.data.splits import Fold
    from lucency.explain.randomization import with_shuffled_labels
    from lucency.train import cross_validate, train_run
    from lucency.train.distributed import is_main_process, process_group
    from lucency.train.manifest import new_run
    from lucency.train.summary import summary

    _check_folds(fold, folds, seeds)
    if out is None:
        _check_new(resume, devices * nodes)
    if _needs_launching(devices, nodes, folds if fold is None else None):
        from lucency.train.launch import launch

        return launch(devices, context.find_root().obj)
    chosen = open_recipe(recipe, seed, weights)
    out = out or new_run(chosen.name)
    films = read_films(data, DataOptions(source, finding, allow_missing))
    if shuffle_labels:
        films = with_shuffled_labels(films, chosen.seed)
    where = cache or out.parent / "cache"
    if fold is not None and folds is not None:
        films, _ = Fold(fold, folds).split(films)
    if folds is None or fold is not None:
        with process_group(devices, nodes):
            result = train_run(chosen, films, out, where, resume)
            main = is_main_process()
        if main:
            echo(f"{result}\n{summary(out, films, chosen.data, data)}")
    else:
        report, about = cross_validate(chosen, films, folds, out, where, resume, seeds)
        echo(table(report, about, out))
    return 0


def _check_new(resume: bool, processes: int) -> None:
    from lucency.errors import UsageError

    if resume or processes > 1:
        raise UsageError("expected the folder of the run: with --resume, --devices and --nodes name it by --out")


def _check_folds(fold: int | None, folds: int | None, seeds: bool) -> None:
    from lucency.errors import UsageError

    if fold is not None and folds is None:
        raise UsageError(f"--fold {fold}: expected --folds too, how many there are")
    if seeds and (folds is None or fold is not None):
        raise UsageError("--seeds: expected --folds, each of which gets a seed; one run takes --seed")


def _needs_launching(devices: int, nodes: int, folds: int | None) -> bool:
    """Whether this process has to launch the training processes.

    Raises:
        UsageError: the other machines have not started this command, or folds are given.
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


def gate(
    run: Annotated[Path, typer.Argument(help="The run, written by lucency train.", show_default=False)],
    data: Annotated[str, typer.Option(help="The run's training films.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the new run.", show_default=False)],
    source: Source = "auto",
    finding: Finding = None,
    allow_missing: AllowMissing = False,
    fold: HeldOutFold = None,
    folds: FoldCount = 5,
    alarms: Annotated[
        float, typer.Option(min=0.0005, max=0.2, help="Share of in-distribution films that may be refused.")
    ] = 0.02,
) -> None:
    """Fit input checks to the run's films: unlike films become `uncertain`, with the reason.

    The checks are inside the network and so in every export: layout, upside down, mirrored, and features unlike the
    training films'.

    Example: lucency gate runs/kermany --data chest_xray --out runs/kermany-gated
    """
    from lucency.bundle import open_bundle, write_bundle
    from lucency.data.splits import Fold
    from lucency.errors import OutputError
    from lucency.models.ood_detector import OOD_FILE
    from lucency.train.ood import fit_gate

    options = DataOptions(source, finding, allow_missing)

    if (out / "card.json").exists():
        raise OutputError(f"{out}: holds a run already; choose another place with --out, or remove it first")
    opened = open_bundle(run)
    numbered = None if fold is None else Fold(fold, folds)
    card, content = fit_gate(opened, read_films(data, options, depends=False), numbered, alarms)
    files = {name: opened.read(name) for name in opened.card.files}
    write_bundle(out, card, {**files, OOD_FILE: content})
    for check in card.gate.checks:
        echo(f"{check.name:13}limit {check.limit:.3g}, above it {check.alarms:.2%} of the held-out films")
    echo(f"{out}: {card.gate.fitted_on}; {len(content) / 1e6:.2f} MB more")
