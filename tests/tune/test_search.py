"""The search with a free score: which trials run, are pruned, recorded and resumed."""

from __future__ import annotations

import csv
import io
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial

from lucency.errors import LucencyError, RecipeError, TrainingError, UsageError, WeightsError
from lucency.recipe import Recipe, parse_recipe
from lucency.tune import search as module
from lucency.tune.search import (
    SCORE,
    FoldData,
    FoldScore,
    Registration,
    best_trial,
    cost,
    finished_trials,
    open_search,
    run_folder,
    search,
    trial_line,
    trials_csv,
    write_record,
)
from lucency.tune.space import Space, to_toml

RECIPE = Recipe(name="test")
SPACE = Space({"model.dropout": {"low": 0.0, "high": 0.9}})
REGISTERED = Registration("recipe", SPACE.to_json(), SCORE, "films", "2 of 5", "aspects")
PARTS: list[Any] = ["first", "second"]


def score_of(recipe: Recipe) -> float:
    return 1 - abs(recipe.model.dropout - 0.3)


def by_dropout(recipe: Recipe, part: FoldData, out: Path, cache: Path) -> FoldScore:
    """The nearer dropout is to 0.3, the better; each fold takes half a minute."""
    return FoldScore(score_of(recipe), score_of(recipe), 0.5)


def quiet(trial: FrozenTrial) -> None:
    """Report nothing."""


@pytest.fixture(autouse=True)
def _a_free_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "score_fold", by_dropout)


def run(out: Path, trials: int) -> Any:
    study = open_search(out, REGISTERED, 0)
    search(study, RECIPE, SPACE, PARTS, trials, out, quiet)
    return study


def test_best_trial_is_the_best_complete_one(tmp_path: Path) -> None:
    study = run(tmp_path, 12)
    found = best_trial(study)
    whole = [trial for trial in finished_trials(study) if trial.state.name == "COMPLETE"]
    assert found is not None
    assert found.value == max(trial.value for trial in whole)
    assert found.value == pytest.approx(score_of(parse_recipe(found.user_attrs["recipe"], "")))


def test_trials_are_counted_over_calls(tmp_path: Path) -> None:
    run(tmp_path, 3)
    study = run(tmp_path, 5)
    assert len(finished_trials(study)) == 5
    assert (
        len({trial.params["model.dropout"] for trial in finished_trials(study)}) == 5
    )  # the sampler does not start over


@pytest.mark.long
def test_weak_trials_are_pruned_after_a_fold(tmp_path: Path) -> None:
    study = run(tmp_path, 25)
    pruned = [trial for trial in finished_trials(study) if trial.state.name == "PRUNED"]
    assert pruned
    assert all(len(trial.user_attrs["folds"]) == 1 for trial in pruned)
    assert min(trial.number for trial in pruned) >= module.STARTUP


@pytest.mark.long
@pytest.mark.parametrize("error", [TrainingError("no"), UsageError("no"), WeightsError("no")])
def test_a_failed_training_is_recorded(error: LucencyError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_for_large_dropout(recipe: Recipe, *rest: Any) -> FoldScore:
        if recipe.model.dropout > 0.5:
            raise error
        return by_dropout(recipe, *rest)

    monkeypatch.setattr(module, "score_fold", fail_for_large_dropout)
    study = run(tmp_path, 8)
    failed = [trial for trial in finished_trials(study) if trial.state.name == "FAIL"]
    assert failed
    assert {trial.user_attrs["failed"] for trial in failed} == {"no"}
    assert len(finished_trials(study)) == 8


def test_invalid_combinations_are_recorded(tmp_path: Path) -> None:
    space = Space({"augment.zoom": [[0.9, 1.0]], "augment.noise": [1.0]})
    study = open_search(tmp_path, REGISTERED, 0)

    def refuse(recipe: Recipe, settings: Any, where: str) -> Recipe:
        raise RecipeError("incompatible settings")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "apply_settings", refuse)
        search(study, RECIPE, space, PARTS, 2, tmp_path, quiet)
    assert [trial.user_attrs["failed"] for trial in finished_trials(study)] == ["incompatible settings"] * 2
    assert best_trial(study) is None


