"""Training by several processes: the process group, shards of films, and collective operations.

Every process trains on its own patients and takes the same number of steps; DDP averages the gradients, and metrics are
over the films of all. In a single process, each function returns its argument. All use the default group of
torch.distributed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lucency.data.dataset import Dataset
from lucency.data.splits import SPLIT_SEED, stratified_group_kfold
from lucency.errors import OutputError, TrainingError, UsageError
from lucency.train.launch import end_with_launcher

Item = TypeVar("Item")

TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables that torchrun sets."""
RANK_SEED_STEP = 1_000_003
"""Between the seeds of two processes, for different augmentation and dropout."""
FILE_VISIBLE_S = 60.0
"""Time for a file written on one machine to appear on the others."""
TERMINATION_S = 15.0
"""Time for the launcher to end the processes that wait for one that has failed."""


def is_launched() -> bool:
    """Whether torchrun, srun or `lucency.train.launch` started this process as one of several.

    A SLURM batch script of one task is not: it may start `--devices 4` by itself.
    """
    return all(name in os.environ for name in TORCHRUN) or int(os.environ.get("SLURM_NTASKS", "1")) > 1


@contextmanager
def process_group(devices: int, nodes: int) -> Iterator[None]:
    """Join the other processes for the duration of the block; nothing for a single process.

    Args:
        devices: processes on each machine, a GPU each where there are GPUs.
        nodes: machines.

    Raises:
        UsageError: the launcher started another number of processes.
        TrainingError: another process failed.
    """
    if devices * nodes == 1:
        yield
        return
    end_with_launcher()
    _read_slurm()
    started = int(os.environ["WORLD_SIZE"])
    if started != devices * nodes:
        raise UsageError(f"--devices {devices} --nodes {nodes}: expected {devices * nodes} processes, found {started}")
    os.environ.setdefault("LOCAL_WORLD_SIZE", str(devices))
    os.environ.setdefault("TORCHELASTIC_RUN_ID", "lucency")  # Lightning then trusts torchrun's variables
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        yield
        all_min(0)  # a barrier: no process leaves while another still works
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        time.sleep(TERMINATION_S)  # the failed process prints why, and the launcher ends this one
        raise TrainingError(f"another of {started} processes failed; see its own message") from error
    dist.destroy_process_group()


def _read_slurm() -> None:
    """Set torchrun's variables from srun's."""
    if "RANK" in os.environ:
        return
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

    try:
        found = SLURMEnvironment()
    except RuntimeError as error:
        raise UsageError(f"SLURM: {str(error).splitlines()[0]}") from error
    values = (found.global_rank(), found.world_size(), found.local_rank(), found.main_address, found.main_port)
    os.environ.update(zip(TORCHRUN, map(str, values), strict=True))
    os.environ["GROUP_RANK"] = str(found.node_rank())


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main_process() -> bool:
    """Whether this process writes files and messages."""
    return rank() == 0


def local_device() -> torch.device:
    """The GPU of this process, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def shard_seed(seed: int) -> int:
    """The seed of this process; the main process draws as a single one would."""
    return seed + rank() * RANK_SEED_STEP


def shard_patients(films: Dataset) -> Dataset:
    """This process's share of the training films: whole patients, balanced in films and classes.

    Raises:
        SourceError: a class has fewer patients than there are processes.
    """
    if world_size() == 1:
        return films
    return films.subset(stratified_group_kfold(films, world_size(), SPLIT_SEED)[rank()][1])


def shard_films(films: Dataset) -> Dataset:
    """This process's share of the validation films.

    Raises:
        TrainingError: there are fewer films than processes.
    """
    size = world_size()
    if len(films) < size:
        raise TrainingError(f"expected a validation film for each of {size} processes, found {len(films)}")
    return films if size == 1 else films.subset(list(range(rank(), len(films), size)))


def shard_batch_size(batch: int) -> int:
    """This process's part of the recipe's batch.

    Raises:
        TrainingError: the batch cannot be divided evenly.
    """
    if batch % world_size():
        raise TrainingError(f"expected a batch that {world_size()} processes divide evenly, the recipe has {batch}")
    return batch // world_size()


def shard_cache(cache: Path) -> Path:
    """The feature cache of this process: processes on several machines must not share a database."""
    return cache if world_size() == 1 else cache / f"{rank()}-of-{world_size()}"


def all_min(count: int) -> int:
    """The minimum over all processes."""
    if world_size() == 1:
        return count
    number = torch.tensor(count)
    dist.all_reduce(number, dist.ReduceOp.MIN)
    return int(number)


def all_gather(rows: Tensor) -> Tensor:
    """The rows (n_k, ...) of all processes, concatenated, on the CPU; the same for each process."""
    own = rows.detach().cpu().contiguous()
    if world_size() == 1:
        return own
    counts = [torch.zeros((), dtype=torch.int64) for _ in range(world_size())]
    dist.all_gather(counts, torch.tensor(len(own)))
    most = max(map(int, counts))
    padded = torch.cat([own, own.new_zeros((most - len(own), *own.shape[1:]))])
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(count)] for part, count in zip(parts, counts, strict=True)])


def gather_items(own: Sequence[Item]) -> list[Item]:
    """The items of all processes for the main process; an empty list for the others."""
    if world_size() == 1:
        return list(own)
    parts: list[Any] = [None] * world_size()
    dist.all_gather_object(parts, list(own))
    return [item for part in parts for item in part] if is_main_process() else []


def broadcast_flag(decide: Callable[[], bool]) -> bool:
    """The decision of the main process, for all."""
    if world_size() == 1:
        return decide()
    flag = torch.tensor(decide() if is_main_process() else False)
    dist.broadcast(flag, 0)
    return bool(flag)


def loss_scale(weight: Tensor) -> Tensor:
    """This process's share of the total weight, times the number of processes, by which DDP divides.

    Args:
        weight: a scalar, the divisor of this process's mean loss.
    """
    if world_size() == 1:
        return torch.ones_like(weight)
    total = weight.detach().cpu().clone()
    dist.all_reduce(total)
    return weight * world_size() / total.to(weight.device)


def wait_for_file(file: Path) -> None:
    """Wait until this process sees a file that the main process wrote.

    Raises:
        OutputError: it does not appear; the folder is not on a shared disk.
    """
    deadline = time.monotonic() + FILE_VISIBLE_S
    while not file.exists():  # a network file system may take a while to show it
        if time.monotonic() > deadline:
            raise OutputError(
                f"{file}: process {rank()} does not see it; choose an --out on a disk that all machines share"
            )
        time.sleep(0.5)


def sync_batchnorm(network: nn.Module) -> None:
    """Average the running statistics of batch normalisation over the processes."""
    if world_size() == 1:
        return
    for buffer in network.buffers():
        if buffer.is_floating_point():
            dist.all_reduce(buffer)
            buffer /= world_size()
