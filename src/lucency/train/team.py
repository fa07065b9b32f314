"""Several processes that train one network: who has which films, and what they tell each other.

Every process learns from its own patients and takes the same number of steps; DDP averages the gradients, and figures
are of the films of all. Alone, each function gives back what it was given.

The processes are those of torch.distributed, which knows one group a program; so these functions take no team.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lucency.data.dataset import Dataset
from lucency.data.splits import SPLIT_SEED, stratified_group_kfold
from lucency.errors import OutputError, TrainingError

Item = TypeVar("Item")

SEEDS_APART = 1_000_003
"""Between the seeds of two processes: they draw other augmentations and other dropout."""
SEES_IT_S = 60.0
"""For what one machine wrote to be seen by the others."""


def size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def first() -> bool:
    """Whether this is the one that writes and speaks."""
    return rank() == 0


def device() -> torch.device:
    """Where this process computes what Lightning does not place: its GPU, where it has one."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def own_seed(seed: int) -> int:
    """The seed of what this process draws for itself; the first draws as one alone would."""
    return seed + rank() * SEEDS_APART


def own_patients(films: Dataset) -> Dataset:
    """This process's share of the films to learn from: whole patients, dealt evenly in films and classes.

    Raises:
        SourceError: a class has fewer patients than there are processes.
    """
    return films if size() == 1 else films.subset(stratified_group_kfold(films, size(), SPLIT_SEED)[rank()][1])


def own_part(films: Dataset) -> Dataset:
    """This process's share of the films to judge on.

    Raises:
        TrainingError: there are fewer films than processes.
    """
    if len(films) < size():
        raise TrainingError(f"expected a validation film for each of {size()} processes, found {len(films)}")
    return films if size() == 1 else films.subset(list(range(rank(), len(films), size())))


def own_batch(batch: int) -> int:
    """This process's part of a batch, so that all together take the recipe's.

    Raises:
        TrainingError: a batch cannot be parted evenly.
    """
    if batch % size():
        raise TrainingError(f"expected a batch that {size()} processes can part evenly, the recipe says {batch}")
    return batch // size()


def own_folder(cache: Path) -> Path:
    """Where this process caches the features of its films: processes on many machines must not share a database."""
    return cache if size() == 1 else cache / f"{rank()}-of-{size()}"


def fewest(count: int) -> int:
    """The smallest of the processes' numbers."""
    if size() == 1:
        return count
    number = torch.tensor(count)
    dist.all_reduce(number, dist.ReduceOp.MIN)
    return int(number)


def gathered(rows: Tensor) -> Tensor:
    """The rows (n_k, ...) of all processes, one after the other, on the CPU; the same for each."""
    own = rows.detach().cpu().contiguous()
    if size() == 1:
        return own
    counts = [torch.zeros((), dtype=torch.int64) for _ in range(size())]
    dist.all_gather(counts, torch.tensor(len(own)))
    most = max(map(int, counts))
    padded = torch.cat([own, own.new_zeros((most - len(own), *own.shape[1:]))])
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(count)] for part, count in zip(parts, counts, strict=True)])


def decided(decide: Callable[[], bool]) -> bool:
    """What the first process decides; the others wait for it."""
    if size() == 1:
        return decide()
    answer = torch.tensor(decide() if first() else False)
    dist.broadcast(answer, 0)
    return bool(answer)


def together(own: Sequence[Item]) -> list[Item]:
    """The items of all processes, one after the other, for the first; none for the others, which have told theirs."""
    if size() == 1:
        return list(own)
    parts: list[Any] = [None] * size()
    dist.all_gather_object(parts, list(own))
    return [item for part in parts for item in part] if first() else []


def share(weight: Tensor) -> Tensor:
    """What this process's mean counts for in that of all, times their number, which DDP divides by.

    Args:
        weight: a scalar, the sum of the weights that this process's mean was taken with.
    """
    if size() == 1:
        return torch.ones_like(weight)
    total = weight.detach().cpu().clone()
    dist.all_reduce(total)
    return weight * size() / total.to(weight.device)


def require_shared(file: Path) -> None:
    """Wait until this process sees the file that the first one wrote.

    Raises:
        OutputError: it lies on a disk of another machine.
    """
    deadline = time.monotonic() + SEES_IT_S
    while not file.exists():  # a network file system may take a while to show it
        if time.monotonic() > deadline:
            raise OutputError(
                f"{file}: process {rank()} does not see it; choose an --out on a disk that all machines share"
            )
        time.sleep(0.5)


def settle(network: nn.Module) -> None:
    """Average the running statistics of batch normalisation, so that all processes judge one and the same network."""
    if size() == 1:
        return
    for buffer in network.buffers():
        if buffer.is_floating_point():
            dist.all_reduce(buffer)
            buffer /= size()
