"""Test processes that train together and write their results."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

COUNT = 2
WAITS_S = 600


def in_processes(
    work: Callable[..., None], *arguments: Any, ends: tuple[int, int] = (0, 0), start: str = "spawn"
) -> None:
    """Run `work(*arguments)` in two processes that have joined; fails unless they end with these exit codes.

    `start`: what a test reads of their stderr arrives with "spawn" only.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    context = multiprocessing.get_context(start)
    processes = [context.Process(target=member, args=(rank, port, work, arguments)) for rank in range(COUNT)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(WAITS_S)
        process.kill()
    assert tuple(process.exitcode for process in processes) == ends


def member(rank: int, port: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    place = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": COUNT, "LOCAL_WORLD_SIZE": COUNT}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
    os.environ.update({name: str(value) for name, value in {**place, **meeting}.items()})
    from lucency.train.distributed import process_group

    with process_group(COUNT, 1):
        work(*arguments)


def train(recipe: str, data: str, out: Path) -> None:
    """Train, and keep the last weights, before the best are loaded."""
    import torch

    from lucency.data import read_dataset
    from lucency.recipe import parse_recipe
    from lucency.train import train_run, trainer
    from lucency.train.distributed import rank

    load_kept = trainer._load_kept

    def kept(step: Any, settings: Any, folder: Path) -> Any:
        torch.save(step.network.state_dict(), out.parent / f"{folder.name}-{rank()}.pt")
        return load_kept(step, settings, folder)

    trainer._load_kept = kept
    train_run(parse_recipe(json.loads(recipe), "test"), read_dataset(data), out, out.parent / "cache")


def stopped(recipe: str, data: str, out: Path, epoch: int) -> None:
    """Train until Ctrl-C in that epoch of fine-tuning."""
    from lucency.models import Classifier
    from lucency.train.module import ClassifierModule

    begin = ClassifierModule.on_train_epoch_start

    def interrupted(step: ClassifierModule) -> None:
        begin(step)
        if isinstance(step.network, Classifier) and step.current_epoch == epoch:
            raise KeyboardInterrupt

    ClassifierModule.on_train_epoch_start = interrupted
    try:
        train(recipe, data, out)
    except KeyboardInterrupt:
        os._exit(130)


def resumed(recipe: str, data: str, out: Path) -> None:
    """Resume an interrupted run."""
    from lucency.data import read_dataset
    from lucency.recipe import parse_recipe
    from lucency.train import train_run

    train_run(parse_recipe(json.loads(recipe), "test"), read_dataset(data), out, out.parent / "cache", resume=True)


def leave() -> None:
    """The second process exits while the first waits for it."""
    from lucency.train import distributed

    distributed.TERMINATION_S = 0.0
    if distributed.rank():
        os._exit(0)
    distributed.all_min(1)


def gather(out: Path) -> None:
    """Rows of unequal number, a minimum, a flag, averaged statistics, items for the main process, loss scales."""
    import torch

    from lucency.train import distributed

    rank = distributed.rank()
    network = torch.nn.BatchNorm1d(2)
    network.running_mean.fill_(float(rank))
    distributed.sync_batchnorm(network)
    found = {
        "rows": distributed.all_gather(torch.full((rank + 1, 2), float(rank))).tolist(),
        "none": distributed.all_gather(torch.zeros(0 if rank else 1, dtype=torch.int64)).tolist(),
        "minimum": distributed.all_min(10 - rank),
        "flag": distributed.broadcast_flag(lambda: rank == 0),
        "mean": network.running_mean.tolist(),
    }
    items = distributed.gather_items([f"from {rank}"] * (rank + 1))
    (out / f"items-{rank}.json").write_text(json.dumps(items))
    (out / f"scale-{rank}.json").write_text(json.dumps(distributed.loss_scale(torch.tensor(1.0 + 2.0 * rank)).item()))
    (out / f"{rank}.json").write_text(json.dumps(found))