def test_an_interrupted_trial_resumes_with_the_same_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Recipe] = []

    def interrupt_in_the_second_fold(recipe: Recipe, part: Any, *rest: Any) -> FoldScore:
        if part == "second":
            begun.append(recipe)
            raise KeyboardInterrupt
        return by_dropout(recipe, part, *rest)

    monkeypatch.setattr(module, "score_fold", interrupt_in_the_second_fold)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, 1)
    monkeypatch.setattr(module, "score_fold", by_dropout)
    study = run(tmp_path, 1)
    (again,) = finished_trials(study)
    assert again.user_attrs["recipe"] == begun[0].model_dump(mode="json")
    assert again.user_attrs["runs"] == run_folder(tmp_path, begun[0]).name  # with its trained first fold


def test_planned_trials_run_in_order_and_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space, planned = Space({"model.dropout": [0.2, 0.3, 0.9]}).each(RECIPE)

    def resume() -> Any:
        study = open_search(tmp_path, REGISTERED, 0, planned)
        search(study, RECIPE, space, PARTS, len(planned), tmp_path, quiet)
        return study

    def stop(recipe: Recipe, *rest: Any) -> FoldScore:
        if recipe.model.dropout == 0.3:
            raise KeyboardInterrupt
        return by_dropout(recipe, *rest)

    monkeypatch.setattr(module, "score_fold", stop)
    with pytest.raises(KeyboardInterrupt):
        resume()
    monkeypatch.setattr(module, "score_fold", by_dropout)
    trials = finished_trials(resume())
    assert {(trial.user_attrs["changed"], trial.user_attrs["recipe"]["model"]["dropout"]) for trial in trials} == {
        ("the recipe as it is", 0.2),
        ("model.dropout 0.3", 0.3),
        ("model.dropout 0.9", 0.9),
    }
    assert trials[0].user_attrs["changed"] == "the recipe as it is"
    assert "model.dropout 0.9" in trial_line(trials[1])


@pytest.mark.long
@pytest.mark.parametrize("what", ["recipe", "space", "score", "films", "folds", "aspects"])
def test_a_search_with_another_registration_raises(what: str, tmp_path: Path) -> None:
    run(tmp_path, 1)
    with pytest.raises(UsageError, match=f"another {what}"):
        open_search(tmp_path, replace(REGISTERED, **{what: "changed"}), 0)


def test_write_record_has_every_trial_and_the_best_recipe(tmp_path: Path) -> None:
    study = run(tmp_path, 8)
    write_record(study, tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "trials.csv").read_text())))
    assert [row["trial"] for row in rows] == [str(number) for number in range(8)]
    assert all(
        float(row["score"]) == pytest.approx(1 - abs(float(row["model.dropout"]) - 0.3), abs=1e-4) for row in rows
    )
    found = best_trial(study)
    assert found is not None
    best_recipe = parse_recipe(tomllib.loads((tmp_path / "best.toml").read_text()), "best.toml")
    assert best_recipe.model_dump(mode="json") == found.user_attrs["recipe"]


def test_the_cost_counts_every_fold(tmp_path: Path) -> None:
    study = run(tmp_path, 2)
    assert cost(finished_trials(study)) == "2 trials (2 whole), 0.03 hours of training and scoring"
    assert trials_csv([]).startswith("trial,outcome,score")


def test_recipes_round_trip_through_toml() -> None:
    recipe = parse_recipe({"name": 'with "quotes" and ü', "augment": {"aspect": [0.8, 1.25]}}, "here")
    assert parse_recipe(tomllib.loads(to_toml(recipe.model_dump(mode="json"))), "back") == recipe
