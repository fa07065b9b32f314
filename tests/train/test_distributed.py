"""Training by several processes equals training by one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lucency.data import read_dataset
from lucency.data.splits import train_val_split
from lucency.errors import OutputError, TrainingError, UsageError
from lucency.recipe import Recipe, parse_recipe
from lucency.train import distributed, train_run
from lucency.train.manifest import Manifest, claim
from train.processes import gather, in_processes, leave, resumed, stopped, train

pytestmark = pytest.mark.long

DATA = "phantom:56"
"""38 training films, which two processes can share evenly, and 18 validation films."""
DRAWN = "phantom:300"
TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {"image_size": 32, "resize_mode": "crop", "validation": 0.3},
    "model": {"backbone": "mobilenet_v2", "width": 0.35, "dropout": 0.3},
    "head": {"epochs": 2, "batch": 8, "lr": 0.01},
    "finetune": {"epochs": 2, "batch": 8, "ema": 0.9, "batch_norm": "train", "lr": 0.002},
    "augment": {"canvas": 40, "aspect": [0.8, 1.25], "noise": 4.0},
}


def recipe(**changes: Any) -> Recipe:
    return parse_recipe({**TINY, **{key: {**TINY.get(key, {}), **value} for key, value in changes.items()}}, "tiny")


def trained(chosen: Recipe, out: Path, processes: int = 2, data: str = DATA) -> list[dict[str, str]]:
    """The rows of the run's history."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if processes == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # as each of two has: sums are then taken in the same order
        train_run(chosen, read_dataset(data), out, out.parent / "cache")
        torch.set_num_threads(threads)
    else:
        in_processes(train, chosen.model_dump_json(), data, out)
    lines = [line.split(",") for line in (out / "history.csv").read_text().splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def test_single_process_operations_are_identities() -> None:
    films = read_dataset("phantom:6")
    assert (distributed.world_size(), distributed.rank(), distributed.is_main_process()) == (1, 0, True)
    assert distributed.shard_patients(films) is films
    assert distributed.shard_films(films) is films
    assert (distributed.shard_batch_size(7), distributed.shard_seed(3), distributed.all_min(5)) == (7, 3, 5)
    assert distributed.shard_cache(Path("cache")) == Path("cache")
    assert distributed.all_gather(torch.ones(2, 1)).tolist() == [[1.0], [1.0]]


def test_shards_partition_films_by_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    films = read_dataset("phantom:90")
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    shares, parts = [], []
    for rank in range(3):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        shares.append(distributed.shard_patients(films))
        parts.append(distributed.shard_films(films))
    for dealt in (shares, parts):
        assert sorted(record.name for share in dealt for record in share.samples) == sorted(
            record.name for record in films.samples
        )
    patients = [{record.patient for record in share.samples} for share in shares]
    assert not patients[0] & patients[1] | patients[1] & patients[2] | patients[0] & patients[2]
    counts = [list(share.class_counts().values()) for share in shares]
    assert np.ptp(counts, axis=0).max() <= 2, "and classes are dealt evenly"


def test_indivisible_shards_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    with pytest.raises(TrainingError, match="a batch that 3 processes divide evenly, the recipe has 32"):
        distributed.shard_batch_size(32)
    with pytest.raises(TrainingError, match="a validation film for each of 3 processes, found 2"):
        distributed.shard_films(read_dataset("phantom:2"))


def test_collectives_of_two_processes(tmp_path: Path) -> None:
    in_processes(gather, tmp_path)
    one, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert one == other
    assert one == {
        "rows": [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]],
        "none": [0],
        "minimum": 9,
        "flag": True,
        "mean": [0.5, 0.5],
    }
    items = [json.loads((tmp_path / f"items-{rank}.json").read_text()) for rank in (0, 1)]
    assert items == [["from 0", "from 1", "from 1"], []], "only the main process gets the items"
    # Means taken with weights 1 and 3 count for 1/4 and 3/4 of that of all; DDP divides by 2.
    assert [json.loads((tmp_path / f"scale-{rank}.json").read_text()) for rank in (0, 1)] == [0.5, 1.5]


