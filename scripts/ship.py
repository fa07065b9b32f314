"""Make the bundles that ship, from the films and one recipe: `python scripts/ship.py --data chest_xray --weights FILE`.

Each step is a lucency command, printed before it runs; an interrupted step continues. Calibration and abstention are
fitted to the held-out predictions of the cross-validation, by patient; one of its networks ships.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from pathlib import Path

import distill
import steady

from lucency.cli import run

ROOT = Path(__file__).resolve().parents[1]
FOLDS = 5
SHIPPED = 4
"""The fold whose network ships: of the five, the one with the highest AUROC on the adults of the selection half, which
it therefore flatters (0.939; the others 0.914 to 0.928). It is then trained on by the mean answer of the five."""
RULE = "youden"
"""The most of sensitivity plus specificity on calibrated held-out predictions: both errors are then near even."""
COVERAGE = "0.985"
"""Of the prediction sets."""
SCRIPTS = {"distill": distill.main, "steady": steady.main}
"""Steps that are no command of lucency."""
BUNDLES = ROOT / "src" / "lucency" / "pretrained"


def main() -> int:
    """Run every step that is not done; stop at the first that fails, with its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=ROOT / "src" / "lucency" / "recipes" / "lungs.toml")
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options = parser.parse_args()
    for out, arguments in steps(options.recipe, options.data, options.weights, options.runs):
        if (out / "report.json").exists() or (out / "card.json").exists():
            print(f"{out}: done already", flush=True)
            continue
        resume = ["--resume"] if arguments[0] == "train" and out.exists() else []
        print(f"\n$ lucency {shlex.join([*arguments, *resume])}", flush=True)
        script = SCRIPTS.get(arguments[0])
        code = script(arguments[1:]) if script else run([*arguments, *resume])
        if code:
            return code
    for name in ("default", "int8"):
        shutil.rmtree(BUNDLES / name, ignore_errors=True)
        shutil.copytree(options.runs / f"ship-{name}", BUNDLES / name)
    return 0


def steps(recipe: Path, data: str, weights: str, runs: Path) -> list[tuple[Path, list[str]]]:
    """The output and command of each step."""
    names = ("folds", "student", "steady", "gated", "fitted")
    folds, student, steadied, gated, fitted = (runs / f"ship-{name}" for name in names)
    of = ["--data", data, "--fold", str(SHIPPED), "--folds", str(FOLDS)]
    whole, small = runs / "ship-default", runs / "ship-int8"
    train = ["train", str(recipe), "--data", data, "--weights", weights, "--folds", str(FOLDS), "--seeds"]
    teachers = [str(folds / f"fold-{fold}") for fold in range(1, FOLDS + 1)]
    teach = [
        "distill",
        str(recipe),
        *teachers,
        "--data",
        data,
        "--start",
        teachers[SHIPPED - 1],
        "--fold",
        str(SHIPPED),
    ]
    calibrate = ["--predictions", str(folds / "predictions.csv"), "--threshold", RULE, "--coverage", COVERAGE]
    return [
        (folds, [*train, "--out", str(folds)]),
        (student, [*teach, "--out", str(student)]),
        (steadied, ["steady", str(student), *of, "--out", str(steadied)]),
        (gated, ["gate", str(steadied), *of, "--out", str(gated)]),
        (fitted, ["recalibrate", str(gated), *calibrate, "--out", str(fitted)]),
        (whole, ["export", str(fitted), "--out", str(whole)]),
        (small, ["export", str(fitted), "--quantize", "int8", *of, "--out", str(small)]),
    ]


if __name__ == "__main__":
    sys.exit(main())
