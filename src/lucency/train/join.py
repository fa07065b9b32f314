"""How processes that train together find each other: as torchrun or srun started them, or `lucency.train.launch`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from lucency.errors import TrainingError, UsageError
from lucency.train.launch import end_with_launcher
from lucency.train.team import fewest

TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun puts into the environment."""
ENDS_US_S = 15.0
"""For whoever started the processes to end those that one of them has left alone."""


def placed() -> bool:
    """Whether a launcher (torchrun, srun, or `lucency.train.launch`) started this process as one of several.

    In a batch script of SLURM with one task, nobody has: such a script may start `--devices 4` by itself.
    """
    return all(name in os.environ for name in TORCHRUN) or int(os.environ.get("SLURM_NTASKS", "1")) > 1


@contextmanager
def joined(devices: int, nodes: int) -> Iterator[None]:
    """Join the other processes for as long as the block lasts; one alone joins nobody.

    Args:
        devices: processes on each machine, a GPU each where there are GPUs.
        nodes: machines.

    Raises:
        UsageError: the launcher started another number of processes.
        TrainingError: another process ended before its time.
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
    os.environ.setdefault("TORCHELASTIC_RUN_ID", "lucency")  # tells Lightning to believe torchrun's words
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        yield
        fewest(0)  # nobody leaves while another is still at work
    except RuntimeError as error:
        if not _left_alone(error):
            raise
        time.sleep(ENDS_US_S)  # the one that failed says why, and who started us ends us
        raise TrainingError(f"another of {started} processes ended before its time; its own words say why") from error
    dist.destroy_process_group()


def _left_alone(error: RuntimeError) -> bool:
    """Whether this is what gloo, NCCL or their meeting place say when another process has gone."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


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
    os.environ["GROUP_RANK"] = str(found.node_rank())
