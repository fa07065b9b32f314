"""Are turned films detected? `python benchmarks/turned.py --data kermany224 [--side 160] [--alarms 0.02]`.

The gate's three checks on thumbnails need no network: each film is scored by a fit to other patients' films (five folds
by patient), as `lucency gate` sets its limits. Prints, with intervals by patient, the share of films that each check
refuses, unchanged and turned.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from lucency.data import read_dataset
from lucency.data.dataset import decode_squares
from lucency.evaluate.confidence_intervals import proportion_interval
from lucency.models.ood_detector import CELLS, CHECKS, thumbnails
from lucency.preprocess import Preprocess
from lucency.train.ood import ALARMS, LEAST, crossfit, set_limit

Small = NDArray[np.float64]
TURNS: dict[str, Callable[[Small], Small]] = {
    "as they are": lambda x: x,
    "mirrored": lambda x: x[:, :, ::-1],
    "upside down": lambda x: x[:, ::-1],
    "upside down and mirrored": lambda x: x[:, ::-1, ::-1],
    "turned left": lambda x: np.rot90(x, 1, (1, 2)),
    "turned right": lambda x: np.rot90(x, 3, (1, 2)),
    "inverted": lambda x: -x,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--alarms", type=float, default=0.02)
    options = parser.parse_args()
    films = read_dataset(options.data)
    decoded = decode_squares(films, Preprocess(options.side))
    small = np.concatenate(
        [thumbnails(torch.from_numpy(part[None, None].astype(np.float32))).double().numpy() for part in decoded.pixels]
    )
    groups, names = films.groups(), CHECKS[:-1]
    doubts = crossfit(small, groups)
    limits = [
        set_limit(name, doubts[:, i], groups, options.alarms * ALARMS[name], LEAST.get(name)).limit
        for i, name in enumerate(names)
    ]
    square = small.reshape(-1, CELLS, CELLS)
    print(f"{len(small)} films; refused by {', '.join(names)}, any of the three (95 % interval by patient)")
    for turn, change in TURNS.items():
        turned = np.ascontiguousarray(change(square).reshape(small.shape))
        fails = crossfit(small, groups, turned) > np.array(limits)
        low, high = proportion_interval(fails.any(axis=1), np.ones(len(small), dtype=bool), groups)
        each = "".join(f"{share:9.1%}" for share in fails.mean(axis=0))
        print(f"{turn:26}{each}{fails.any(axis=1).mean():9.1%} ({low:.1%} to {high:.1%})", flush=True)


if __name__ == "__main__":
    main()