def test_a_process_whose_peer_died_raises(capfd: pytest.CaptureFixture[str]) -> None:
    in_processes(leave, ends=(1, 0), start="spawn")
    assert "TrainingError: another of 2 processes failed" in capfd.readouterr().err


def test_a_folder_not_on_a_shared_disk_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "FILE_VISIBLE_S", 0.0)
    (tmp_path / "there").touch()
    distributed.wait_for_file(tmp_path / "there")
    with pytest.raises(OutputError, match="on a disk that all machines share"):
        distributed.wait_for_file(tmp_path / "elsewhere")


@pytest.mark.slow
def test_both_processes_end_with_the_same_weights(tmp_path: Path) -> None:
    rows = trained(recipe(), tmp_path / "run")
    assert len(rows) == 4
    for phase in ("head", "finetune"):
        one, other = (torch.load(tmp_path / f"{phase}-{rank}.pt", weights_only=True) for rank in (0, 1))
        assert all(torch.equal(one[name], other[name]) for name in one), phase
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    learn, _, _ = train_val_split(read_dataset(DATA), recipe().data)
    assert card["training"]["films"] == len(learn) == 38, "the card speaks of all films"
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"0-of-2", "1-of-2"}


def test_two_processes_equal_one_on_full_batches(tmp_path: Path) -> None:
    """All films in one batch, nothing drawn: the mean of two equal halves' gradients is the gradient of the whole.

    What is left is rounding in float32, which Adam amplifies where gradients are almost zero, the more the higher lr:
    weights may end apart by a hundredth of the way they went, losses by 1e-4.
    """
    still = recipe(
        model={"dropout": 0.0},
        head={"epochs": 3, "batch": 38},
        finetune={"epochs": 3, "batch": 38, "ema": 0.0, "batch_norm": "frozen", "lr": 5e-5},
        augment={"canvas": 0, "aspect": [1.0, 1.0], "noise": 0.0},
    )
    one, two = trained(still, tmp_path / "1" / "run", 1), trained(still, tmp_path / "2" / "run", 2)
    for alone, both in zip(one, two, strict=True):
        for name in ("train_loss", "val_loss"):
            assert float(both[name]) == pytest.approx(float(alone[name]), abs=1e-4), name
        for name in ("train_accuracy", "val_accuracy", "train_recall", "val_precision"):
            assert float(both[name]) == pytest.approx(float(alone[name]), abs=1e-9), name
    ends = [
        torch.load(tmp_path / n / "run" / "checkpoints" / "finetune" / "last.ckpt", weights_only=True)["state_dict"]
        for n in ("1", "2")
    ]
    way = sum(float((ends[0][f"network.{name}"] - value).square().sum()) for name, value in _start(still).items())
    apart = sum(float((ends[0][name] - ends[1][name]).square().sum()) for name in ends[0] if "num_batches" not in name)
    assert apart**0.5 <= 0.01 * way**0.5


def _start(chosen: Recipe) -> dict[str, torch.Tensor]:
    from lucency.models import build

    torch.manual_seed(chosen.seed)
    return {name: value.detach() for name, value in build(chosen.model, 1).named_parameters()}


def test_resuming_with_another_world_size_raises(tmp_path: Path) -> None:
    films = read_dataset("phantom:6")
    claim(tmp_path / "run", Manifest.of(recipe(), films, films, 2), False)
    assert not claim(tmp_path / "run", Manifest.of(recipe(), films, films, 2), True)
    with pytest.raises(TrainingError, match="cannot resume, the number of processes changed"):
        claim(tmp_path / "run", Manifest.of(recipe(), films, films), True)


