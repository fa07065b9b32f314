"""Films per second of `lucency score` from manifest to Parquet: a plain loop, 1 and 2 workers, Ray; and its memory.

    python benchmarks/score.py [--bundle DIR] [--data FILMS] [--films 3000] [--rounds 3] [--ray] [--memory 20000]
    python benchmarks/score.py --rounds 0 --writer 1000000

One worker decodes and reads in parallel, so it uses more than one core if it can; scaling with cores is therefore
measured against one worker pinned to a core. Two workers must reach 1.8 times that: on two cores this is possible
against the pinned worker only.

A round runs each way in turn on the same films (a manifest that names drawn JPEG films again and again), so that a
machine whose speed drifts slows all; ratios are taken within a round. Times are of the whole call, the start of the
processes included. CPU time is that of all processes together, which is meaningful on a machine with other work too.
The second line scores films without reading them, to measure the cost of the rest: manifest, order, files, resuming.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa

from lucency.bench import machine, phantom_files, some_files
from lucency.bundle import DEFAULT, Bundle, open_bundle
from lucency.data import read_dataset
from lucency.film import open_film
from lucency.reader import Reader
from lucency.score import ENGINES, SCHEMA, open_manifest, score
from lucency.score.engines import Chunks
from lucency.score.pipeline import SHARD

ONE_CORE = "1 worker, one core"
Way = Callable[[Path, Path], int]
"""(manifest, folder for the output) → films read."""


@dataclass(frozen=True)
class Run:
    films: int
    wall_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.films / self.wall_s


def loop(bundle: Bundle) -> Way:
    """What a person writes in four lines, with no file at the end."""
    reader = Reader(bundle)

    def run(manifest: Path, _: Path) -> int:
        return len([reader.read(open_film(path)).probability for path in manifest.read_text().split()])

    return run


def scored(bundle: Bundle, engine: str, workers: int, shard: int = SHARD) -> Way:
    def run(manifest: Path, out: Path) -> int:
        return score(open_manifest(str(manifest)), bundle, str(out), ENGINES[engine], workers, shard).films

    return run


def timed(way: Way, manifest: Path) -> Run:
    with tempfile.TemporaryDirectory() as out:
        start, cpu = time.perf_counter(), _cpu()
        films = way(manifest, Path(out) / "scores")
        return Run(films, time.perf_counter() - start, _cpu() - cpu)


def _cpu() -> float:
    """Of this process and of those below it that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def on_one_core(way: Way) -> Way:
    """The same with this process and those it starts kept to one core (Linux)."""

    def run(manifest: Path, out: Path) -> int:
        every = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(every)})
        try:
            return way(manifest, out)
        finally:
            os.sched_setaffinity(0, every)

    return run


def listed(folder: Path, files: list[Path], count: int) -> Path:
    manifest = folder / f"list-{count}.txt"
    manifest.write_text("".join(f"{files[number % len(files)]}\n" for number in range(count)))
    return manifest


def compare(ways: dict[str, Way], manifest: Path, rounds: int) -> None:
    results = [{name: timed(way, manifest) for name, way in ways.items()} for _ in range(rounds)]
    print(f"\n{'':24}{'films/s':>9}{'CPU ms a film':>15}   over the loop, by round")
    for name in ways:
        runs = [row[name] for row in results]
        ratios = [row[name].rate / row["plain loop"].rate for row in results]
        cpu = median(1000 * run.cpu_s / run.films for run in runs)
        shown = "-" if name.startswith("ray") else f"{cpu:.1f}"  # Ray's actors are not below this process
        print(f"{name:24}{median(run.rate for run in runs):9.1f}{shown:>15}   {_spread(ratios)}")
    for one in ("1 worker", ONE_CORE):
        print(f"2 workers over {one}: {_spread([row['2 workers'].rate / row[one].rate for row in results])}")


def _spread(ratios: list[float]) -> str:
    return f"{median(ratios):.2f} × ({min(ratios):.2f} to {max(ratios):.2f})"


