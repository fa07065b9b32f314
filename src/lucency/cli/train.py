"""`lucency train`, `gate`, `recipes`, `tune`: train a run, fit its input checks, list recipes, search over them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency.cli import echo
from lucency.cli.inputs import (
    AllowMissing,
    Aspects,
    DataOptions,
    Finding,
    FoldCount,
    HeldOutFold,
    Json,
    Seed,
    Source,
    Weights,
    open_recipe,
    print_json,
    read_films,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import optuna
    from optuna.trial import FrozenTrial

    from lucency.recipe import Recipe
    from lucency.tune.search import FoldData
    from lucency.tune.space import Space


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
    from lucency.train.manifest import new_run, summary

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
            echo(f"{result}\n{summary(out, films, chosen, data)}")
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


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this one, header and all.", metavar="NAME")] = None,
    json: Json = False,
) -> None:
    """List the recipes that ship, with what they gave where that is published; or print one.

    Any of them can be named where a recipe is expected. A recipe of your own may begin with extends = "lecture" and
    state only what differs.

    Example: lucency recipes lecture > mine.toml
    """
    from lucency.recipe import RECIPES, describe_recipe, recipe_names

    if name is not None:
        describe_recipe(name)
        echo((RECIPES / f"{name}.toml").read_text(encoding="utf-8").rstrip())
        return
    for one in recipe_names():
        trains, gave = describe_recipe(one)
        if json:
            print_json({"name": one, "trains": trains, "gave": gave or None})
        else:
            echo(f"{one:10}{trains}" + (f"\n{'':10}gave {gave}" if gave else ""))


def tune(
    recipe: Annotated[str, typer.Argument(help="The recipe to start from: a name or a TOML file.", show_default=False)],
    data: Annotated[str, typer.Option(help="Folder of films, or phantom:N for N drawn ones.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the search; new, or one to continue.", show_default=False)],
    space: Annotated[
        Path | None, typer.Option(help="TOML with a table [space] of settings. [default: the built-in one]")
    ] = None,
    each: Annotated[
        bool, typer.Option("--each", help="Try the recipe, then each value of the space alone, on the --judged folds.")
    ] = False,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Trials in all, with those of earlier calls. [default: 30; with --each all]"),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Folds by patient.")] = 5,
    judged: Annotated[int, typer.Option(min=1, help="How many of the folds each trial is scored on.")] = 2,
    source: Source = "auto",
    finding: Finding = None,
    allow_missing: AllowMissing = False,
    weights: Weights = None,
    aspects: Aspects = None,
    seed: Seed = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the best trial as JSON.")] = False,
) -> None:
    """Search for a better recipe by Optuna: trials are scored on held-out patients, plain and re-acquired.

    Score, space, films and folds are registered before the first trial. Weak trials are stopped after a fold. The same
    command continues an interrupted search. Writes trials.csv, best.toml and every run.

    With --each nothing is drawn: it measures the effect of each setting by itself.

    Example: lucency tune kermany --data chest_xray --out search --trials 30
    """
    from lucency.data.acquisition_pairs import known_aspects
    from lucency.data.splits import without_test
    from lucency.errors import UsageError
    from lucency.tune.search import SCORE, Registration, load_folds, open_search
    from lucency.tune.space import read_space

    if judged > folds:
        raise UsageError(f"--judged: expected at most the {folds} folds there are, received {judged}")
    start = open_recipe(recipe, None, weights)
    searched, planned = read_space(space, start), None
    if each:
        searched, planned = searched.each(start)
    films = without_test(read_films(data, DataOptions(source, finding, allow_missing)))
    known = known_aspects(aspects) if aspects else {}
    study = open_search(out, Registration.of(start, searched, films, (folds, judged), known), seed, planned)
    echo(f"score: {SCORE}", err=True)
    wanted = trials or (len(planned) if planned else 30)
    _run(study, start, searched, lambda: load_folds(films, folds, judged, known), wanted, out)
    echo(_json(study) if json else _summary(study, out, each))


def _run(
    study: optuna.Study, recipe: Recipe, space: Space, folds: Callable[[], list[FoldData]], trials: int, out: Path
) -> None:
    """Search until `trials` are finished; the record is written and printed after each."""
    from lucency.tune.search import cost, finished_trials, search, trial_line, write_record

    def report(trial: FrozenTrial) -> None:
        write_record(study, out)
        echo(f"{trial_line(trial)}\n{cost(finished_trials(study))}", err=True)

    if len(finished_trials(study)) < trials:
        search(study, recipe, space, folds(), trials, out, report)
    write_record(study, out)


def _json(study: optuna.Study) -> str:
    from json import dumps

    from lucency.tune.search import best_trial

    found = best_trial(study)
    return dumps(found and {"trial": found.number, "score": found.value, **found.user_attrs}, indent=1)


def _summary(study: optuna.Study, out: Path, each: bool) -> str:
    from lucency.tune.search import best_trial, cost, finished_trials, gain_table, trial_line

    found, trials = best_trial(study), finished_trials(study)
    lines = [gain_table(trials)] if each else []
    best = "no trial is whole yet" if found is None else f"best: {trial_line(found)}"
    return "\n".join([*lines, cost(trials), best, f"written: {out}"])
