"""`lucency serve` under load on loopback, beside the same films read by one process, in turns.

    python benchmarks/serve.py [--workers 1] [--clients 1,8,64] [--rounds 3] [--films 40] [--requests 400]
    python benchmarks/serve.py --memory 20000 --workers 2

The first prints films a second, the ratio to one process with as many threads as the server has processes, and
percentiles of the time from request to answer. Clients keep their connection and ask again as soon as they are
answered. They run in this process and share the machine's cores with the server. CPU times, too, are compared, since
a machine that does other things gives more of itself to three processes than to one.
The second prints what the server and its processes hold in memory while so many films are read.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from lucency.bench import phantom_files
from lucency.progress import track
from lucency.reader import Reader

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Load:
    """What so many clients met."""

    clients: int
    seconds: float
    times_ms: list[float]
    refused: int
    cpu_ms: tuple[float, float]
    """A film: by the server itself, and by the processes that read."""

    @property
    def rate(self) -> float:
        return len(self.times_ms) / self.seconds

    def at(self, share: float) -> float:
        return float(np.quantile(self.times_ms, share))


@contextlib.contextmanager
def server(workers: int, bundle: Path | None) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server of its own on a free port."""
    named = ["--bundle", str(bundle)] if bundle else []
    command = [sys.executable, "-m", "lucency", "serve", "--port", "0", "--json", "--workers", str(workers), *named]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stderr=stream)
        try:
            yield process, _port(log, process)
        finally:
            process.terminate()
            process.wait()


def _port(log: Path, process: subprocess.Popen[bytes]) -> int:
    while process.poll() is None:
        first, ended, _ = log.read_text(encoding="utf-8").partition("\n")
        if ended:
            return int(json.loads(first)["at"].rpartition(":")[2])
        time.sleep(0.05)
    sys.exit("the server did not start")


def load(port: int, films: list[bytes], clients: int, requests: int, server: int) -> Load:
    """So many requests by so many clients."""
    asked = [_request(film) for film in films]
    left = iter(range(requests))
    times: list[float] = []
    statuses: list[bytes] = []

    async def client() -> None:
        back, to = await asyncio.open_connection(HOST, port)
        for number in left:
            begun = time.perf_counter()
            to.write(asked[number % len(asked)])
            head = await back.readuntil(b"\r\n\r\n")
            await back.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0]))
            times.append(1000 * (time.perf_counter() - begun))
            statuses.append(head[9:12])
        to.close()

    async def all_clients() -> float:
        begun = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        return time.perf_counter() - begun

    before = cpu_seconds(server)
    seconds = asyncio.run(all_clients())
    http, reading = (1000 * (now - then) / requests for now, then in zip(cpu_seconds(server), before, strict=True))
    return Load(clients, seconds, times, len(statuses) - statuses.count(b"200"), (http, reading))


def _request(film: bytes) -> bytes:
    return f"POST /v1/read HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(film)}\r\n\r\n".encode() + film


def one_process(reader: Reader, paths: list[Path], requests: int) -> tuple[float, float]:
    """Films a second, read from files by one process, and its CPU in ms a film."""
    many = [paths[number % len(paths)] for number in range(requests)]
    begun, computed = time.perf_counter(), time.process_time()
    for _ in reader.read_many(many):
        pass
    return requests / (time.perf_counter() - begun), 1000 * (time.process_time() - computed) / requests


def small(paths: list[Path], side: int) -> list[bytes]:
    """The same films, side pixels high and wide."""
    made = []
    for path in paths:
        stream = io.BytesIO()
        with Image.open(path) as image:
            image.resize((side, side)).save(stream, "JPEG", quality=90)
        made.append(stream.getvalue())
    return made


def processes(server: int) -> list[int]:
    """The server, then those that read for it."""
    found = subprocess.run(["pgrep", "-P", str(server)], capture_output=True, text=True).stdout.split()
    return [server, *map(int, found)]


def resident_mb(server: int) -> list[int]:
    """What the server and each of its processes hold in memory (Linux)."""
    pages = [Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1] for pid in processes(server)]
    return [int(page) * resource.getpagesize() >> 20 for page in pages]


def cpu_seconds(server: int) -> tuple[float, float]:
    """What the server has computed so far, and all its processes together (Linux)."""
    stats = [Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2] for pid in processes(server)]
    first, *others = (sum(map(int, stat.split()[11:13])) / os.sysconf("SC_CLK_TCK") for stat in stats)
    return first, sum(others)


def measure_speed(paths: list[Path], options: argparse.Namespace) -> None:
    films = [path.read_bytes() for path in paths]
    reader = Reader.open(options.bundle, options.workers)
    one_process(reader, paths, 20)
    alone: list[tuple[float, float]] = []
    loads: dict[int, list[Load]] = {clients: [] for clients in options.clients}
    with server(options.workers, options.bundle) as (process, port):
        load(port, films, 8, 40, process.pid)
        for _ in track(range(options.rounds), "rounds", options.rounds):
            alone.append(one_process(reader, paths, options.requests))
            for clients, met in loads.items():
                met.append(load(port, films, clients, options.requests, process.pid))
    rate, cpu = (median(column) for column in zip(*alone, strict=True))
    print(f"one process, {options.workers} thread(s): {rate:.1f} films/s, {cpu:.1f} ms of CPU a film")
    for clients, met in loads.items():
        print(f"serve, {options.workers} process(es), {clients:2} client(s): {_spread_line(met, alone)}")


def _spread_line(met: list[Load], alone: list[tuple[float, float]]) -> str:
    ratios = [each.rate / rate for each, (rate, _) in zip(met, alone, strict=True)]
    cpu = [each.cpu_ms for each in met]
    shares = [ms / reading for (_, ms), (_, reading) in zip(alone, cpu, strict=True)]
    return (
        f"{median(each.rate for each in met):.1f} films/s, ratio {median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}); p50 {median(each.at(0.5) for each in met):.1f} ms, "
        f"p99 {median(each.at(0.99) for each in met):.1f} ms; refused {sum(each.refused for each in met)}; "
        f"CPU a film {median(reading for _, reading in cpu):.1f} ms reading + {median(http for http, _ in cpu):.1f} ms "
        f"HTTP, ratio by CPU of the reading {median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})"
    )


def measure_memory(paths: list[Path], options: argparse.Namespace) -> None:
    films = small(paths, options.side)
    marks = sorted({*(options.memory // 20 * part for part in (1, 5, 10, 20)), options.memory})
    with server(options.workers, options.bundle) as (process, port):
        done, begun = 0, time.perf_counter()
        for mark in track(marks, "marks", len(marks)):
            met = load(port, films, 8, mark - done, process.pid)
            done = mark
            held = resident_mb(process.pid)
            print(f"after {done:6} films: {held} MiB resident (server, then its processes), refused {met.refused}")
        print(f"{options.memory / (time.perf_counter() - begun):.1f} films/s of {options.side} pixels a side")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="without it the one that ships")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--clients", type=lambda text: [int(word) for word in text.split(",")], default=[1, 8, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--films", type=int, default=40)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--memory", type=int, help="how many films to watch memory over, instead of the speed")
    parser.add_argument("--side", type=int, default=256, help="pixels of those films, both ways")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = phantom_files(Path(folder), options.films)
        (measure_memory if options.memory else measure_speed)(paths, options)


if __name__ == "__main__":
    main()
