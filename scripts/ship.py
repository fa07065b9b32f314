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

from lucency.cli import run

ROOT = Path(__file__).resolve().parents[1]
RULE = "sensitivity=0.96"
"""Lower than these films ask for: normals taken elsewhere score higher (Kaggle's eight val normals by 3 to 5 logits),
pneumonias do not score lower. At 2 logits, 0.96 calls more films rightly than 0.98 (0.950 against 0.933 of a mix of 390
and 234), and costs 0.003 where nothing moves."""
COVERAGE = "0.985"
"""Of the prediction sets; one film in twenty-two is then referred, and 98.8 % of the others are called rightly."""
FOLD = 2
"""Whose network ships, of the three. Kaggle's eight `val` normals, seen by none, lie 1.51, 1.05 and 1.11 standard
deviations above the normals held out, and 1, 0 and 1 of them above the threshold of sensitivity 0.96; of a fourth
network, which learned from all films, 1.86, and 3. Re-acquired AUROC of the folds: 0.9960, 0.9976, 0.9975."""
BUNDLES = ROOT / "src" / "lucency" / "pretrained"


def main() -> int:
    """Run every step that is not done; stop at the first that fails, with its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "lucency-small.toml")
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
        code = run([*arguments, *resume])
        if code:
            return code
    for name in ("default", "int8"):
        shutil.rmtree(BUNDLES / name, ignore_errors=True)
        shutil.copytree(options.runs / f"ship-{name}", BUNDLES / name)
    return 0


def steps(recipe: Path, data: str, weights: str, runs: Path) -> list[tuple[Path, list[str]]]:
    """The output and command of each step."""
    folds, gated, fitted = (runs / f"ship-{name}" for name in ("folds", "gated", "fitted"))
    chosen, of = str(folds / f"fold-{FOLD}"), ["--data", data, "--fold", str(FOLD), "--folds", "3"]
    whole, small = runs / "ship-default", runs / "ship-int8"
    train = ["train", str(recipe), "--data", data, "--weights", weights]
    answers = str(folds / "predictions.csv")
    return [
        (folds, [*train, "--out", str(folds), "--folds", "3", "--seeds"]),
        (gated, ["gate", chosen, *of, "--out", str(gated)]),
        (
            fitted,
            [
                "recalibrate",
                str(gated),
                "--predictions",
                answers,
                "--threshold",
                RULE,
                "--coverage",
                COVERAGE,
                "--out",
                str(fitted),
            ],
        ),
        (whole, ["export", str(fitted), "--out", str(whole)]),
        (small, ["export", str(fitted), "--quantize", "int8", *of, "--out", str(small)]),
    ]


if __name__ == "__main__":
    sys.exit(main())
