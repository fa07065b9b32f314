"""A search: draw a recipe, score it fold by fold, prune weak trials early, record every trial.

The score is fixed before any search: AUROC on held-out patients, plain and re-acquired.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from lucency.data.acquisition_pairs import Squares, require_two_classes, squares_of
from lucency.data.dataset import Dataset
from lucency.data.splits import Fold, split_hash
from lucency.errors import OutputError, RecipeError, TrainingError, UsageError, WeightsError
from lucency.files import write_text
from lucency.reader import Reader
from lucency.recipe import Recipe
from lucency.shift.conditions import PLAIN, TOGETHER, condition_metrics, score_conditions
from lucency.train import train_run
from lucency.tune.space import Space, apply_settings, to_toml

SCORE = (
    "mean over folds by patient of (AUROC + AUROC under counterfactual acquisition) / 2; "
    "donors of the other class, every part, seed 0"
)
"""The score in words; a search with another score cannot be continued."""
STORAGE = "search.sqlite"
STARTUP = 5
"""Trials that are drawn at random and never pruned."""
OUTCOMES = {"COMPLETE": "whole", "PRUNED": "pruned", "FAIL": "failed"}
Report = Callable[[FrozenTrial], None]


@dataclass(frozen=True)
class FoldScore:
    """One fold of one recipe."""

    plain: float
    """AUROC on the fold's films."""
    moved: float
    """AUROC on the same films, re-acquired."""
    minutes: float
    """Of training and scoring."""

    @property
    def score(self) -> float:
        """What the search maximises."""
        return (self.plain + self.moved) / 2


@dataclass(frozen=True)
class FoldData:
    """A fold, its held-out films decoded and measured once for all trials."""

    fold: Fold
    rest: Dataset
    held: Squares


@dataclass(frozen=True)
class Registration:
    """What is fixed before the first trial; a search continues only where all of it is the same."""

    recipe: str
    space: str
    score: str
    films: str
    folds: str
    aspects: str

    @classmethod
    def of(
        cls, recipe: Recipe, space: Space, films: Dataset, folds: tuple[int, int], aspects: Mapping[str, float]
    ) -> Registration:
        """The registration of a search; `folds`: (number of folds, number of folds scored)."""
        every = split_hash(films, range(len(films)))
        known = hashlib.sha256(json.dumps(dict(aspects), sort_keys=True).encode()).hexdigest()
        return cls(_content(recipe), space.to_json(), SCORE, every, f"{folds[1]} of {folds[0]}", known)