def memory(bundle: Bundle, manifest: Path) -> None:
    """Resident memory of the process and its workers while they score, once they have warmed up and at the end."""
    memory: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            memory.append(_resident())

    thread = threading.Thread(target=watch)
    thread.start()
    run = timed(scored(bundle, "local", 2, shard=1000), manifest)  # so that every fifth sees some written
    over.set()
    thread.join()
    fifths = [memory[len(memory) * k // 5 : len(memory) * (k + 1) // 5] for k in range(5)]
    print(f"\nmemory of 3 processes over {run.films} films, median of each fifth of the time, in 10^6 bytes:")
    print("  " + "  ".join(f"{median(part):.0f}" for part in fifths) + f"   highest {max(memory):.0f}")


def writer(bundle: Bundle, folder: Path, count: int) -> None:
    """All but the reading: rows made up at once go the whole way to the disk."""
    rng = np.random.default_rng(0)
    manifest = folder / "names.txt"
    with manifest.open("w") as stream:
        stream.writelines(f"films/{rng.bytes(12).hex()}.dcm\n" for _ in range(count))

    def made_up(chunks: Chunks, bundle: Bundle, workers: int) -> Generator[pa.Table, None, None]:
        for paths in chunks:
            rows = [
                {"film": path, "verdict": "normal", "probability": score, "logit": score, "logits": [score]}
                for path, score in zip(paths, rng.random(len(paths)).tolist(), strict=True)
            ]
            yield pa.Table.from_pylist(rows, SCHEMA)

    for doing in ("written", "found done"):
        start, cpu = time.perf_counter(), _cpu()
        score(open_manifest(str(manifest)), bundle, str(folder / "out"), made_up)
        seconds = time.perf_counter() - start
        print(
            f"{count} films {doing}: {count / seconds:.0f} a second, {1e6 * (_cpu() - cpu) / count:.1f} us CPU a film"
        )
    size = sum(path.stat().st_size for path in (folder / "out").glob("part-*"))
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"{size / count:.1f} bytes a film on the disk; highest memory {highest:.0f} x 10^6 bytes")


def _resident() -> float:
    """Of this process and of those it started (Linux); pages they share are counted once each."""
    own = os.getpid()
    below = Path(f"/proc/{own}/task/{own}/children").read_text().split()
    total = 0
    for process in (str(own), *below):
        try:
            total += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:  # it has just ended
            continue
    return total / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=DEFAULT)
    parser.add_argument("--data", help="data set or one film; drawn JPEG of 1024 × 1024 without")
    parser.add_argument("--files", type=int, default=32, help="different films")
    parser.add_argument("--films", type=int, default=3000, help="films of a manifest")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ray", action="store_true", help="Ray Data with 2 actors, too")
    parser.add_argument("--writer", type=int, metavar="FILMS", help="score so many films without reading them")
    parser.add_argument("--memory", type=int, metavar="FILMS", help="watch the memory over so many films")
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    ways = {"plain loop": loop(bundle)} | {f"{n} worker{'s' * (n > 1)}": scored(bundle, "local", n) for n in (1, 2)}
    ways[ONE_CORE] = on_one_core(scored(bundle, "local", 1))
    if options.ray:
        ways["ray, 2 actors"] = scored(bundle, "ray", 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not (options.rounds or options.memory):
            files = []
        elif options.data and Path(options.data).is_file():
            files = [Path(options.data)]
        elif options.data:
            files = some_files(read_dataset(options.data), options.files)
        else:
            files = phantom_files(folder, options.files)
        print(f"{machine()['processor']}, {machine()['cores']} cores, load {os.getloadavg()[0]:.1f} before the start")
        if options.rounds:
            compare(ways, listed(folder, files, options.films), options.rounds)
        if options.writer:
            writer(bundle, folder, options.writer)
        if options.memory:
            memory(bundle, listed(folder, files, options.memory))
        print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
