"""What a search leaves: every trial in a table, and the best recipe as a file that `lucency train` takes."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from lucency.files import write_text
from lucency.tune.score import SCORE
from lucency.tune.search import best, done, minutes


def write_record(study: optuna.Study, out: Path) -> None:
    """Write trials.csv and, once a trial is whole, best.toml into `out`.

    Raises:
        OutputError: they cannot be written.
    """
    write_text(out / "trials.csv", trials_csv(done(study)))
    if found := best(study):
        head = f"# {line(found)}\n# Score: {SCORE}.\n# Found by search; not yet judged on anything else.\n"
        write_text(out / "best.toml", head + toml(found.user_attrs["recipe"]))


def trials_csv(trials: list[FrozenTrial]) -> str:
    """A line a trial: number, outcome, score, AUROC plain and moved of each fold, minutes, and what was drawn."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "outcome", "score", "plain", "moved", "minutes", "runs", "changed", *names, "reason"])
    for trial in trials:
        folds = trial.user_attrs.get("folds", [])
        areas = (" ".join(f"{one[side]:.4f}" for one in folds) for side in ("plain", "moved"))
        drawn = [trial.params.get(name, "") for name in names]
        head = [trial.number, outcome(trial), _score(trial), *areas, f"{minutes(trial):.2f}"]
        runs, changed, failed = (trial.user_attrs.get(name, "") for name in ("runs", "changed", "failed"))
        writer.writerow([*head, runs, changed, *drawn, failed])
    return text.getvalue()


def line(trial: FrozenTrial) -> str:
    """One trial for a person."""
    drawn = trial.user_attrs.get("changed") or ", ".join(f"{name} {value}" for name, value in trial.params.items())
    return f"trial {trial.number}: {outcome(trial)} {_score(trial)}, {minutes(trial):.1f} minutes; {drawn}"


def changes(trials: list[FrozenTrial]) -> str:
    """Planned trials for a person: score, mean AUROC plain and moved, and how far the score is from the first one's."""
    planned = [trial for trial in trials if "changed" in trial.user_attrs]
    width = max((len(trial.user_attrs["changed"]) for trial in planned), default=0)
    lines = [f"{'':{width}}  {'score':>7}{'plain':>9}{'moved':>9}{'gain':>10}"]
    for trial in planned:
        folds = trial.user_attrs.get("folds", [])
        areas = [sum(one[side] for one in folds) / len(folds) if folds else math.nan for side in ("plain", "moved")]
        gain = "" if trial is planned[0] else f"{(trial.value or math.nan) - (planned[0].value or math.nan):+10.4f}"
        numbers = f"{_score(trial) or outcome(trial):>7}{areas[0]:>9.4f}{areas[1]:>9.4f}{gain}"
        lines.append(f"{trial.user_attrs['changed']:{width}}  {numbers}")
    return "\n".join(lines)


def cost(trials: list[FrozenTrial]) -> str:
    """What the search has taken so far."""
    outcomes = [outcome(trial) for trial in trials]
    counts = ", ".join(f"{outcomes.count(name)} {name}" for name in dict.fromkeys(outcomes))
    return f"{len(trials)} trials ({counts}), {sum(map(minutes, trials)) / 60:.2f} hours of training and judging"


def outcome(trial: FrozenTrial) -> str:
    """whole, pruned or failed."""
    return {"COMPLETE": "whole", "PRUNED": "pruned", "FAIL": "failed"}[trial.state.name]


def toml(content: dict[str, Any]) -> str:
    """A recipe's content as TOML: its plain settings first, then its tables."""
    plain = {name: value for name, value in content.items() if not isinstance(value, dict)}
    tables = {name: value for name, value in content.items() if isinstance(value, dict)}
    lines = [f"{name} = {_value(value)}" for name, value in plain.items()]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # of strings, numbers, truths and lists of them it is TOML too


def _score(trial: FrozenTrial) -> str:
    """The mean over the folds that were judged."""
    folds = trial.user_attrs.get("folds", [])
    return f"{sum(one['plain'] + one['moved'] for one in folds) / 2 / len(folds):.4f}" if folds else ""
