"""`lucency tune`: a registered search over recipes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency.cli.inputs import (
    AllowMissing,
    Aspects,
    DataOptions,
    Finding,
    Seed,
    Source,
    Weights,
    open_recipe,
    read_films,
)
from lucency.cli.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Callable

    import optuna
    from optuna.trial import FrozenTrial

    from lucency.recipe import Recipe
    from lucency.tune.search import FoldData
    from lucency.tune.space import Space


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
