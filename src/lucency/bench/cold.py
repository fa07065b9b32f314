"""`lucency read` of one film as a process of its own: wall time, what imports take of it, peak memory."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from lucency.errors import BundleError

RUNS = 5
IMPORT_LINE = re.compile(r"^import time:\s+(\d+) \|", re.MULTILINE)
"""Of `python -X importtime`: microseconds that a module took itself, without those it imports."""

WAITING = """
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
"""Starts Python and waits for it. A process inherits the peak memory of whoever starts it, so this one is small."""


@dataclass(frozen=True)
class Cold:
    """Medians over several processes that read one film each."""

    wall_s: float
    """From the start of the process to its end."""
    python_s: float
    """The same of `python -c pass`: what no program can save."""
    import_share: float
    """Of the wall time of a process that times its imports, the part they take; 0 to 1."""
    peak_mb: float | None
    """Highest resident memory, in 10^6 bytes; None where the system does not tell."""


def cold_start(bundle: Path, film: Path, runs: int = RUNS) -> Cold:
    """Read one film in processes of their own. The files are in the disk's cache after the first, uncounted one.

    Raises:
        BundleError: the process does not end well.
    """
    read = ["-m", "lucency", "read", str(film), "--bundle", str(bundle), "--json"]
    _run(read)
    timed = [(_run(["-c", "pass"]), _run(read)) for _ in range(runs)]
    told = _run(["-X", "importtime", *read])
    inside = sum(map(int, IMPORT_LINE.findall(told.stderr))) / 1e6
    peaks = [own.peak_mb for _, own in timed if own.peak_mb is not None]
    return Cold(
        wall_s=median(own.wall_s for _, own in timed),
        python_s=median(bare.wall_s for bare, _ in timed),
        import_share=inside / told.wall_s,
        peak_mb=median(peaks) if peaks else None,
    )


@dataclass(frozen=True)
class _Process:
    wall_s: float
    peak_mb: float | None
    stderr: str


def _run(arguments: list[str]) -> _Process:
    """One Python process, its wall time and its own peak memory, as a small process that waits for it tells them."""
    told = subprocess.run([sys.executable, "-c", WAITING, *arguments], capture_output=True, text=True, check=False)
    if told.returncode:
        lines = told.stderr.strip().splitlines()
        raise BundleError(f"reading in a process of its own failed: {lines[-1] if lines else told.returncode}")
    wall, peak = told.stdout.split()[-2:]
    unit = 1e-6 if sys.platform == "darwin" else 1024e-6
    return _Process(float(wall), float(peak) * unit if float(peak) else None, told.stderr)
