"""Every kind of picture can be named, is read in its own colour by runs and exports, and refuses what it is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lucency.bundle import Card, Model, Square
from lucency.errors import RecipeError
from lucency.export.exporter import export_run
from lucency.film import Film
from lucency.modality import MODALITIES, NAMES
from lucency.models import build
from lucency.models.run import save_run
from lucency.preprocess import Preprocess
from lucency.reader import Reader
from lucency.reader.reader import verify_golden
from lucency.recipe import ModelSettings, Recipe, parse_recipe
from lucency.serve.routes import ReadingAnswer
from lucency.web import ENGLISH, modality_module, texts_of

PAGE = ENGLISH.parent
SMALL = ModelSettings(backbone="mobilenet_v2", width=0.25, depth=4)
RANDOM = np.random.default_rng(5)
COLOUR = RANDOM.integers(0, 256, (50, 40, 3)).astype(np.uint8)


def run_of(out: Path, modality: str, labels: int | tuple[str, ...] = 3, **stated: Any) -> Path:
    """A run with random weights, of several classes, that has seen no picture; `stated` goes into its card."""
    torch.manual_seed(0)
    labels = tuple(f"class {index}" for index in range(labels)) if isinstance(labels, int) else labels
    channels = MODALITIES[modality].channels
    card = Card(
        name=modality,
        task="multiclass",
        labels=labels,
        modality=modality,
        preprocess=Square.model_validate(Preprocess(48, "pad", channels).to_json()),
        model=Model(
            format="torch", file="model.safetensors", **SMALL.model_dump(include={"backbone", "width", "depth"})
        ),
        **stated,
    )
    save_run(out, build(SMALL, len(labels)).eval(), card)
    return out


def test_the_table_has_a_row_for_every_name():
    assert set(MODALITIES) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_can_name_it_and_draws_only_what_it_allows(name):
    kind = MODALITIES[name]
    flips = {0: "none", 1: "horizontal", 2: "both"}
    allowed = {"flip": flips[len(kind.flips)], "rotate": kind.rotate}
    recipe = parse_recipe({"name": "x", "data": {"modality": name}, "augment": allowed}, "x.toml")
    assert isinstance(recipe, Recipe)
    refused = [{"rotate": kind.rotate + 1}] if kind.rotate < 180 else []
    refused += [{"flip": flip} for number, flip in flips.items() if number > len(kind.flips)]
    refused += [{"tint": 0.1}] if kind.channels == 1 else []
    for augment in refused:
        with pytest.raises(RecipeError, match=kind.noun):
            parse_recipe({"name": "x", "data": {"modality": name}, "augment": augment}, "x.toml")


@pytest.mark.parametrize("name", NAMES)
def test_a_run_reads_it_in_its_own_colour(name, tmp_path):
    reader = Reader.open(run_of(tmp_path / "run", name))
    plain = Film(Film.of_rgb(COLOUR).pixels)
    gray, colour = reader.read(plain), reader.read(Film.of_rgb(COLOUR))
    same = np.array_equal(gray.logits, colour.logits)
    assert same == (MODALITIES[name].channels == 1)
    wrong = colour if MODALITIES[name].channels == 1 else gray
    assert wrong.verdict == "uncertain"
    assert any("colour" in warning for warning in wrong.warnings)


def test_a_card_of_chest_films_says_what_it_always_said(tmp_path):
    run_of(tmp_path / "run", "chest_xray")
    written = (tmp_path / "run" / "card.json").read_text(encoding="utf-8")
    assert "modality" not in written
    assert "channels" not in written


def test_a_card_refuses_the_wrong_channels(tmp_path):
    card = Reader.open(run_of(tmp_path / "run", "skin")).card
    with pytest.raises(ValueError, match="3 channels"):
        Card.model_validate({**card.model_dump(), "preprocess": Square().model_dump()})


@pytest.mark.long
@pytest.mark.parametrize("target", ["litert", "onnx"])
def test_an_export_of_a_colour_network_gives_its_answers(target, tmp_path):
    run = run_of(tmp_path / "run", "skin")
    squares = RANDOM.integers(0, 256, (4, 48, 48, 3)).astype(np.uint8)
    export_run(run, target, tmp_path / "out")
    ours, theirs = Reader.open(run).read_batch(squares), Reader.open(tmp_path / "out").read_batch(squares)
    assert np.allclose(ours.logits, theirs.logits, atol=1e-4)
    assert np.allclose(ours.maps, theirs.maps, atol=1e-4)
    found = verify_golden(tmp_path / "out")
    assert found is not None
    assert found.logit < 1e-4


def test_channels_are_not_mixed_up(tmp_path):
    reader = Reader.open(run_of(tmp_path / "run", "skin"))
    logits = [reader.read(Film.of_rgb(COLOUR[:, :, order])).logits for order in ([0, 1, 2], [2, 1, 0])]
    assert not np.allclose(*logits)
    assert replace(reader.preprocess, channels=1)(Film.of_rgb(COLOUR)).shape == (48, 48)


def test_the_server_answers_with_all_that_a_reading_of_several_classes_says(tmp_path):
    said = Reader.open(run_of(tmp_path / "run", "skin")).read(Film.of_rgb(COLOUR)).to_json()
    answer = ReadingAnswer.model_validate({**said, "film": "film"})
    assert [one.label for one in answer.leading or ()] == [one["label"] for one in said["leading"]]


def test_the_table_of_the_page_is_this_one():
    """Where it fails: write modality_module("chest_xray") to src/lucency/web/page/modality.js."""
    assert (PAGE / "modality.js").read_bytes() == modality_module("chest_xray")
    code = (PAGE / "sight.js").read_text(encoding="utf-8")
    sights = {kind.sight for kind in MODALITIES.values() if kind.sight}
    assert all(f"{sight}: " in code for sight in sights)
    for text in (PAGE / "i18n.js", PAGE / "i18n.de.js"):
        named = texts_of(text.read_text(encoding="utf-8"))
        assert {f"doubt_{sight}" for sight in sights} <= set(named)
