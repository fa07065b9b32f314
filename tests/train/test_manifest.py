"""The manifest of a run, and one that an earlier version wrote."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluate.samples import several
from lucency.data import read_dataset
from lucency.errors import OutputError, TrainingError
from lucency.recipe import Recipe
from lucency.train.manifest import MANIFEST, Manifest, claim, figure, lock_and_claim

FILMS = read_dataset("phantom:6")
RECIPE = Recipe(name="x")


def test_a_claimed_folder_raises_without_resume(tmp_path: Path) -> None:
    own = Manifest.of(RECIPE, FILMS, FILMS)
    assert not claim(tmp_path / "run", own, resume=False)
    assert not claim(tmp_path / "run", own, resume=True)
    with pytest.raises(TrainingError, match="--resume"):
        claim(tmp_path / "run", own, resume=False)
    (tmp_path / "run" / "card.json").touch()
    assert claim(tmp_path / "run", own, resume=True)


def test_a_second_process_cannot_claim_a_run(tmp_path: Path) -> None:
    own = Manifest.of(RECIPE, FILMS, FILMS)
    with contextlib.ExitStack() as first:
        assert not lock_and_claim(tmp_path / "run", own, False, first)
        with contextlib.ExitStack() as second, pytest.raises(OutputError, match="another lucency process"):
            lock_and_claim(tmp_path / "run", own, True, second)
    with contextlib.ExitStack() as third:
        assert not lock_and_claim(tmp_path / "run", own, True, third), "the lock ends with the process"


def test_resume_names_what_changed(tmp_path: Path) -> None:
    claim(tmp_path / "run", Manifest.of(RECIPE, FILMS, FILMS), resume=False)
    other = Manifest.of(RECIPE.model_copy(update={"seed": 1}), FILMS.subset([0, 1]), FILMS)
    with pytest.raises(TrainingError, match="its recipe and its training films changed"):
        claim(tmp_path / "run", other, resume=True)


def test_the_manifest_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    own = Manifest.of(RECIPE, FILMS, FILMS)
    recipe = json.loads(own.recipe)
    recipe["tune"] = {**recipe.pop("finetune"), "mixup": 0.0}
    recipe["tune"]["blocks"] = recipe["tune"].pop("unfreeze_blocks")
    plan = {"recipe": json.dumps(recipe), "learn": own.train, "judge": own.val, "processes": 1}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    (tmp_path / "card.json").touch()
    assert not (tmp_path / MANIFEST).exists()
    assert claim(tmp_path, own, resume=True)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_several_classes_have_an_interval(task: str) -> None:
    """8 of 10 right is 0.490 to 0.943 (Wilson 1927); films of no known patient count each for itself."""
    drawn = several("multiclass", 10, 3) if task == "multiclass" else several("multilabel", 10, 1)
    called = drawn.called(0.5).reshape(10, -1)
    labels = np.where(np.arange(10)[:, None] < 8, called, (called + 1) % 2).reshape(drawn.labels.shape)
    found = figure(replace(drawn, labels=labels, patients=(None,) * 10))
    assert found == "share of right calls 0.800 (0.490 to 0.943)"
