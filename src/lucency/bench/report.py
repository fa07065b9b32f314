"""Measurements as a person reads them, and as a machine does."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lucency import __version__
from lucency.bench.cold import Cold
from lucency.bench.measure import STAGES, Bench, Pace

Measured = Sequence[tuple[Bench, Cold | None]]


def table(measured: Measured, films: str) -> str:
    """Every bundle with its stages in milliseconds, median and 95th percentile."""
    lines = [f"{films}; {machine()['processor']}, {machine()['cores']} cores"]
    for bench, cold in measured:
        kind = bench.format if bench.quantize == "none" else f"{bench.format}, {bench.quantize}"
        lines += ["", f"{bench.name} ({kind}): {bench.file_mb:.2f} MB", _head()]
        for pace in bench.paces:
            lines += _rows(pace)
        if cold:
            lines.append(_cold(cold))
    return "\n".join(lines)


def _head() -> str:
    return f"  {'ms':18}" + "".join(f"{name:>9}" for name in STAGES) + f"{'films/s':>10}"


def _rows(pace: Pace) -> list[str]:
    label = f"{pace.threads} thread{'s' if pace.threads > 1 else ''}"
    middle = "".join(f"{pace.stages[name].median:9.2f}" for name in STAGES)
    high = "".join(f"{pace.stages[name].p95:9.2f}" for name in STAGES)
    return [f"  {label:10}{'median':8}{middle}{pace.films_per_second:10.1f}", f"  {'':10}{'p95':8}{high}"]


def _cold(cold: Cold) -> str:
    memory = "" if cold.peak_mb is None else f"; peak memory {cold.peak_mb:.0f} MB"
    return (
        f"  lucency read of one film, cold: {cold.wall_s:.2f} s wall, {100 * cold.import_share:.0f} % of it imports "
        f"(python alone {cold.python_s:.2f} s){memory}"
    )


def to_json(measured: Measured, films: str) -> dict[str, Any]:
    """The same for machines; times in milliseconds and seconds as their names say."""
    bundles = [{**asdict(bench), "cold": None if cold is None else asdict(cold)} for bench, cold in measured]
    return {"lucency": __version__, "machine": machine(), "films": films, "stages_in": "ms", "bundles": bundles}


def machine() -> dict[str, Any]:
    """Where this was measured."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as stream:  # noqa: PTH123  not a file of ours
            names = [line.split(":", 1)[1].strip() for line in stream if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
