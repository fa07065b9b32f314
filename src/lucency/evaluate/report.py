"""A judgement on disk: report.json, predictions.csv and the pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lucency.errors import SourceError
from lucency.evaluate.intervals import LEVEL, METHOD
from lucency.evaluate.judge import Report
from lucency.evaluate.predictions import Predictions, read_predictions
from lucency.files import write_text

SCHEMA_VERSION = 1


def write_report(
    report: Report, predictions: Predictions, out: Path, about: Mapping[str, Any] | None = None
) -> tuple[Path, ...]:
    """Write report.json, predictions.csv and the pictures into `out`, each whole or not at all.

    Args:
        report: what `judge` said of `predictions`.
        predictions: the films and answers.
        out: a folder, made where missing.
        about: what else report.json should say: reader, data, split, command, films that could not be read.

    Raises:
        OutputError: `out` cannot be written.
    """
    from lucency.evaluate.pictures import write_pictures

    written = [out / "predictions.csv", *write_pictures(report, predictions, out), out / "report.json"]
    write_text(written[0], predictions.to_csv(0.5 if report.threshold is None else report.threshold))
    write_text(written[-1], dump(to_json(report, about or {})) + "\n")
    return tuple(written)


def dump(content: Mapping[str, Any]) -> str:
    """JSON as we write it: indented, Unicode as it is, no NaN."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


def to_json(report: Report, about: Mapping[str, Any]) -> dict[str, Any]:
    """The content of report.json."""
    return {
        "schema_version": SCHEMA_VERSION,
        **about,
        "task": report.task,
        "labels": list(report.label_names),
        "threshold": report.threshold,
        "films": report.films,
        "patients": report.patients,
        "patients_known": report.patients_known,
        "films_per_label": dict(zip(report.label_names, report.films_per_label, strict=True)),
        "confusion": {
            "rows": "true label",
            "columns": "called",
            "counts": {name: table.tolist() for name, table in report.confusion.items()},
        },
        "intervals": {
            "level": LEVEL,
            "method": METHOD,
            "drawn": "patients" if report.patients_known else "films where the patient is unknown",
            "resamples": report.resamples,
            "seed": report.seed,
        },
        "metrics": [asdict(measure) for measure in report.measures],
    }


def open_predictions(path: Path) -> tuple[Predictions, float]:
    """Predictions and threshold of a folder that `write_report` wrote, or of the predictions.csv in it.

    Raises:
        SourceError: there is no such file, or no report.json beside it to say what the labels are.
    """
    table = path / "predictions.csv" if path.is_dir() else path
    beside = table.with_name("report.json")
    try:
        report = json.loads(beside.read_text(encoding="utf-8"))
        labels, task, threshold = tuple(report["labels"]), report["task"], report["threshold"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{beside}: expected the report.json that lucency evaluate writes ({error})") from error
    return read_predictions(table, labels, task), 0.5 if threshold is None else float(threshold)