def open_search(
    out: Path, registration: Registration, seed: int, planned: Mapping[str, Mapping[str, Any]] | None = None
) -> optuna.Study:
    """The search in `out`, new or continued; interrupted trials are queued again.

    Args:
        out: its folder.
        registration: what is fixed.
        seed: of the sampler.
        planned: description of a change -> settings of one of the first trials, in order; no trial is pruned.

    Raises:
        UsageError: `out` holds a search with another recipe, space, score, films, folds or aspects.
        OutputError: the search cannot be written there.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    place = out / STORAGE
    try:
        out.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            storage=f"sqlite:///{place}", study_name="search", direction="maximize", load_if_exists=True
        )
    except Exception as error:  # the storage has errors of many kinds
        raise OutputError(f"{place}: cannot store the search there ({error}); choose another --out") from error
    before = study.user_attrs.get("registered")
    if before is None:
        for change, settings in (planned or {}).items():
            study.enqueue_trial(dict(settings), {"changed": change})
        study.set_user_attr("registered", asdict(registration))
    elif before != asdict(registration):
        others = ", ".join(name for name, value in asdict(registration).items() if before.get(name) != value)
        raise UsageError(f"{out}: holds a search with another {others}; continue that one, or choose another --out")
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), n_startup_trials=STARTUP)
    study.pruner = optuna.pruners.NopPruner() if planned else optuna.pruners.MedianPruner(n_startup_trials=STARTUP)
    _requeue_interrupted(study)
    return study


def load_folds(films: Dataset, folds: int, used: int, aspects: Mapping[str, float]) -> list[FoldData]:
    """The first `used` of `folds` folds by patient.

    Raises:
        UsageError: another task than of two classes.
        SourceError: a class has fewer patients than there are folds.
    """
    require_two_classes(films, "a search")
    found = []
    for fold in (Fold(number, folds) for number in range(1, used + 1)):
        rest, held = fold.split(films)
        found.append(FoldData(fold, rest, squares_of(held, aspects)))
    return found


def search(
    study: optuna.Study,
    recipe: Recipe,
    space: Space,
    folds: Sequence[FoldData],
    trials: int,
    out: Path,
    report: Report,
) -> None:
    """Try recipes until `trials` are finished, those of earlier calls and failed ones included.

    Args:
        study: from `open_search`.
        recipe: the starting point.
        space: which settings change, and to what.
        folds: after each, the trial may be pruned.
        trials: how many in all.
        out: gets a folder per recipe, named by its hash.
        report: called after each trial.

    Raises:
        KeyboardInterrupt: Ctrl-C; the current trial is queued again when the search continues.
    """
    while len(finished_trials(study)) < trials:
        trial = study.ask()
        settings = space.draw(trial)
        try:
            _run_trial(study, trial, apply_settings(recipe, settings, "the drawn recipe"), folds, out)
        except (RecipeError, TrainingError, UsageError, WeightsError) as error:
            trial.set_user_attr("failed", str(error))
            study.tell(trial, state=TrialState.FAIL)
        report(study.trials[trial.number])


def _run_trial(study: optuna.Study, trial: optuna.Trial, recipe: Recipe, folds: Sequence[FoldData], out: Path) -> None:
    place, scores = run_folder(out, recipe), list[FoldScore]()
    trial.set_user_attr("runs", place.name)
    trial.set_user_attr("recipe", recipe.model_dump(mode="json"))
    for fold in folds:
        scores.append(score_fold(recipe, fold, place, out / "cache"))
        trial.set_user_attr("folds", [asdict(one) for one in scores])
        mean = sum(one.score for one in scores) / len(scores)
        trial.report(mean, len(scores))
        if len(scores) < len(folds) and trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return
    study.tell(trial, mean)


def score_fold(recipe: Recipe, data: FoldData, out: Path, cache: Path) -> FoldScore:
    """Train on the other folds and score this one; resumes an interrupted training.

    Raises:
        TrainingError, UsageError, WeightsError: as `train_run`.
    """
    start = time.monotonic()
    run = out / f"fold-{data.fold.number}"
    train_run(recipe, data.rest, run, cache, resume=run.exists())
    (scores,) = score_conditions([Reader.open(run)], data.held, "other", 0, (TOGETHER,))
    found = {one.condition: one.auroc for one in condition_metrics(scores, data.held.films.label_array(), 0.5)}
    for checkpoints in [*run.rglob("checkpoints")]:  # ten times the size of the weights
        shutil.rmtree(checkpoints, ignore_errors=True)
    return FoldScore(found[PLAIN], found[TOGETHER], (time.monotonic() - start) / 60)


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Trials with an outcome; not those that were interrupted and queued again."""
    ended = [trial for trial in study.trials if trial.state.is_finished()]
    return [trial for trial in ended if trial.state != TrialState.FAIL or "failed" in trial.user_attrs]


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The trial with the highest score of those that were scored on all folds."""
    whole = study.get_trials(states=(TrialState.COMPLETE,))
    return max(whole, key=lambda trial: trial.value or 0.0, default=None)


def run_folder(out: Path, recipe: Recipe) -> Path:
    """Where a recipe's runs are: one place per recipe, so that an interrupted one resumes."""
    return out / "runs" / hashlib.sha256(_content(recipe).encode()).hexdigest()[:12]


def _content(recipe: Recipe) -> str:
    return json.dumps(recipe.model_dump(mode="json"), sort_keys=True)


