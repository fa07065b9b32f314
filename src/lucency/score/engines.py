"""Where `score_batch` runs: in this process, in worker processes, or on Ray.

An engine takes lists of paths and yields tables whose rows, in order, are those of the paths; a table may have any
number of rows.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import queue
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any

import pyarrow as pa

from lucency.bundle import Bundle
from lucency.bundle.store import FOLDER
from lucency.errors import BundleError, UsageError
from lucency.film.limits import limit_memory
from lucency.native_output import held_stderr
from lucency.prefetch import prefetch
from lucency.reader import Reader
from lucency.score.table import Failure, failed_table, score_batch

Chunks = Iterator[list[str]]
Engine = Callable[[Chunks, Bundle, int], Generator[pa.Table, None, None]]
"""(lists of paths, bundle, workers) → tables."""

IN_FLIGHT = 4
"""Lists in work or waiting to be written, per worker, at most."""
FILM_TIMEOUT_S = 300.0
"""For one film, from its store to its row."""
START_TIMEOUT_S = 300.0
"""For a process to start and open the bundle."""
READY = b"ready"
CRASHED = Failure("crashed", "the worker process died on it")
TIMED_OUT = Failure("timed_out", "it took too long")

RAY_ADDRESS = "RAY_ADDRESS"
"""Ray's own variable: the cluster to join; without it Ray starts on this machine."""
WAVE = 4_000
"""Lists of paths per Ray job, so that its object store never holds a manifest of a hundred million films."""
SPARE_CPUS = 2
"""Declared beyond the actors': Ray's own tasks wait forever if the actors hold every processor."""
BLOCK = 4
"""Lists of paths in one of Ray's blocks, at least."""
CONNECT_TIMEOUT_S = 10
"""Per attempt to join a cluster; Ray's default is a quarter of an hour."""
RAY_TIMEOUTS = {"RAY_py_gcs_connect_timeout_s": str(CONNECT_TIMEOUT_S), "RAY_gcs_server_port_wait_time_s": "1"}
"""Ray's own settings for it: seconds per answer, and between attempts."""

Serve = Callable[[Connection], None]


def plain(chunks: Chunks, bundle: Bundle, workers: int) -> Generator[pa.Table, None, None]:
    """One list after the other in this process; `workers` is ignored. A film that crashes the process ends it."""
    reader = Reader(bundle)
    for paths in chunks:
        yield score_batch(paths, reader)


def local(chunks: Chunks, bundle: Bundle, workers: int) -> Generator[pa.Table, None, None]:
    """`workers` processes on this machine."""
    pool = [Worker(in_memory(bundle)) for _ in range(workers)]
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in pool:
        idle.put(worker)

    def score(paths: list[str]) -> pa.Table:
        worker = idle.get()
        try:
            return worker.score(paths)
        finally:
            idle.put(worker)

    try:
        yield from prefetch(score, chunks, workers, IN_FLIGHT * workers)
    finally:  # on Ctrl-C as well: threads wait for these processes
        for worker in pool:
            worker.close()


def on_ray(chunks: Chunks, bundle: Bundle, workers: int) -> Generator[pa.Table, None, None]:
    """`workers` actors of Ray Data, one processor each."""
    wave = list(islice(chunks, WAVE))
    if not wave:
        return
    portable = in_memory(bundle)
    with _ray_session(workers):
        while wave:
            yield from _score_wave(wave, portable, workers)
            wave = list(islice(chunks, WAVE))


ENGINES: dict[str, Engine] = {"local": local, "ray": on_ray, "plain": plain}
"""Name, as in --engine, to engine."""


def in_memory(bundle: Bundle) -> Bundle:
    """The same bundle with its files in memory, for a process or machine without its folder."""
    needed = [name for name in bundle.card.files if not name.startswith(f"{FOLDER}/")]
    return replace(bundle, load={name: bundle.read(name) for name in needed}.__getitem__)


