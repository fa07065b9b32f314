"""`lucency recipes`: what ships, and what it gave."""

from __future__ import annotations

import json
import tomllib

import pytest

from lucency.cli import run
from lucency.errors import RecipeError
from lucency.recipe import parse_recipe, recipe_names


def test_each_is_listed_with_what_it_trains_and_gave(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipes", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["name"] for one in listed] == list(recipe_names())
    gave = {one["name"]: one["gave"] for one in listed}
    assert "AUROC" in gave["lecture"]
    assert all(one["trains"] for one in listed)


def test_one_is_printed_as_a_file_to_begin_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipes", "lecture"]) == 0
    assert parse_recipe(tomllib.loads(capsys.readouterr().out), "mine").name == "lecture"
    assert run(["recipes", "lectur"]) == RecipeError.exit_code
    assert "lecture" in capsys.readouterr().err