def _requeue_interrupted(study: optuna.Study) -> None:
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        attributes = {"changed": trial.user_attrs["changed"]} if "changed" in trial.user_attrs else None
        study.enqueue_trial(trial.system_attrs.get("fixed_params", {}) | trial.params, attributes)
        study.tell(trial.number, state=TrialState.FAIL)  # without a reason, unlike trials that failed


def write_record(study: optuna.Study, out: Path) -> None:
    """Write trials.csv and, once a trial is whole, best.toml into `out`.

    Raises:
        OutputError: they cannot be written.
    """
    write_text(out / "trials.csv", trials_csv(finished_trials(study)))
    if found := best_trial(study):
        head = f"# {trial_line(found)}\n# Score: {SCORE}.\n# Found by search; not yet tested on anything else.\n"
        write_text(out / "best.toml", head + to_toml(found.user_attrs["recipe"]))


def trials_csv(trials: list[FrozenTrial]) -> str:
    """One row per trial: number, outcome, score, both AUROC of each fold, minutes, and the settings drawn."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "outcome", "score", "plain", "moved", "minutes", "runs", "changed", *names, "reason"])
    for trial in trials:
        areas = [" ".join(f"{one[side]:.4f}" for one in _folds(trial)) for side in ("plain", "moved")]
        head = [trial.number, OUTCOMES[trial.state.name], _score(trial), *areas, f"{_minutes(trial):.2f}"]
        runs, changed, failed = (trial.user_attrs.get(name, "") for name in ("runs", "changed", "failed"))
        writer.writerow([*head, runs, changed, *(trial.params.get(name, "") for name in names), failed])
    return text.getvalue()


def trial_line(trial: FrozenTrial) -> str:
    """One line on a trial."""
    drawn = trial.user_attrs.get("changed") or ", ".join(f"{name} {value}" for name, value in trial.params.items())
    outcome = OUTCOMES[trial.state.name]
    return f"trial {trial.number}: {outcome} {_score(trial)}, {_minutes(trial):.1f} minutes; {drawn}"


def gain_table(trials: list[FrozenTrial]) -> str:
    """Planned trials: score, mean of both AUROC, and the difference of the score from the first one's."""
    planned = [trial for trial in trials if "changed" in trial.user_attrs]
    width = max((len(trial.user_attrs["changed"]) for trial in planned), default=0)
    lines = [f"{'':{width}}  {'score':>7}{'plain':>9}{'moved':>9}{'gain':>10}"]
    for trial in planned:
        folds = _folds(trial)
        plain, moved = (sum(one[s] for one in folds) / len(folds) if folds else math.nan for s in ("plain", "moved"))
        gain = "" if trial is planned[0] else f"{(trial.value or math.nan) - (planned[0].value or math.nan):+10.4f}"
        numbers = f"{_score(trial) or OUTCOMES[trial.state.name]:>7}{plain:>9.4f}{moved:>9.4f}{gain}"
        lines.append(f"{trial.user_attrs['changed']:{width}}  {numbers}")
    return "\n".join(lines)


def cost(trials: list[FrozenTrial]) -> str:
    """Trials by outcome, and the hours they took."""
    outcomes = [OUTCOMES[trial.state.name] for trial in trials]
    counts = ", ".join(f"{outcomes.count(name)} {name}" for name in dict.fromkeys(outcomes))
    return f"{len(trials)} trials ({counts}), {sum(map(_minutes, trials)) / 60:.2f} hours of training and scoring"


def _folds(trial: FrozenTrial) -> list[dict[str, float]]:
    found: list[dict[str, float]] = trial.user_attrs.get("folds", [])
    return found


def _minutes(trial: FrozenTrial) -> float:
    return sum(one["minutes"] for one in _folds(trial))


def _score(trial: FrozenTrial) -> str:
    """The mean over the scored folds."""
    folds = _folds(trial)
    return f"{sum(one['plain'] + one['moved'] for one in folds) / 2 / len(folds):.4f}" if folds else ""
