"""Training end to end on a few phantoms: runs, resumed runs, repeated runs."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from lucency.data import read_dataset
from lucency.data.dataset import Dataset
from lucency.data.splits import train_val_split
from lucency.errors import OutputError, SourceError, TrainingError
from lucency.models.run import open_run
from lucency.recipe import FinetuneSettings, Recipe, parse_recipe
from lucency.train import train_run
from lucency.train.losses import SparsityLoss
from lucency.train.module import ClassifierModule
from lucency.train.run import auxiliary_losses

TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {"image_size": 32, "resize_mode": "crop", "validation": 0.3},
    "model": {"backbone": "mobilenet_v2", "width": 0.35, "dropout": 0.3},
    "head": {"epochs": 2, "batch": 16, "lr": 0.01},
    "finetune": {"epochs": 3, "batch": 16, "ema": 0.9, "batch_norm": "train", "lr": 0.002},
    "augment": {"canvas": 40, "aspect": [0.8, 1.25], "noise": 4.0},
}


@pytest.fixture(scope="module")
def films() -> Dataset:
    return read_dataset("phantom:60")


def recipe(**changes: Any) -> Recipe:
    content = {**TINY, **{key: {**TINY.get(key, {}), **value} for key, value in changes.items()}}
    return parse_recipe(content, "tiny")


def weights(run: Path) -> dict[str, np.ndarray]:
    return load_file(run / "model.safetensors")


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def whole(films: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    train_run(recipe(), films, out, out.parent / "cache")
    return out


def test_a_run_has_weights_card_history_and_manifest(whole: Path) -> None:
    names = {path.name for path in whole.iterdir()}
    assert {"model.safetensors", "card.json", "history.csv", "history.png", "manifest.json"} <= names
    card = json.loads((whole / "card.json").read_text())
    assert card["labels"] == ["normal", "pneumonia"]
    assert card["training"]["recipe"]["name"] == "tiny"
    assert len((whole / "history.csv").read_text().splitlines()) == 1 + 2 + 3


def test_same_seed_same_weights(whole: Path, films: Dataset, tmp_path: Path) -> None:
    train_run(recipe(), films, tmp_path / "again", tmp_path / "cache")
    assert same(whole, tmp_path / "again")


def test_another_seed_other_weights(whole: Path, films: Dataset, tmp_path: Path) -> None:
    short = recipe(head={"epochs": 1}, finetune={"epochs": 0})
    for seed in (0, 1):
        train_run(short.model_copy(update={"seed": seed}), films, tmp_path / str(seed), whole.parent / "cache")
    assert not same(tmp_path / "0", tmp_path / "1")


@pytest.mark.parametrize(
    "stop_at", [1, 4, pytest.param(3, marks=pytest.mark.slow), pytest.param(6, marks=pytest.mark.slow)]
)
def test_an_interrupted_run_resumes_to_the_same_weights(
    whole: Path, films: Dataset, tmp_path: Path, stop_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before the n-th validation of the run: in the head's epochs (1, 2) or in fine-tuning's (3, 4, 5)."""
    calls = {"epochs": 0}
    original = ClassifierModule.on_validation_epoch_end

    def stop(self: ClassifierModule) -> None:
        calls["epochs"] += 1
        if calls["epochs"] == stop_at:
            raise InterruptedError("pulled the plug")
        original(self)

    monkeypatch.setattr(ClassifierModule, "on_validation_epoch_end", stop)
    out = tmp_path / "run"
    if stop_at <= 5:
        with pytest.raises(Exception, match="pulled the plug"):
            train_run(recipe(), films, out, whole.parent / "cache")
        assert not (out / "card.json").exists()
    monkeypatch.undo()
    train_run(recipe(), films, out, whole.parent / "cache", resume=out.exists())
    assert same(whole, out)
    assert (out / "history.csv").read_text() == (whole / "history.csv").read_text()


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_weights(whole: Path, tmp_path: Path) -> None:
    toml = tmp_path / "tiny.toml"
    toml.write_text(_toml(TINY))
    command = [
        sys.executable,
        "-m",
        "lucency",
        "train",
        str(toml),
        "--data",
        "phantom:60",
        "--out",
        str(tmp_path / "r"),
    ]
    for pause in (7.0, 8.0, 9.0):
        process = subprocess.Popen([*command, "--resume"] if (tmp_path / "r").exists() else command)
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([*command, "--resume"], check=True, env=os.environ)
    assert same(whole, tmp_path / "r")


