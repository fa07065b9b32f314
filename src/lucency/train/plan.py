"""What a run is made of, written down before it begins: a resumed run must be the same run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lucency.errors import TrainingError
from lucency.files import unwritable, write_text
from lucency.recipe import Recipe

PLAN = "plan.json"
CARD = "card.json"


@dataclass(frozen=True)
class Plan:
    """The recipe and the films; two runs with equal plans end in equal weights on one machine."""

    recipe: str
    """The recipe as JSON."""
    learn: str
    """split_hash of the films learned from."""
    judge: str
    """split_hash of the films that choose the checkpoint."""
    processes: int = 1
    """That train together."""

    @classmethod
    def of(cls, recipe: Recipe, learn: str, judge: str, processes: int = 1) -> Plan:
        """The plan of a run."""
        return cls(json.dumps(recipe.model_dump(mode="json"), sort_keys=True), learn, judge, processes)


def begin(out: Path, plan: Plan, resume: bool) -> bool:
    """Claim `out` for a run.

    Returns:
        True if the run that is there is already finished.

    Raises:
        TrainingError: `out` holds a run and `resume` was not asked for, or holds another run, or something else.
        OutputError: `out` cannot be written.
    """
    there = _planned(out)
    if there is None:
        _claim(out, plan)
        return False
    if not resume:
        raise TrainingError(f"{out}: holds a run already; go on with it by --resume, or choose another --out")
    if there != plan:
        changed = [name for name, value in asdict(plan).items() if asdict(there)[name] != value]
        told = {
            "recipe": "its recipe",
            "learn": "its training films",
            "judge": "its validation films",
            "processes": "the number of processes",
        }
        what = " and ".join(told[name] for name in changed)
        raise TrainingError(f"{out}: cannot resume, {what} changed since; choose another --out")
    return (out / CARD).exists()


def _planned(out: Path) -> Plan | None:
    """The plan that is there; a setting that its lucency did not know yet stands at its default."""
    try:
        there = Plan(**json.loads((out / PLAN).read_text(encoding="utf-8")))
        return Plan.of(Recipe.model_validate(json.loads(there.recipe)), there.learn, there.judge, there.processes)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, OSError) as error:
        raise TrainingError(
            f"{out / PLAN}: expected the plan of a run, cannot read it ({error}); choose another --out"
        ) from error


def _claim(out: Path, plan: Plan) -> None:
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise TrainingError(f"{out}: expected a new or empty folder for the run; choose another --out")
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error
    write_text(out / PLAN, json.dumps(asdict(plan), indent=1))