class Worker:
    """A process, started on first use and restarted after a crash. Serves one thread at a time."""

    def __init__(self, bundle: Bundle, timeout_s: float = FILM_TIMEOUT_S, serve: Serve | None = None) -> None:
        """`serve` is the target of the process."""
        self._bundle = bundle
        self._timeout_s = timeout_s
        self._serve = serve or serve_batches
        self._process: multiprocessing.process.BaseProcess | None = None
        self._line: Connection | None = None
        self._closed = False
        self._lock = threading.Lock()
        """Held while a process starts, so that `close` on another thread misses none."""

    def score(self, paths: Sequence[str]) -> pa.Table:
        """`score_batch` in the process. If it dies, each film is retried alone, and the one that kills it is marked.

        Raises:
            BundleError: the process cannot open the bundle, or the worker is closed.
        """
        table = self._request(paths)
        if not isinstance(table, Failure):
            return table
        if len(paths) == 1:
            return failed_table(paths, table)
        return pa.concat_tables([self.score([path]) for path in paths])

    def close(self) -> None:
        """Kill the process; no other starts. May be called from any thread."""
        with self._lock:
            self._closed = True
        self._stop()

    def _request(self, paths: Sequence[str]) -> pa.Table | Failure:
        try:
            line = self._line or self._start()
            line.send_bytes(json.dumps(list(paths)).encode())
            while True:
                if not line.poll(self._timeout_s):
                    self._stop()
                    return TIMED_OUT
                if message := line.recv_bytes():  # an empty one means that a film is done
                    return pa.ipc.open_stream(message).read_all()
        except (EOFError, OSError):
            self._stop()
            return CRASHED

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")  # a fork would copy locks held by threads that it lacks
        with self._lock:
            if self._closed:
                raise BundleError(f"{self._bundle.path}: scoring was stopped")
            line, theirs = context.Pipe()
            process = context.Process(target=self._serve, args=(theirs,), daemon=True)
            with _interrupts_blocked():
                process.start()
            theirs.close()  # so that the connection breaks when the process ends
            self._line, self._process = line, process
        reply = self._send_bundle(line)
        if reply != READY:
            self._stop()
            raise BundleError(reply.decode())
        return line

    def _send_bundle(self, line: Connection) -> bytes:
        try:
            line.send(self._bundle)
            return line.recv_bytes() if line.poll(START_TIMEOUT_S) else b"a worker process did not start in time"
        except (EOFError, OSError):
            return b"a worker process ended while it opened the bundle; try lucency bundle verify"

    def _stop(self) -> None:
        process, line, self._process, self._line = self._process, self._line, None, None
        if process is not None:
            process.kill()
            process.join()
        if line is not None:
            line.close()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT while a process starts: it inherits the mask, so Ctrl-C never reaches it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve_batches(line: Connection) -> None:
    """Answer lists of paths with tables until the connection breaks, as it does when the other side ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C; on Windows from here on
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for PyTorch, which reads runs
    try:
        reader = Reader(line.recv())
    except BundleError as error:
        line.send_bytes(str(error).encode())
        return
    try:
        limit_memory()
        line.send_bytes(READY)
        while True:
            table = score_batch(json.loads(line.recv_bytes()), reader, on_film=lambda: line.send_bytes(b""))
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
            line.send_bytes(bytes(sink.getvalue()))
    except (EOFError, OSError):
        return


class Scorer:
    """An actor of Ray: scores in a worker process, which a film may crash."""

    def __init__(self, bundle: Bundle) -> None:
        self._worker = Worker(bundle)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Tables of SCHEMA for a column `paths` of lists."""
        return pa.concat_tables([self._worker.score(paths) for paths in batch["paths"].to_pylist()])


def _score_wave(wave: list[list[str]], bundle: Bundle, workers: int) -> Iterator[pa.Table]:
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
def _ray_session(workers: int) -> Iterator[None]:
    """Join the cluster of RAY_ADDRESS, or start Ray here; leave it at the end. Usage reports and step logs are off.

    Raises:
        UsageError: no Ray answers there, or none can be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if address := os.environ.get(RAY_ADDRESS):
        _require_listener(address)
        for name, value in RAY_TIMEOUTS.items():
            os.environ.setdefault(name, value)
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    started = not ray.is_initialized()
    if started:
        _init_ray(ray.init, workers)
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    try:
        yield
    finally:
        if started:
            ray.shutdown()


def _require_listener(address: str) -> None:
    """Raise if nothing listens at an address, which Ray treats like a slow cluster."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return  # "auto" or "local", which Ray resolves
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise _no_ray(getattr(error, "strerror", None) or str(error)) from error


def _init_ray(init: Callable[..., object], workers: int) -> None:
    """`ray.init`, silent."""
    # "local": otherwise Ray would join any instance that runs on this machine.
    here: dict[str, Any] = {} if os.environ.get(RAY_ADDRESS) else {"address": "local", "num_cpus": workers + SPARE_CPUS}
    failure: Exception | None = None
    with held_stderr():
        try:
            init(include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False, **here)
        except Exception as error:  # Ray raises plain ones, after printing the same
            failure = error
    if failure:
        raise _no_ray((str(failure).splitlines() or [""])[0].removesuffix(".")) from failure


def _no_ray(why: str) -> UsageError:
    address = os.environ.get(RAY_ADDRESS)
    if not address:
        return UsageError(f"expected Ray to start here, it did not answer ({why}); try again, or --engine local")
    return UsageError(
        f"expected a Ray cluster at {address}, cannot join it ({why}); start it with `ray start --head` on that "
        f"machine, correct --address (or {RAY_ADDRESS}), set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN if it requires a "
        "token, or use --engine local"
    )
