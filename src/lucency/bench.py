"""Speed of a bundle, by stage and as a process, and its memory. Only runs need PyTorch."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from lucency import __version__
from lucency.data.dataset import Dataset
from lucency.data.phantom import draw
from lucency.errors import BundleError, SourceError
from lucency.film import open_film
from lucency.paint import overlay
from lucency.progress import track
from lucency.reader import Reader

STAGES = ("decode", "resize", "infer", "map", "total")
"""File to pixels; pixels to the network's square; the network; its map painted over the film; all four."""
ROUNDS = 3
"""Passes over all films for the median of films per second."""
SIDE = 1024
"""Pixels of a phantom film, both ways."""
IMPORT_LINE = re.compile(r"^import time:\s+(\d+) \|", re.MULTILINE)
"""Of `python -X importtime`: microseconds of a module itself, without its imports."""

LAUNCHER = """
import os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL)
if hasattr(os, "wait4"):
    _, status, usage = os.wait4(process.pid, 0)
    code, peak = os.waitstatus_to_exitcode(status), usage.ru_maxrss
else:
    code, peak = process.wait(), 0
print(time.perf_counter() - start, peak)
process.returncode = code
sys.exit(code)
"""
"""Starts Python and waits for it. A process inherits the peak memory of its parent, so this one is small."""


@dataclass(frozen=True)
class Spread:
    """Milliseconds."""

    median: float
    p95: float


@dataclass(frozen=True)
class Pace:
    """A bundle's speed at one number of threads."""

    threads: int
    stages: dict[str, Spread]
    """One film at a time, all threads on it."""
    films_per_second: float
    """Files to verdicts and maps (not painted), one film per thread."""


@dataclass(frozen=True)
class Bench:
    """The measurements of one bundle."""

    name: str
    format: str
    quantize: str
    file_mb: float
    """The network's file, in 10^6 bytes."""
    paces: tuple[Pace, ...]


@dataclass(frozen=True)
class Cold:
    """Medians over several processes that read one film each."""

    wall_s: float
    """From the start of the process to its end."""
    python_s: float
    """The same for `python -c pass`: the lower bound of any program."""
    import_share: float
    """Fraction of the wall time that imports take, in a process that times its imports."""
    peak_mb: float | None
    """Peak resident memory, in 10^6 bytes; None where the system does not report it."""


Measured = Sequence[tuple[Bench, Cold | None]]


def measure(bundles: Sequence[Path], files: Sequence[Path], threads: Sequence[int]) -> list[Bench]:
    """Measure every bundle at every number of threads, interleaved by film, so that a drifting machine slows all.

    Raises:
        BundleError: a bundle cannot be opened.
        FilmError: a film cannot be read.
    """
    rows = [[Reader.open(bundle, count) for count in threads] for bundle in bundles]
    readers = [reader for row in rows for reader in row]
    for reader in readers:
        _time_stages(reader, files[0])  # warm-up
    times = [[_time_stages(reader, file) for reader in readers] for file in track(files, "timing stages", len(files))]
    rounds = track(range(ROUNDS), "timing streams", ROUNDS)
    rates = np.median([[_rate(reader, files) for reader in readers] for _ in rounds], axis=0)
    paces = [
        Pace(reader.threads, _spreads([row[place] for row in times]), float(rates[place]))
        for place, reader in enumerate(readers)
    ]
    per_bundle = len(threads)
    return [_bench(row[0], paces[i * per_bundle :][:per_bundle]) for i, row in enumerate(rows)]


def _time_stages(reader: Reader, file: Path) -> list[float]:
    """Seconds of each of STAGES for one film."""
    marks = [time.perf_counter()]
    film = open_film(file)
    marks.append(time.perf_counter())
    square = reader.preprocess(film)
    marks.append(time.perf_counter())
    outputs = reader.read_batch(square[None])
    marks.append(time.perf_counter())
    overlay(film, outputs.maps[0, 0], reader.preprocess)
    marks.append(time.perf_counter())
    return [*np.diff(marks), marks[-1] - marks[0]]


def _rate(reader: Reader, files: Sequence[Path]) -> float:
    start = time.perf_counter()
    done = sum(1 for _ in reader.read_many(files))
    return done / (time.perf_counter() - start)


def _spreads(rows: list[list[float]]) -> dict[str, Spread]:
    ms = np.array(rows) * 1000
    middle, high = np.median(ms, axis=0), np.percentile(ms, 95, axis=0)
    return {name: Spread(float(middle[i]), float(high[i])) for i, name in enumerate(STAGES)}