@pytest.mark.slow
def test_two_processes_resume_exactly(tmp_path: Path) -> None:
    whole = trained(recipe(), tmp_path / "whole" / "run")
    out = tmp_path / "stopped" / "run"
    out.parent.mkdir()
    in_processes(stopped, recipe().model_dump_json(), DATA, out, 1, ends=(130, 130))
    assert not (out / "card.json").exists()
    in_processes(resumed, recipe().model_dump_json(), DATA, out)
    assert (out / "history.csv").read_text() == (tmp_path / "whole" / "run" / "history.csv").read_text()
    assert len(whole) == 4
    ends = [(folder / "model.safetensors").read_bytes() for folder in (out, tmp_path / "whole" / "run")]
    assert ends[0] == ends[1]


def test_an_unexpected_world_size_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(distributed.TORCHRUN, ("0", "4", "0", "127.0.0.1", "1"), strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="expected 2 processes, found 4"), distributed.process_group(2, 1):
        pass


def test_sruns_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"PROCID": "5", "NTASKS": "8", "LOCALID": "1", "NODEID": "2", "JOB_NAME": "train", "NODELIST": "node7"}
    variables["NTASKS_PER_NODE"] = "2"
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    for name in (*distributed.TORCHRUN, "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))  # restored after the test
    assert distributed.is_launched()
    distributed._read_slurm()
    assert [os.environ[name] for name in (*distributed.TORCHRUN[:4], "GROUP_RANK")] == ["5", "8", "1", "node7", "2"]
    for name in (*distributed.TORCHRUN, "SLURM_NTASKS_PER_NODE"):
        del os.environ[name]
    with pytest.raises(UsageError, match=r"SLURM: .*ntasks-per-node=8"):
        distributed._read_slurm()
    os.environ["SLURM_NTASKS"] = "1"
    assert not distributed.is_launched(), "a batch script of one task starts its processes by itself"


@pytest.mark.slow
def test_two_processes_train_as_well_as_one(tmp_path: Path) -> None:
    """Fixed before the first run: with all random draws, the mean validation loss and AUROC of three runs of two
    processes lie within three standard errors of the means of five runs of one, at the same batch size.
    """
    chosen = recipe(
        data={"image_size": 65},
        model={"backbone": "mobilenet_v1", "width": 0.5, "depth": 5, "stride": 4, "dropout": 0.1},
        head={"epochs": 0},
        finetune={"epochs": 14, "batch": 16, "lr": 0.005, "schedule": "one_cycle", "unfreeze_blocks": "all"},
        augment={"canvas": 72, "aspect": [0.9, 1.11], "noise": 0.0},
    )
    rows = {
        processes: [
            trained(
                chosen.model_copy(update={"seed": seed}), tmp_path / f"{processes}-{seed}" / "run", processes, DRAWN
            )
            for seed in range(seeds)
        ]
        for processes, seeds in ((1, 5), (2, 3))
    }
    for name in ("val_loss", "val_auroc"):
        one, two = (np.array([float(run[-1][name]) for run in rows[processes]]) for processes in (1, 2))
        error = one.std(ddof=1) * (1 / len(one) + 1 / len(two)) ** 0.5
        print(f"{name}: one process {one.round(4)}, two {two.round(4)}, standard error {error:.4f}")
        assert abs(one.mean() - two.mean()) <= 3 * error, name
    assert min(one.min(), two.min()) > 0.8, "the AUROC of each"


@pytest.mark.slow
def test_torchrun_trains(tmp_path: Path) -> None:
    toml = tmp_path / "tiny.toml"
    toml.write_text(
        'name = "tiny"\n[data]\nimage_size = 32\n[model]\nwidth = 0.35\n[head]\nepochs = 1\n[finetune]\nepochs = 0\n'
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "lucency"]
    options = ["train", str(toml), "--data", DATA, "--out", str(tmp_path / "run"), "--devices", "2"]
    done = subprocess.run([*torchrun, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained; validation AUROC") == 1