def _toml(content: dict[str, Any]) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in content.items() if not isinstance(value, dict)]
    for key, table in content.items():
        if isinstance(table, dict):
            lines += [f"[{key}]", *(f"{name} = {json.dumps(value)}" for name, value in table.items())]
    return "\n".join(lines)


def worse() -> Recipe:
    """A recipe whose first epochs are the best."""
    short = recipe(head={"epochs": 0}, finetune={"epochs": 4, "lr": 0.3, "schedule": "constant", "ema": 0.0})
    return short.model_copy(update={"seed": 4})


@pytest.mark.long
def test_resume_starts_from_the_last_epoch_not_the_best(films: Dataset, tmp_path: Path) -> None:
    train_run(worse(), films, tmp_path / "run", tmp_path / "cache")
    kept = {
        name: torch.load(tmp_path / "run" / "checkpoints" / "finetune" / f"{name}.ckpt", weights_only=True)["epoch"]
        for name in ("best", "last")
    }
    assert kept["best"] < kept["last"] == 3  # otherwise the test is void


def test_the_best_epoch_is_kept_without_early_stopping(whole: Path) -> None:
    rows = [line.split(",") for line in (whole / "history.csv").read_text().splitlines()]
    column = rows[0].index("val_auroc")
    tuned = [float(row[column]) for row in rows[1:] if row[0] == "finetune"]

    best = torch.load(whole / "checkpoints" / "finetune" / "best.ckpt", weights_only=True)
    assert best["epoch"] == int(np.argmax(tuned))
    kept = weights(whole)
    for name, tensor in best["state_dict"].items():
        assert np.array_equal(kept[name.removeprefix("network.")], tensor.numpy())


def test_the_last_epoch_is_kept_where_the_recipe_says_so(films: Dataset, tmp_path: Path) -> None:
    settled = worse()
    settled = settled.model_copy(update={"finetune": settled.finetune.model_copy(update={"keep": "last"})})
    said = train_run(settled, films, tmp_path / "run", tmp_path / "cache")
    last = torch.load(tmp_path / "run" / "checkpoints" / "finetune" / "last.ckpt", weights_only=True)
    best = torch.load(tmp_path / "run" / "checkpoints" / "finetune" / "best.ckpt", weights_only=True)
    assert best["epoch"] < last["epoch"]  # otherwise the test is void
    kept = weights(tmp_path / "run")
    for name, tensor in last["state_dict"].items():
        assert np.array_equal(kept[name.removeprefix("network.")], tensor.numpy())
    assert f"{last['history'][-1]['val_auroc']:.4f} on" in said
    assert "chose the checkpoint" not in said + " ".join(open_run(tmp_path / "run").card.limits)


def test_early_stopping(films: Dataset, tmp_path: Path) -> None:
    still = recipe(head={"epochs": 30, "lr": 1e-12, "patience": 2}, finetune={"epochs": 0})
    train_run(still, films, tmp_path / "run", tmp_path / "cache")
    assert len((tmp_path / "run" / "history.csv").read_text().splitlines()) == 1 + 3


def test_resuming_another_run_raises(whole: Path, films: Dataset) -> None:
    with pytest.raises(TrainingError, match="its recipe changed"):
        train_run(recipe(head={"epochs": 1}), films, whole, whole.parent / "cache", resume=True)
    with pytest.raises(TrainingError, match="its training films"):
        train_run(recipe(), read_dataset("phantom:50"), whole, whole.parent / "cache", resume=True)


def test_a_non_empty_folder_raises(whole: Path, films: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="--resume, or choose another --out"):
        train_run(recipe(), films, whole, whole.parent / "cache")
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(TrainingError, match="new or empty"):
        train_run(recipe(), films, tmp_path, whole.parent / "cache")
    assert (tmp_path / "note.txt").read_text() == "mine"


