"""The engine `ray`: the same function on Ray Data's actors, on this machine or on a cluster."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pyarrow as pa

from lucency.bundle import Bundle
from lucency.errors import UsageError
from lucency.native_output import held_stderr
from lucency.score.engines import Chunks, in_memory
from lucency.score.worker import Worker

ADDRESS = "RAY_ADDRESS"
"""Ray's own variable: the cluster to join; without it Ray starts on this machine."""
WAVE = 4_000
"""Lists of paths that Ray is given at once: the manifest of a hundred million films never lies in its store whole."""
SPARE_CPUS = 2
"""Declared beyond the actors': Ray's own tasks wait for ever for a processor where the actors hold them all."""
BLOCK = 4
"""Lists of paths in a block of Ray's, at least."""
ANSWERS_WITHIN_S = 10
"""A cluster, each time it is asked while it is joined; Ray alone would try for a quarter of an hour."""
JOINING = {"RAY_py_gcs_connect_timeout_s": str(ANSWERS_WITHIN_S), "RAY_gcs_server_port_wait_time_s": "1"}
"""Ray's own settings that say so: seconds for an answer, and how often it is asked for."""


class Scorer:
    """One of Ray's actors: a process that scores, with the same care for films that end it."""

    def __init__(self, bundle: Bundle) -> None:
        self._worker = Worker(bundle)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Tables of SCHEMA for a column `paths` of lists."""
        return pa.concat_tables([self._worker.score(paths) for paths in batch["paths"].to_pylist()])


def on_ray(chunks: Chunks, bundle: Bundle, workers: int) -> Generator[pa.Table, None, None]:
    """`workers` actors of Ray Data, one processor each."""
    wave = list(islice(chunks, WAVE))
    if not wave:
        return
    carried = in_memory(bundle)
    with _joined(workers):
        while wave:
            yield from _wave(wave, carried, workers)
            wave = list(islice(chunks, WAVE))


def _wave(wave: list[list[str]], bundle: Bundle, workers: int) -> Iterator[pa.Table]:
    import ray.data

    blocks = max(1, min(len(wave) // BLOCK, 64 * workers))
    paths = ray.data.from_items([{"paths": chunk} for chunk in wave], override_num_blocks=blocks)
    tables = paths.map_batches(
        Scorer,
        fn_constructor_args=(bundle,),
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
    )
    yield from tables.iter_batches(batch_size=None, batch_format="pyarrow")


@contextmanager
def _joined(workers: int) -> Iterator[None]:
    """Join the cluster of RAY_ADDRESS, or start Ray here; leave it at the end.

    Ray's reports of use are turned off, and its log of every step: what goes wrong comes as an exception.

    Raises:
        UsageError: no Ray answers there, or none can be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if address := os.environ.get(ADDRESS):
        _require_listener(address)
        for name, value in JOINING.items():
            os.environ.setdefault(name, value)
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    started = not ray.is_initialized()
    if started:
        _start(ray.init, workers)
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    try:
        yield
    finally:
        if started:
            ray.shutdown()


def _require_listener(address: str) -> None:
    """Refuse an address at which nobody listens: Ray does not tell that from a cluster that is slow.

    Raises:
        UsageError: no connection.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return  # "auto" or "local", which Ray resolves
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWERS_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise _no_ray(getattr(error, "strerror", None) or str(error)) from error


def _start(init: Callable[..., object], workers: int) -> None:
    """`ray.init`, silent.

    Raises:
        UsageError: it failed.
    """
    # "local": else it would join what somebody else has started on this machine, or has left behind.
    here: dict[str, Any] = {} if os.environ.get(ADDRESS) else {"address": "local", "num_cpus": workers + SPARE_CPUS}
    failure: Exception | None = None
    with held_stderr():
        try:
            init(include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False, **here)
        except Exception as error:  # Ray raises plain ones, after lines of its own that say the same
            failure = error
    if failure:
        raise _no_ray(_reason(failure)) from failure


def _reason(failure: Exception) -> str:
    if "AuthenticationError" in str(failure.__cause__):
        return "it asks for its token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
    return (str(failure).splitlines() or [""])[0].removesuffix(".")


def _no_ray(why: str) -> UsageError:
    address = os.environ.get(ADDRESS)
    if not address:
        return UsageError(f"expected Ray to start here, it did not answer ({why}); try again, or --engine local")
    return UsageError(
        f"expected a Ray cluster at {address}, none lets us in ({why}); start it with `ray start --head` on that "
        f"machine, correct --address (or {ADDRESS}), or take --engine local"
    )
