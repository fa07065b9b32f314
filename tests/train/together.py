"""Processes that train together, started by a test; each leaves behind what it ended with."""

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


def together(work: Callable[..., None], *arguments: Any) -> None:
    """Run `work(*arguments)` in two processes that have joined; fails if one of them does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=member, args=(rank, port, work, arguments)) for rank in range(COUNT)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(WAITS_S)
        process.kill()
    assert [process.exitcode for process in processes] == [0] * COUNT


def member(rank: int, port: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    place = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": COUNT, "LOCAL_WORLD_SIZE": COUNT}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": 1}
    os.environ.update({name: str(value) for name, value in {**place, **meeting}.items()})
    from lucency.train.team import joined

    with joined(COUNT, 1):
        work(*arguments)


def train(recipe: str, data: str, out: Path) -> None:
    """Train, and keep what the network was before the best weights were put back."""
    import torch

    from lucency.data import read_films
    from lucency.recipe import parse_recipe
    from lucency.train import fit, train_run
    from lucency.train.team import rank

    put_back = fit._put_back

    def kept(step: Any, best: Path) -> Any:
        torch.save(step.network.state_dict(), out.parent / f"{best.parent.name}-{rank()}.pt")
        return put_back(step, best)

    fit._put_back = kept
    train_run(parse_recipe(json.loads(recipe), "test"), read_films(data), out, out.parent / "cache")


def gather(out: Path) -> None:
    """Rows of unequal number, a minimum, a decision, averaged statistics."""
    import torch

    from lucency.train import team

    rank = team.rank()
    network = torch.nn.BatchNorm1d(2)
    network.running_mean.fill_(float(rank))
    team.settle(network)
    found = {
        "rows": team.gathered(torch.full((rank + 1, 2), float(rank))).tolist(),
        "none": team.gathered(torch.zeros(0 if rank else 1, dtype=torch.int64)).tolist(),
        "fewest": team.fewest(10 - rank),
        "decided": team.decided(lambda: rank == 0),
        "mean": network.running_mean.tolist(),
    }
    (out / f"{rank}.json").write_text(json.dumps(found))
