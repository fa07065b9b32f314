"""The search: draw a recipe, judge it fold by fold, stop early what falls behind, write everything down."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from lucency.data.dataset import Dataset
from lucency.data.splits import split_hash
from lucency.errors import OutputError, RecipeError, TrainingError, UsageError, WeightsError
from lucency.recipe import Recipe
from lucency.tune.score import SCORE, Judged, Part, judge
from lucency.tune.space import Space, changed

STORAGE = "search.sqlite"
STARTUP = 5
"""Trials that are drawn at random and never stopped early."""
Tell = Callable[[FrozenTrial], None]


@dataclass(frozen=True)
class Registered:
    """What was fixed before the first trial; a search goes on only where all of it is the same."""

    recipe: str
    space: str
    score: str
    films: str
    folds: str
    aspects: str

    @classmethod
    def of(
        cls, recipe: Recipe, space: Space, films: Dataset, folds: tuple[int, int], aspects: Mapping[str, float]
    ) -> Registered:
        """What a search is made of; `folds` are how many there are and how many are judged."""
        content = json.dumps(recipe.model_dump(mode="json"), sort_keys=True)
        every = split_hash(films, range(len(films)))
        known = hashlib.sha256(json.dumps(dict(aspects), sort_keys=True).encode()).hexdigest()
        return cls(content, space.to_json(), SCORE, every, f"{folds[1]} of {folds[0]}", known)


def open_search(
    out: Path, registered: Registered, seed: int, planned: Mapping[str, Mapping[str, Any]] | None = None
) -> optuna.Study:
    """The search in `out`, new or gone on with; trials that were stopped are queued again.

    Args:
        out: its folder.
        registered: what is fixed.
        seed: of the sampler.
        planned: what is changed, in words -> the settings of the first trials, in order; none of them is stopped early.

    Raises:
        UsageError: `out` holds a search with another recipe, space, score, films, folds or aspects.
        OutputError: it cannot be written.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        out.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            storage=f"sqlite:///{out / STORAGE}", study_name="search", direction="maximize", load_if_exists=True
        )
    except Exception as error:  # the storage's own errors are of many kinds
        raise OutputError(
            f"{out / STORAGE}: the search cannot be kept there ({error}); choose another --out"
        ) from error
    before = study.user_attrs.get("registered")
    if before is None:
        for what, settings in (planned or {}).items():
            study.enqueue_trial(dict(settings), {"changed": what})
        study.set_user_attr("registered", asdict(registered))
    elif before != asdict(registered):
        others = ", ".join(name for name, value in asdict(registered).items() if before.get(name) != value)
        raise UsageError(f"{out}: holds a search with another {others}; go on with that, or choose another --out")
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), n_startup_trials=STARTUP)
    study.pruner = optuna.pruners.NopPruner() if planned else optuna.pruners.MedianPruner(n_startup_trials=STARTUP)
    _queue_stopped(study)
    return study


def search(
    study: optuna.Study, recipe: Recipe, space: Space, parts: Sequence[Part], trials: int, out: Path, tell: Tell
) -> None:
    """Try recipes until `trials` are done, counted from the first ever.

    Args:
        study: as `open_search` gives it.
        recipe: what is changed.
        space: what of it, and to what.
        parts: the folds; after each the trial may be stopped.
        trials: how many in all; those that failed count too.
        out: gets a folder per recipe, named by its hash.
        tell: called after each trial.

    Raises:
        KeyboardInterrupt: Ctrl-C; the trial in work is queued again when the search goes on.
    """
    while len(done(study)) < trials:
        trial = study.ask()
        settings = space.draw(trial)
        try:
            drawn = changed(recipe, settings, "the drawn recipe")
        except RecipeError as error:  # each value is allowed, not all of them together
            _fail(study, trial, error)
        else:
            _try(study, trial, drawn, parts, out)
        tell(study.trials[trial.number])


def done(study: optuna.Study) -> list[FrozenTrial]:
    """Trials with an outcome; one that was stopped half-way and queued again is none."""
    ended = [trial for trial in study.trials if trial.state.is_finished()]
    return [trial for trial in ended if trial.state != TrialState.FAIL or "failed" in trial.user_attrs]


def best(study: optuna.Study) -> FrozenTrial | None:
    """The trial with the highest score of those that were judged on all folds."""
    whole = study.get_trials(states=(TrialState.COMPLETE,))
    return max(whole, key=lambda trial: trial.value or 0.0, default=None)


def folder(out: Path, recipe: Recipe) -> Path:
    """Where a recipe's runs are: the same recipe, the same place, so that a stopped one goes on."""
    content = json.dumps(recipe.model_dump(mode="json"), sort_keys=True)
    return out / "runs" / hashlib.sha256(content.encode()).hexdigest()[:12]


def _try(study: optuna.Study, trial: optuna.Trial, recipe: Recipe, parts: Sequence[Part], out: Path) -> None:
    place, judged = folder(out, recipe), list[Judged]()
    trial.set_user_attr("runs", place.name)
    trial.set_user_attr("recipe", recipe.model_dump(mode="json"))
    for part in parts:
        try:
            judged.append(judge(recipe, part, place, out / "cache"))
        except (TrainingError, UsageError, WeightsError) as error:
            _fail(study, trial, error)
            return
        trial.set_user_attr("folds", [asdict(one) for one in judged])
        mean = sum(one.score for one in judged) / len(judged)
        trial.report(mean, len(judged))
        if len(judged) < len(parts) and trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return
    study.tell(trial, mean)


def _fail(study: optuna.Study, trial: optuna.Trial, error: Exception) -> None:
    trial.set_user_attr("failed", str(error))
    study.tell(trial, state=TrialState.FAIL)


def _queue_stopped(study: optuna.Study) -> None:
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        words = {"changed": trial.user_attrs["changed"]} if "changed" in trial.user_attrs else None
        study.enqueue_trial(trial.system_attrs.get("fixed_params", {}) | trial.params, words)
        study.tell(trial.number, state=TrialState.FAIL)  # of the trials that failed, it alone gives no reason


def minutes(trial: FrozenTrial) -> float:
    """That its folds took."""
    folds: list[dict[str, Any]] = trial.user_attrs.get("folds", [])
    return sum(float(one["minutes"]) for one in folds)
