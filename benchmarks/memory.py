"""What the layout of memory does to training: films per second of one step, setting by setting, in one run.

    python benchmarks/memory.py [--side 160] [--batch 32] [--rounds 5]

Each setting runs in a process of its own (malloc's options cannot be reset); rounds alternate over the
settings, so that a machine whose speed drifts slows all of them; medians and ratios to the first are printed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from statistics import median

SETTINGS = {
    "as it comes": "",
    "channels last": "channels",
    "channels last, freed memory kept": "channels keep",
    "the same, new memory painted (deterministic mode)": "channels keep paint",
}


def one(words: str, side: int, batch: int, steps: int = 3) -> float:
    """Films per second of forward, backward and Adam of MobileNetV2."""
    import torch

    from lucency.models import build
    from lucency.models.run import keep_freed_memory
    from lucency.recipe import ModelSettings

    if "keep" in words:
        keep_freed_memory()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = "paint" in words  # type: ignore[attr-defined]
    layout = torch.channels_last if "channels" in words else torch.contiguous_format
    network = build(ModelSettings(), 1).to(memory_format=layout).train()  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    films = torch.rand(batch, 1, side, side) * 255
    times = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        network(films).square().mean().backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
    return batch / median(times[1:])


def main() -> None:
    """Measure every setting by turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", help="measure this setting only, in this process")
    options = parser.parse_args()
    if options.one is not None:
        print(one(options.one, options.side, options.batch))
        return
    rates: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(options.rounds):
        for name, words in SETTINGS.items():
            command = [
                sys.executable,
                __file__,
                "--one",
                words,
                "--side",
                str(options.side),
                "--batch",
                str(options.batch),
            ]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rates[name].append(float(done.stdout))
    first = median(next(iter(rates.values())))
    for name, found in rates.items():
        print(f"{name:52}{median(found):7.1f} films/s  x {median(found) / first:.2f}")


if __name__ == "__main__":
    main()
