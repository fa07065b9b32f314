"""A reader of brightness: re-acquisition of tone changes its output, of compression does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.films import as_films, chest
from lucency.bundle import Card, Model, Square, Training
from lucency.bundle.card import Costs
from lucency.data import read_dataset
from lucency.data.acquisition_pairs import Squares, squares_of
from lucency.data.dataset import Dataset
from lucency.data.splits import Fold, split_hash, train_val_split
from lucency.errors import SourceError, UsageError
from lucency.reader import Reader
from lucency.recipe import Recipe
from lucency.shift.conditions import (
    CONDITIONS,
    ConditionMetrics,
    Scores,
    class_metrics,
    condition_metrics,
    held_out,
    network_input,
    reacquire_films,
    score_conditions,
)

from ..cli.brightness import write_brightness_bundle

N = 40


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader.open(write_brightness_bundle(tmp_path_factory.mktemp("reader") / "bundle"))


@pytest.fixture(scope="module")
def squares() -> Squares:
    """Films with the finding are brighter on average."""
    labels = [k % 2 for k in range(N)]
    return squares_of(as_films([chest(k, level=20 * label + k % 5) for k, label in enumerate(labels)], labels))


def metrics_of(reader: Reader, squares: Squares, whose: str) -> dict[str, ConditionMetrics]:
    (scores,) = score_conditions([reader], squares, whose, only=("tone", "jpeg"))  # type: ignore[arg-type]
    found = condition_metrics(scores, squares.films.label_array(), 0.5)
    return {one.condition: one for one in found}


def test_only_parts_that_the_reader_depends_on_change_its_output(reader: Reader, squares: Squares) -> None:
    found = metrics_of(reader, squares, "other")
    assert list(found) == ["plain", "tone", "jpeg"]
    assert found["plain"].auroc > 0.95
    assert found["tone"].auroc < 0.5
    assert found["tone"].normal_shift > 0.4
    assert found["tone"].pneumonia_shift < -0.4
    assert found["jpeg"].auroc == pytest.approx(found["plain"].auroc, abs=0.02)


def test_donors_of_the_same_class_keep_the_auroc(reader: Reader, squares: Squares) -> None:
    assert metrics_of(reader, squares, "same")["tone"].auroc > 0.9


def test_several_readers_score_as_each_alone(reader: Reader, squares: Squares) -> None:
    one, other = score_conditions([reader, reader], squares, only=("tone",))
    (alone,) = score_conditions([reader], squares, only=("tone",))
    for name in ("plain", "tone"):
        assert np.array_equal(one[name].logits, alone[name].logits)
        assert np.array_equal(other[name].logits, alone[name].logits)


def test_the_plain_condition_leaves_the_film_unchanged(squares: Squares) -> None:
    found = reacquire_films(squares, range(3), CONDITIONS["plain"], "other", 0)
    assert all(np.array_equal(film, squares.pixels[index]) for film, index in found)


def test_re_acquisition_does_not_depend_on_the_batch(squares: Squares) -> None:
    (alone,) = reacquire_films(squares, [7], CONDITIONS["all"], "other", 0)
    among = reacquire_films(squares, range(5, 9), CONDITIONS["all"], "other", 0)[2]
    assert np.array_equal(alone[0], among[0])
    assert alone[1] == among[1] == 7


def test_an_unknown_condition_raises(reader: Reader, squares: Squares) -> None:
    with pytest.raises(UsageError, match="unknown condition 'sharp'"):
        score_conditions([reader], squares, only=("sharp",))


def test_condition_metrics_by_hand() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1])
    plain, moved = np.array([-4.0, -3, -2, -1, 2, 3]), np.array([-4.0, -3, -2, 2.5, 2, 3])
    scores = {name: Scores(x, 1 / (1 + np.exp(-x))) for name, x in (("plain", plain), ("tone", moved))}
    first, second = condition_metrics(scores, labels, 0.5)
    assert (first.auroc, first.specificity, first.sensitivity, first.accuracy) == (1, 1, 1, 1)
    assert second.auroc == second.auroc_normals_moved == pytest.approx(7 / 8)
    assert second.specificity == 0.75  # the threshold is chosen on the plain films, between -1 and 2
    assert second.accuracy == pytest.approx(5 / 6)
    assert second.normal_shift == pytest.approx(3.5 / 4)
    assert second.pneumonia_shift == 0


def test_network_input_restores_the_aspect_for_crops() -> None:
    from lucency.preprocess import Preprocess

    wide = np.tile(chest(0), (1, 2))
    squares = squares_of(as_films([wide, chest(1)], [0, 1]))
    film = np.zeros((224, 448), dtype=np.uint8)
    film[:, 112:336] = 200  # what a crop would show
    squares.pixels[0] = np.asarray(Preprocess(224).__call__(as_films([film], [0]).samples[0].load()))
    assert network_input(Preprocess(32, "crop"), squares.pixels[0], squares, 0)[:, 2:-2].min() > 190
    assert network_input(Preprocess(32, "stretch"), squares.pixels[0], squares, 0).min() == 0


RECIPE = Recipe(name="test")


@pytest.fixture(scope="module")
def films() -> Dataset:
    return read_dataset("phantom:60")


def card(train: Dataset) -> Card:
    trained = Training(
        recipe=RECIPE.model_dump(mode="json"), films=len(train), split_hash=split_hash(train, range(len(train)))
    )
    model = Model(format="torch", file="model.safetensors", backbone="mobilenet_v2")
    return Card(
        name="test", labels=("normal", "pneumonia"), preprocess=Square(image_size=32), model=model, training=trained
    )


def names(films: Dataset) -> set[str]:
    return {record.name for record in films.samples}


def test_a_single_run_is_evaluated_on_its_validation_films(films: Dataset) -> None:
    train, val, _ = train_val_split(films, RECIPE.data)
    held, how = held_out(card(train), films)
    assert names(held) == names(val)
    assert "validation films" in how


@pytest.mark.parametrize("of", [3, 5])
def test_the_held_out_fold_is_found(films: Dataset, of: int) -> None:
    rest, out = Fold(2, of).split(films)
    held, how = held_out(card(train_val_split(rest, RECIPE.data)[0]), films)
    assert names(held) == names(out)
    assert f"fold 2 of {of}, not used in training" in how


def test_a_wrong_fold_raises(films: Dataset) -> None:
    rest, _ = Fold(2, 5).split(films)
    with pytest.raises(SourceError, match="split hash"):
        held_out(card(train_val_split(rest, RECIPE.data)[0]), films, fold=3, folds=5)


def test_other_films_raise(films: Dataset) -> None:
    train, _, _ = train_val_split(films, RECIPE.data)
    with pytest.raises(SourceError, match="none fits the split hash"):
        held_out(card(train), read_dataset("phantom:50"))


LABELS = (0, 0, 1, 1, 2, 2)
FILMS = as_films([chest(0)] * len(LABELS), [0] * len(LABELS))
FILMS = replace(
    FILMS,
    labels=("a", "b", "c"),
    task="multiclass",
    samples=tuple(replace(one, label=label) for one, label in zip(FILMS.samples, LABELS, strict=True)),
)


def calling(*called: int) -> Scores:
    """0.8 for the class that is called, 0.1 for each other."""
    probabilities = np.full((len(called), 3), 0.1)
    probabilities[np.arange(len(called)), called] = 0.8
    return Scores(np.log(probabilities), probabilities)


def test_by_hand() -> None:
    plain, tone = class_metrics({"plain": calling(*LABELS), "tone": calling(0, 0, 1, 0, 1, 0)}, FILMS, resamples=50)
    assert (plain.balanced_accuracy.value, plain.mean_auroc.value, plain.change.value) == (1, 1, 0)
    assert tone.balanced_accuracy.value == pytest.approx((1 + 0.5 + 0) / 3)
    assert tone.change.value == pytest.approx(-0.5)
    assert tone.called_otherwise.value == pytest.approx(3 / 6)
    assert tone.sensitivity == {"a": 1.0, "b": 0.5, "c": 0.0}
    # Of eight pairs each: a wins 4 and ties 4, b wins 3 and ties 4, c, which is never called, ties all.
    assert tone.mean_auroc.value == pytest.approx((6 + 5 + 4) / 24)


def test_the_measures_that_runs_are_compared_by() -> None:
    plain, moved = class_metrics({"plain": calling(*LABELS), "all": calling(0, 0, 1, 0, 1, 0)}, FILMS, resamples=50)
    assert set(plain.measures()) == {"balanced accuracy plain", "mean AUROC plain", "ECE plain"}
    assert moved.measures()["called otherwise all"] == pytest.approx(0.5)


def test_costs_decide_the_call() -> None:
    costs = Costs(called=((0, 1, 1), (1, 0, 1), (50, 50, 0)))
    (plain,) = class_metrics({"plain": calling(*LABELS)}, FILMS, costs, resamples=50)
    assert plain.sensitivity == {"a": 0.0, "b": 0.0, "c": 1.0}
