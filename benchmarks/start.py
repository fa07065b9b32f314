"""Start-up time of lucency: `--version`, `--help`, and one film read by a process of its own.

    python benchmarks/start.py [--bundle DIR] [--runs 11]

Each round starts `python -c pass` and the commands in turn, so that a machine whose speed drifts slows all; medians.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from lucency.bench import cold_start, phantom_files

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "lucency --version": ["-m", "lucency", "--version"],
    "lucency --help": ["-m", "lucency", "--help"],
    "lucency read --help": ["-m", "lucency", "read", "--help"],
}


def seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="bundle to read a film with")
    parser.add_argument("--runs", type=int, default=11)
    options = parser.parse_args()
    rounds = [{name: seconds(arguments) for name, arguments in COMMANDS.items()} for _ in range(options.runs)]
    for name in COMMANDS:
        times = [row[name] for row in rounds]
        bar = "  (bar 0.3)" if name in ("lucency --version", "lucency --help") else ""
        print(f"{name:22}{median(times):7.3f} s  ({min(times):.3f} to {max(times):.3f}){bar}")
    if options.bundle:
        with tempfile.TemporaryDirectory() as folder:
            cold = cold_start(options.bundle, phantom_files(Path(folder), 1)[0], options.runs)
        print(f"{'lucency read FILM':22}{cold.wall_s:7.3f} s  {100 * cold.import_share:.0f} % imports  (bar 1.0)")
        if cold.peak_mb is not None:
            print(f"{'its peak memory':22}{cold.peak_mb:7.0f} MB  (bar 250)")


if __name__ == "__main__":
    main()
