"""Make the bundles that ship, from the films and one recipe: `python scripts/ship.py --data chest_xray --weights FILE`.

Each step is a lucency command, printed before it runs; an interrupted step continues. Calibration and abstention are
fitted to the held-out predictions of the cross-validation, by patient; the mean of its networks' weights ships.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from pathlib import Path

from lucency.cli import run
from lucency.data import read_dataset
from lucency.train.weight_averaging import average_runs

ROOT = Path(__file__).resolve().parents[1]
FOLDS = 5
RULE = "youden"
"""The most of sensitivity plus specificity on calibrated held-out predictions: both errors are then near even."""
COVERAGE = "0.985"
"""Of the prediction sets."""
BUNDLES = ROOT / "src" / "lucency" / "pretrained"


def main() -> int:
    """Run every step that is not done; stop at the first that fails, with its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "lungs.toml")
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options = parser.parse_args()
    for out, arguments in steps(options.recipe, options.data, options.weights, options.runs):
        if (out / "report.json").exists() or (out / "card.json").exists():
            print(f"{out}: done already", flush=True)
            continue
        code = step(out, arguments)
        if code:
            return code
    for name in ("default", "int8"):
        shutil.rmtree(BUNDLES / name, ignore_errors=True)
        shutil.copytree(options.runs / f"ship-{name}", BUNDLES / name)
    return 0


def step(out: Path, arguments: list[str]) -> int:
    """Run one step, and say which; gives its exit code."""
    if arguments[0] == "average":  # no command: nobody else has folds of one recipe to average
        print(f"\n{out}: the mean of the weights of {', '.join(arguments[2:])}", flush=True)
        average_runs([Path(path) for path in arguments[2:]], read_dataset(arguments[1]), out)
        return 0
    resume = ["--resume"] if arguments[0] == "train" and out.exists() else []
    print(f"\n$ lucency {shlex.join([*arguments, *resume])}", flush=True)
    return run([*arguments, *resume])


def steps(recipe: Path, data: str, weights: str, runs: Path) -> list[tuple[Path, list[str]]]:
    """The output and command of each step."""
    folds, soup, gated, fitted = (runs / f"ship-{name}" for name in ("folds", "soup", "gated", "fitted"))
    of = ["--data", data, "--fold", "1", "--folds", str(FOLDS)]
    whole, small = runs / "ship-default", runs / "ship-int8"
    train = ["train", str(recipe), "--data", data, "--weights", weights, "--folds", str(FOLDS), "--seeds"]
    calibrate = ["--predictions", str(folds / "predictions.csv"), "--threshold", RULE, "--coverage", COVERAGE]
    return [
        (folds, [*train, "--out", str(folds)]),
        (soup, ["average", data, *(str(folds / f"fold-{number}") for number in range(1, FOLDS + 1))]),
        (gated, ["gate", str(soup), *of, "--out", str(gated)]),
        (fitted, ["recalibrate", str(gated), *calibrate, "--out", str(fitted)]),
        (whole, ["export", str(fitted), "--out", str(whole)]),
        (small, ["export", str(fitted), "--quantize", "int8", *of, "--out", str(small)]),
    ]


if __name__ == "__main__":
    sys.exit(main())