def test_resuming_a_finished_run_does_nothing(whole: Path, films: Dataset) -> None:
    before = (whole / "card.json").read_bytes()
    assert "finished already" in train_run(recipe(), films, whole, whole.parent / "cache", resume=True)
    assert (whole / "card.json").read_bytes() == before


def test_a_single_class_raises(films: Dataset, tmp_path: Path) -> None:
    positives = films.subset([index for index, record in enumerate(films.samples) if record.label == 1])
    with pytest.raises(SourceError, match="class 'normal' has no film"):
        train_run(recipe(), positives, tmp_path / "run", tmp_path / "cache")
    assert not (tmp_path / "run").exists()


@pytest.mark.long
@pytest.mark.parametrize("imbalance", ["none", "oversample", "focal"])
def test_every_imbalance_setting_trains(films: Dataset, tmp_path: Path, imbalance: str) -> None:
    chosen = recipe(data={"imbalance": imbalance}, finetune={"epochs": 1})
    train_run(chosen, films, tmp_path / "run", tmp_path / "cache")
    assert (tmp_path / "run" / "card.json").exists()


def test_frozen_blocks_keep_their_weights(films: Dataset, tmp_path: Path) -> None:
    settings = recipe(
        finetune={"epochs": 1, "unfreeze_blocks": 1, "ema": 0.0, "batch_norm": "frozen"}, head={"epochs": 0}
    )
    train_run(settings, films, tmp_path / "run", tmp_path / "cache")

    from lucency.models import blocks, build

    torch.manual_seed(0)
    before = build(settings.model, 1)
    after = build(settings.model, 1)
    after.load_state_dict({name: torch.from_numpy(value) for name, value in weights(tmp_path / "run").items()})
    moved = [
        any(not torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
        for one, two in zip(blocks(before), blocks(after), strict=True)
    ]
    assert moved == [False] * (len(moved) - 1) + [True]


def test_a_nan_loss_raises(films: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"loss is nan|loss is inf"):
        train_run(recipe(finetune={"lr": 1e30, "ema": 0.0}), films, tmp_path / "run", tmp_path / "cache")


@pytest.mark.long
def test_a_run_moved_away_while_it_trains_can_be_put_back_or_continued_where_it_is(
    films: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"

    def move(_phase: str, history: list[Any]) -> None:
        if len(history) == 2:
            run.rename(elsewhere)

    with pytest.raises(OutputError, match=r"No such file.*put its folder back.*--resume"):
        train_run(worse(), films, run, tmp_path / "cache", watch=move)
    assert "Traceback" not in capsys.readouterr().err
    assert not run.exists()
    train_run(worse(), films, elsewhere, tmp_path / "cache", resume=True)
    train_run(worse(), films, run, tmp_path / "cache")
    assert same(run, elsewhere)


def test_the_sparsity_loss_is_added() -> None:
    assert auxiliary_losses(FinetuneSettings()) == []
    assert auxiliary_losses(FinetuneSettings(sparse=0.5)) == [SparsityLoss(0.5)]


def test_training_on_views_equals_validation_on_films(films: Dataset, tmp_path: Path) -> None:
    """The validation loss from cached views equals the network's own on whole films."""
    cropped = recipe(
        data={"image_size": 64, "resize_mode": "stretch", "imbalance": "none"},
        model={"lung_crop": 96, "depth": 5},
        head={"epochs": 0},
        finetune={"views": 2, "local": 0.5, "unfreeze_blocks": 2},
        augment={"opacities": 0.2, "scales": 0.2, "exchange": 0.5, "bias_field": 0.3},
    )
    train_run(cropped, films, tmp_path / "run", tmp_path / "cache")
    run = open_run(tmp_path / "run")
    assert run.card.model.lung_crop == 96
    assert run.classifier.crop is not None
    _, val, _ = train_val_split(films, cropped.data)
    squares = np.stack([run.preprocess(record.load()) for record in val.samples])
    with torch.no_grad():
        logits = run.classifier(torch.from_numpy(squares[:, None].astype(np.float32)))[:, 0]
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(val.label_array()).float())
    with (tmp_path / "run" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    best = max(rows, key=lambda row: float(row["val_auroc"]))
    assert float(best["val_loss"]) == pytest.approx(loss.item(), rel=0.01)  # views are kept in half precision
