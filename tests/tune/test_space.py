"""Search spaces: valid ones, and errors before the first trial."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from lucency.errors import RecipeError
from lucency.recipe import Recipe
from lucency.tune.space import SPACE, Space, apply_settings, read_space

RECIPE = Recipe(name="test")


def written(folder: Path, text: str) -> Path:
    path = folder / "space.toml"
    path.write_text(text)
    return path


def test_the_built_in_space_fits_a_recipe() -> None:
    assert read_space(None, RECIPE).table == SPACE


def test_apply_settings_changes_only_those() -> None:
    found = apply_settings(RECIPE, {"model.dropout": 0.5, "augment.aspect": [0.8, 1.25]}, "here")
    assert found.model.dropout == 0.5
    assert found.augment.aspect == (0.8, 1.25)
    back = apply_settings(found, {"model.dropout": RECIPE.model.dropout, "augment.aspect": [1.0, 1.0]}, "here")
    assert back == RECIPE


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('"model.dropuot" = [0.1]', "did you mean 'dropout'"),
        ('"model.dropout" = [0.1, 1.5]', "dropout"),
        ('"finetune.lr" = { low = 1e-3 }', "low <= high"),
        ('"finetune.lr" = { low = 1e-2, high = 1e-3 }', "low <= high"),
        ('"finetune.lr" = { low = 1e-4, high = 1e-3, loog = true }', "low <= high"),
        ('"finetune.lr" = { low = 0, high = 1e-3, log = true }', "with log above 0"),
        ('"finetune.lr" = { low = "a", high = "b" }', "numbers low <= high"),
        ('"model.dropout" = []', "a list to choose from"),
        ('"seed.more" = [1]', "table.setting"),
    ],
)
def test_invalid_settings_raise(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        read_space(written(tmp_path, f"[space]\n{line}\n"), RECIPE)


@pytest.mark.parametrize("text", ["", "[search]\nx = [1]\n", "[space]\n", "[space", "[space]\na = [1]\n[more]\n"])
def test_a_file_without_a_space_raises(text: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="space"):
        read_space(written(tmp_path, text), RECIPE)


def test_each_changes_one_setting_at_a_time() -> None:
    """The recipe first, then every other value in any order of the file; both ends of a range."""
    table = {
        "model.dropout": [0.5, 0.2, 0.0],
        "augment.zoom": [[1, 1], [0.8, 1.0]],
        "finetune.lr": {"low": 1e-4, "high": 1e-2},
    }
    space, trials = Space(table).each(RECIPE)
    assert list(trials) == [
        "the recipe as it is",
        "model.dropout 0.5",
        "model.dropout 0.0",
        "augment.zoom [0.8, 1.0]",
        "finetune.lr 0.01",
    ]
    assert trials["augment.zoom [0.8, 1.0]"] == {
        "model.dropout": "0.2",
        "augment.zoom": "[0.8, 1.0]",
        "finetune.lr": "0.0001",
    }
    assert space.table["augment.zoom"] == [[1.0, 1.0], [0.8, 1.0]]
    assert space.to_json() != Space(space.table).to_json()  # a search cannot continue with it


def test_draws_lie_in_the_space_and_are_recorded() -> None:
    space = Space(
        {"a": [[1.0, 1.0], [0.5, 2.0]], "b": {"low": 1, "high": 3}, "c": {"low": 0.1, "high": 10, "log": True}}
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        drawn = space.draw(trial)
        assert drawn["a"] in space.table["a"]
        assert drawn["b"] in (1, 2, 3)
        assert 0.1 <= drawn["c"] <= 10
        assert set(trial.params) == set(drawn)
        study.tell(trial, 0.0)
