from __future__ import annotations

from pathlib import Path

import pytest

from lucency.errors import RecipeError
from lucency.recipe import (
    RECIPES,
    Recipe,
    card_data_settings,
    describe_recipe,
    parse_recipe,
    read_recipe,
    recipe_names,
)

SHIPPED = sorted(RECIPES.glob("*.toml"))


def complaint(content: dict[str, object]) -> str:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(content, "r.toml")
    return str(caught.value)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid_and_named_after_their_file(path: Path) -> None:
    assert read_recipe(path).name == path.stem


def test_unknown_setting_is_refused_with_the_nearest_known_one() -> None:
    said = complaint({"name": "x", "finetune": {"epocs": 3}})
    assert said == "r.toml [finetune]: unknown setting 'epocs'; did you mean 'epochs'?"


def test_unknown_table_is_refused_with_the_nearest_known_one() -> None:
    assert complaint({"name": "x", "finetun": {}}) == "r.toml: unknown setting 'finetun'; did you mean 'finetune'?"


def test_a_far_name_lists_what_is_known() -> None:
    assert "known are name, seed, data, model, head, finetune, augment" in complaint({"name": "x", "zzzz": 1})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({}, "setting 'name' is missing"),
        ({"name": "x", "data": {"image_size": 5}}, "[data]: 'image_size' = 5: should be greater than or equal to 28"),
        ({"name": "x", "finetune": {"unfreeze_blocks": "some"}}, "or should be 'all'"),
        (
            {"name": "x", "augment": {"aspect": [2.0, 1.0]}},
            "aspect must be two numbers, 0 < low <= high, got [2.0, 1.0]",
        ),
        ({"name": "x", "augment": {"zoom": [0.5, 2.5]}}, "cannot exceed 2, got 2.5"),
        (
            {"name": "x", "data": {"resize_mode": "pad"}, "model": {"lung_crop": 96}},
            "[data] resize_mode must be stretch, not pad",
        ),
        ({"name": "x", "model": {"lung_crop": 96}}, "[model] lung_crop needs [finetune] views"),
        ({"name": "x", "model": {"tta_zoom": [1.0, 0.7], "head": "dense128"}}, "need the linear head"),
        ({"name": "x", "model": {"tta_zoom": [1.2]}}, "should be less than or equal to 1"),
        ({"name": "x", "finetune": {"views": 1, "local": 0.1}}, "set [model] lung_crop"),
        ({"name": "x", "model": {"backbone": "timm:resnet18"}, "finetune": {"views": 1}}, "lucency's own backbones"),
        ({"name": "x", "model": {"dropout": 1.0}}, "[model]: 'dropout' = 1.0"),
        ({"name": "x", "data": {"imbalance": "weights"}}, "'class_weights'"),
    ],
)
def test_values_out_of_range_are_one_line_that_says_what_is_accepted(content: dict[str, object], says: str) -> None:
    said = complaint(content)
    assert says in said
    assert "\n" not in said


def test_two_mistakes_are_both_told() -> None:
    said = complaint({"name": "x", "seed": -1, "head": {"batch": 0}})
    assert "'seed' = -1" in said
    assert "'batch' = 0" in said


def test_files_that_are_not_recipes(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, says in ((tmp_path / "no.toml", "No such file"), (broken, "syntax error"), (binary, "not UTF-8")):
        with pytest.raises(RecipeError, match=says):
            read_recipe(path)


def test_round_trip_through_json_is_the_same_recipe() -> None:
    recipe = parse_recipe({"name": "x", "data": {"class_weights": [1.0, 0.4]}, "finetune": {"unfreeze_blocks": 3}}, "x")
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_old_names_are_read_and_the_new_ones_named_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    old = {"name": "x", "data": {"side": 64, "fit": "crop"}, "tune": {"epochs": 3, "blocks": 2, "mixup": 0.0}}
    new = {
        "name": "x",
        "data": {"image_size": 64, "resize_mode": "crop"},
        "finetune": {"epochs": 3, "unfreeze_blocks": 2},
    }
    assert parse_recipe(old, "r.toml") == parse_recipe(new, "r.toml")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "'tune' is now 'finetune'" in said
    assert "'data.side' is now 'data.image_size'" in said


def test_a_removed_setting_is_refused_where_it_did_something() -> None:
    assert "removed" in complaint({"name": "x", "finetune": {"adversary": 0.2}})
    assert "removed" in complaint({"name": "x", "finetune": {"swa": 2}})
    assert "removed" in complaint({"name": "x", "data": {"imbalance": "group_dro"}})
    assert parse_recipe({"name": "x", "augment": {"clahe": 0.0, "resample": [1.0, 1.0]}}, "x") == Recipe(name="x")
    assert parse_recipe({"name": "x", "data": {"misled": 1.0}, "finetune": {"wise_ft": 1}}, "x") == Recipe(name="x")


def test_the_data_settings_of_an_old_card_are_read_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    old = {"side": 48, "fit": "pad", "misled": 4.0, "group_step": 0.1, "imbalance": "group_dro"}
    found = card_data_settings({"data": old, "tune": {"mixup": 0.2}})
    assert (found.image_size, found.resize_mode) == (48, "pad")
    assert not capsys.readouterr().err


def test_brackets_nested_without_end_are_refused(tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text("name = " + "[" * 100_000)
    with pytest.raises(RecipeError, match=r"deep\.toml: expected"):
        read_recipe(tmp_path / "deep.toml")


def test_a_recipe_that_extends_another_states_what_differs(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "lecture"\n[head]\nepochs = 3\n')
    mine, lecture = read_recipe(tmp_path / "mine.toml"), read_recipe("lecture")
    assert (mine.name, mine.head.epochs) == ("mine", 3)
    assert mine.head.model_copy(update={"epochs": lecture.head.epochs}) == lecture.head
    assert (mine.data, mine.model) == (lecture.data, lecture.model)


@pytest.mark.parametrize(
    ("base", "says"),
    [("loop", "extends another itself"), ("middle", "extends another itself"), ("lecturer", "one that ships")],
)
def test_a_chain_a_loop_and_nothing_are_refused(base: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "loop.toml").write_text('extends = "loop.toml"\n')
    (tmp_path / "middle.toml").write_text('extends = "lecture"\n')
    (tmp_path / "top.toml").write_text(f'extends = "{base}{"" if base == "lecturer" else ".toml"}"\n')
    with pytest.raises(RecipeError, match=says):
        read_recipe(tmp_path / "top.toml")


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_says_what_it_trains(name: str) -> None:
    trains, _ = describe_recipe(name)
    assert trains.endswith((".", "measures against."))


def test_a_name_that_does_not_ship() -> None:
    with pytest.raises(RecipeError, match="lecture"):
        describe_recipe("lecturer")
