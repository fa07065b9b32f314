"""`lucency tune`: a registered search over recipes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency.cli.inputs import AllowMissing, Aspects, DataOptions, Finding, Seed, Source, open_recipe, read_films
from lucency.cli.terminal import echo

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def tune(
    recipe: Annotated[str, typer.Argument(help="The recipe to start from: a name or a TOML file.", show_default=False)],
    data: Annotated[str, typer.Option(help="Folder of films, or phantom:N for N drawn ones.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the search; new, or one to go on with.", show_default=False)],
    space: Annotated[
        Path | None, typer.Option(help="TOML with a table [space] of settings. [default: the built-in one]")
    ] = None,
    each: Annotated[
        bool, typer.Option("--each", help="Try the recipe, then each value of the space alone, on all judged folds.")
    ] = False,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many in all, those of earlier calls counted. [default: 30, with --each all of them]"
        ),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Folds by patient.")] = 5,
    judged: Annotated[int, typer.Option(min=1, help="How many of the folds a trial is judged on.")] = 2,
    source: Source = "auto",
    finding: Finding = None,
    allow_missing: AllowMissing = False,
    weights: Annotated[str | None, typer.Option(help="Pretrained weights: imagenet, a file, or none.")] = None,
    aspects: Aspects = None,
    seed: Seed = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the best trial as JSON.")] = False,
) -> None:
    """Search for a better recipe by Optuna: trials are judged on held-out patients, plain and re-acquired.

    Score, space, films and folds are written down before the first trial. A trial that falls behind is stopped after
    a fold. The same command goes on where it was stopped. Leaves trials.csv, best.toml and every run.

    With --each nothing is drawn: what does each lever do by itself?

    Example: lucency tune kermany --data chest_xray --out search --trials 30
    """
    import json as js

    from lucency.data.acquisition_pairs import known_aspects
    from lucency.data.splits import without_test
    from lucency.errors import UsageError
    from lucency.tune.search import (
        SCORE,
        Registration,
        best_trial,
        cost,
        finished_trials,
        gain_table,
        load_folds,
        open_search,
        search,
        trial_line,
        write_record,
    )
    from lucency.tune.space import read_space

    options = DataOptions(source, finding, allow_missing)

    if judged > folds:
        raise UsageError(f"--judged: expected at most the {folds} folds there are, came {judged}")
    start = open_recipe(recipe, None, weights)
    searched, planned = read_space(space, start), None
    if each:
        searched, planned = searched.each(start)
    trials = trials or (len(planned) if planned else 30)
    films = without_test(read_films(data, options))
    known = known_aspects(aspects) if aspects else {}
    study = open_search(out, Registration.of(start, searched, films, (folds, judged), known), seed, planned)
    echo(f"score: {SCORE}", err=True)

    def tell(trial: FrozenTrial) -> None:
        write_record(study, out)
        echo(f"{trial_line(trial)}\n{cost(finished_trials(study))}", err=True)

    if len(finished_trials(study)) < trials:
        parts = load_folds(films, folds, judged, known)
        search(study, start, searched, parts, trials, out, tell)
    write_record(study, out)
    found = best_trial(study)
    told = None if found is None else {"trial": found.number, "score": found.value, **found.user_attrs}
    lines = [*([gain_table(finished_trials(study))] if each else []), cost(finished_trials(study))]
    lines += ["no trial is whole yet" if found is None else f"best: {trial_line(found)}", f"written: {out}"]
    echo(js.dumps(told, indent=1) if json else "\n".join(lines))
