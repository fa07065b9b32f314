"""How fast a bundle reads, stage by stage and as a process, in what memory. Needs no PyTorch but for runs."""

from lucency.bench.cold import Cold, cold_start
from lucency.bench.films import phantom_files, some_files
from lucency.bench.measure import Bench, Pace, Spread, measure
from lucency.bench.report import table, to_json

__all__ = [
    "Bench",
    "Cold",
    "Pace",
    "Spread",
    "cold_start",
    "measure",
    "phantom_files",
    "some_files",
    "table",
    "to_json",
]
