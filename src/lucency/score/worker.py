"""A process that scores. A film that ends it, or holds it up, costs that film and no other."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

import pyarrow as pa

from lucency.bundle import Bundle
from lucency.errors import BundleError
from lucency.reader import Reader
from lucency.score.fetch import Failure
from lucency.score.table import failed, score_batch

PATIENCE_S = 300.0
"""For one film, from its store to its row."""
STARTS_WITHIN_S = 300.0
"""For a process to start and open the bundle."""
READY = b"ready"
CRASHED = Failure("crashed", "reading it ended the process that read it")
TIMED_OUT = Failure("timed_out", "reading it took too long")

Serve = Callable[[Connection, Bundle], None]


class Worker:
    """One process that is started when first needed, and anew whenever it has died. Serves one thread at a time."""

    def __init__(self, bundle: Bundle, patience_s: float = PATIENCE_S, serve: Serve | None = None) -> None:
        """`serve` is what the process runs."""
        self._bundle = bundle
        self._patience_s = patience_s
        self._serve = serve or serve_batches
        self._process: multiprocessing.process.BaseProcess | None = None
        self._line: Connection | None = None
        self._closed = False

    def score(self, paths: Sequence[str]) -> pa.Table:
        """`score_batch` in the process. Where it dies, each film is asked alone, and the one that ends it is named.

        Raises:
            BundleError: the process cannot open the bundle.
        """
        answer = self._ask(paths)
        if not isinstance(answer, Failure):
            return answer
        if len(paths) == 1:
            return failed(paths, answer)
        return pa.concat_tables([self.score([path]) for path in paths])

    def close(self) -> None:
        """End the process, whatever it does."""
        self._closed = True
        self._end()

    def _ask(self, paths: Sequence[str]) -> pa.Table | Failure:
        try:
            line = self._line or self._start()
            line.send_bytes(json.dumps(list(paths)).encode())
            while True:
                if not line.poll(self._patience_s):
                    self._end()
                    return TIMED_OUT
                if answer := line.recv_bytes():  # an empty one says that a film is done
                    return pa.ipc.open_stream(answer).read_all()
        except (EOFError, OSError):
            self._end()
            return CRASHED

    def _start(self) -> Connection:
        if self._closed:
            raise BundleError(f"{self._bundle.path}: scoring was stopped")
        context = multiprocessing.get_context("spawn")  # a fork would share locks of threads that it has not
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=self._serve, args=(theirs, self._bundle), daemon=True)
        self._process.start()
        theirs.close()  # so that the line breaks when the process ends
        told = self._first_word(self._line)
        if told != READY:
            self._end()
            raise BundleError(told.decode())
        return self._line

    def _first_word(self, line: Connection) -> bytes:
        try:
            return line.recv_bytes() if line.poll(STARTS_WITHIN_S) else b"a process that scores did not start in time"
        except (EOFError, OSError):
            return b"a process that scores ended while it opened the bundle; try lucency bundle verify"

    def _end(self) -> None:
        process, line, self._process, self._line = self._process, self._line, None, None
        if process is not None:
            process.kill()
            process.join()
        if line is not None:
            line.close()


def serve_batches(line: Connection, bundle: Bundle) -> None:
    """Answer batches of paths with tables until the line breaks, which it does when the other side ends, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other side's to answer
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of PyTorch, which reads a run before it is exported
    try:
        reader = Reader(bundle)
    except BundleError as error:
        line.send_bytes(str(error).encode())
        return
    try:
        line.send_bytes(READY)
        while True:
            table = score_batch(json.loads(line.recv_bytes()), reader, seen=lambda: line.send_bytes(b""))
            line.send_bytes(as_bytes(table))
    except (EOFError, OSError):
        return


def as_bytes(table: pa.Table) -> bytes:
    """A table as Arrow writes it to a stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
