"""Several processes that train one network: who has which films, and what they tell each other.

Every process learns from its own patients and takes the same number of steps; DDP averages the gradients, and figures
are of the films of all. Alone, each function gives back what it was given.

The processes are those of torch.distributed, which knows one group a program; so these functions take no team.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lucency.data.partition import SPLIT_SEED
from lucency.data.record import Films
from lucency.data.split import stratified_grouped
from lucency.errors import TrainingError, UsageError

SEEDS_APART = 1_000_003
"""Between the seeds of two processes: they draw other augmentations and other dropout."""
TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun puts into the environment."""


def placed() -> bool:
    """Whether a launcher (torchrun, srun, or `lucency.train.launch`) started this process as one of several."""
    return all(name in os.environ for name in TORCHRUN) or "SLURM_PROCID" in os.environ


@contextmanager
def joined(devices: int, nodes: int) -> Iterator[None]:
    """Join the other processes for as long as the block lasts; one alone joins nobody.

    Args:
        devices: processes on each machine, a GPU each where there are GPUs.
        nodes: machines.

    Raises:
        UsageError: the launcher started another number of processes.
    """
    if devices * nodes == 1:
        yield
        return
    _read_slurm()
    started = int(os.environ["WORLD_SIZE"])
    if started != devices * nodes:
        raise UsageError(f"--devices {devices} --nodes {nodes}: expected {devices * nodes} processes, found {started}")
    os.environ.setdefault("LOCAL_WORLD_SIZE", str(devices))
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def _read_slurm() -> None:
    """Say in torchrun's words what srun says in its own."""
    if "RANK" in os.environ:
        return
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

    try:
        found = SLURMEnvironment()
    except RuntimeError as error:
        raise UsageError(f"SLURM: {str(error).splitlines()[0]}") from error
    said = (found.global_rank(), found.world_size(), found.local_rank(), found.main_address, found.main_port)
    os.environ.update(zip(TORCHRUN, map(str, said), strict=True))


def size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def first() -> bool:
    """Whether this is the one that writes and speaks."""
    return rank() == 0


def own_seed(seed: int) -> int:
    """The seed of what this process draws for itself; the first draws as one alone would."""
    return seed + rank() * SEEDS_APART


def own_patients(films: Films) -> Films:
    """This process's share of the films to learn from: whole patients, dealt evenly in films and classes.

    Raises:
        SourceError: a class has fewer patients than there are processes.
    """
    return films if size() == 1 else films.pick(stratified_grouped(films, size(), SPLIT_SEED)[rank()][1])


def own_part(films: Films) -> Films:
    """This process's share of the films to judge on.

    Raises:
        TrainingError: there are fewer films than processes.
    """
    if len(films) < size():
        raise TrainingError(f"expected a validation film for each of {size()} processes, found {len(films)}")
    return films if size() == 1 else films.pick(list(range(rank(), len(films), size())))


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


def settle(network: nn.Module) -> None:
    """Average the running statistics of batch normalisation, so that all processes judge one and the same network."""
    if size() == 1:
        return
    for buffer in network.buffers():
        if buffer.is_floating_point():
            dist.all_reduce(buffer)
            buffer /= size()