def _bench(reader: Reader, paces: list[Pace]) -> Bench:
    model = reader.card.model
    size = len(reader.bundle.read(model.file)) / 1e6
    return Bench(reader.card.name, model.format, model.quantize, size, tuple(paces))


def cold_start(bundle: Path, film: Path, runs: int = 5) -> Cold:
    """Time `lucency read` of one film in fresh processes. The first, uncounted one warms the disk's cache.

    Raises:
        BundleError: the process fails.
    """
    read = ["-m", "lucency", "read", str(film), "--bundle", str(bundle), "--json"]
    _launch(read)
    timed = [(_launch(["-c", "pass"]), _launch(read)) for _ in range(runs)]
    profiled = _launch(["-X", "importtime", *read])
    importing = sum(map(int, IMPORT_LINE.findall(profiled.stderr))) / 1e6
    peaks = [own.peak_mb for _, own in timed if own.peak_mb is not None]
    return Cold(
        wall_s=median(own.wall_s for _, own in timed),
        python_s=median(bare.wall_s for bare, _ in timed),
        import_share=importing / profiled.wall_s,
        peak_mb=median(peaks) if peaks else None,
    )


@dataclass(frozen=True)
class _Process:
    wall_s: float
    peak_mb: float | None
    stderr: str


def _launch(arguments: list[str]) -> _Process:
    done = subprocess.run([sys.executable, "-c", LAUNCHER, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise BundleError(f"reading in a separate process failed: {lines[-1] if lines else done.returncode}")
    wall, peak = done.stdout.split()[-2:]
    unit = 1e-6 if sys.platform == "darwin" else 1024e-6
    return _Process(float(wall), float(peak) * unit if float(peak) else None, done.stderr)


def phantom_files(folder: Path, count: int) -> list[Path]:
    """Draw `count` phantoms into `folder` as gray JPEG films of 1024 × 1024 pixels."""
    files = []
    for number in track(range(count), "drawing films", count):
        film = draw((number,), ill=bool(number % 2)).film
        square = Image.fromarray(film).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        grainy = np.asarray(square, dtype=np.int16) + np.random.default_rng(number).integers(-3, 4, (SIDE, SIDE))
        files.append(folder / f"phantom-{number:04}.jpeg")
        Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(files[-1], quality=90)
    return files


def some_files(films: Dataset, count: int) -> list[Path]:
    """The files of at most `count` films, spread evenly over a data set.

    Raises:
        SourceError: no film has a file of its own.
    """
    paths = [sample.path for sample in films.samples if sample.path is not None]
    if not paths:
        raise SourceError(f"{films.source}: expected films in separate files to measure on, found none")
    step = max(1, len(paths) // count)
    return paths[::step][:count]


def table(measured: Measured, films: str) -> str:
    """Every bundle with its stages in milliseconds, median and 95th percentile."""
    where = machine()
    lines = [f"{films}; {where['processor']}, {where['cores']} cores"]
    for bench, cold in measured:
        kind = bench.format if bench.quantize == "none" else f"{bench.format}, {bench.quantize}"
        head = "".join(f"{name:>9}" for name in STAGES)
        lines += ["", f"{bench.name} ({kind}): {bench.file_mb:.2f} MB", f"  {'ms':18}{head}{'films/s':>10}"]
        for pace in bench.paces:
            lines += _rows(pace)
        if cold:
            memory = "" if cold.peak_mb is None else f"; peak memory {cold.peak_mb:.0f} MB"
            lines.append(
                f"  lucency read of one film, cold: {cold.wall_s:.2f} s wall, {100 * cold.import_share:.0f} % imports "
                f"(python alone {cold.python_s:.2f} s){memory}"
            )
    return "\n".join(lines)


def _rows(pace: Pace) -> list[str]:
    label = f"{pace.threads} thread{'s' if pace.threads > 1 else ''}"
    middle = "".join(f"{pace.stages[name].median:9.2f}" for name in STAGES)
    high = "".join(f"{pace.stages[name].p95:9.2f}" for name in STAGES)
    return [f"  {label:10}{'median':8}{middle}{pace.films_per_second:10.1f}", f"  {'':10}{'p95':8}{high}"]


def to_json(measured: Measured, films: str) -> dict[str, Any]:
    """The measurements as JSON; units are in the names."""
    bundles = [{**asdict(bench), "cold": None if cold is None else asdict(cold)} for bench, cold in measured]
    return {"lucency": __version__, "machine": machine(), "films": films, "stages_in": "ms", "bundles": bundles}


def machine() -> dict[str, Any]:
    """Description of this machine."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
