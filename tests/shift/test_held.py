"""The films that a run has not learned from are found by what its card says."""

from __future__ import annotations

import pytest

from lucency.bundle import Card, Model, Square, Training
from lucency.data import read_films
from lucency.data.partition import Fold, learn_and_judge
from lucency.data.record import Films
from lucency.data.split import split_hash
from lucency.errors import SourceError
from lucency.recipe import Recipe
from lucency.shift.held import held_out

RECIPE = Recipe(name="test")


@pytest.fixture(scope="module")
def films() -> Films:
    return read_films("phantom:60")


def card(learn: Films) -> Card:
    trained = Training(
        recipe=RECIPE.model_dump(mode="json"), films=len(learn), split_hash=split_hash(learn, range(len(learn)))
    )
    model = Model(format="torch", file="model.safetensors", backbone="mobilenet_v2")
    return Card(name="test", labels=("normal", "pneumonia"), preprocess=Square(side=32), model=model, training=trained)


def names(films: Films) -> set[str]:
    return {record.name for record in films.records}


def test_a_run_alone_is_judged_on_the_patients_who_chose_its_checkpoint(films: Films) -> None:
    learn, judge, _ = learn_and_judge(films, RECIPE.data)
    held, how = held_out(card(learn), films)
    assert names(held) == names(judge)
    assert "chose the checkpoint" in how


@pytest.mark.parametrize("of", [3, 5])
def test_a_fold_is_recognised(films: Films, of: int) -> None:
    rest, judge = Fold(2, of).parts(films)
    held, how = held_out(card(learn_and_judge(rest, RECIPE.data)[0]), films)
    assert names(held) == names(judge)
    assert f"fold 2 of {of}, never met" in how


def test_a_fold_that_is_named_wrongly_is_refused(films: Films) -> None:
    rest, _ = Fold(2, 5).parts(films)
    with pytest.raises(SourceError, match="split hash"):
        held_out(card(learn_and_judge(rest, RECIPE.data)[0]), films, fold=3, folds=5)


def test_other_films_are_refused(films: Films) -> None:
    learn, _, _ = learn_and_judge(films, RECIPE.data)
    with pytest.raises(SourceError, match="none fits the split hash"):
        held_out(card(learn), read_films("phantom:50"))
