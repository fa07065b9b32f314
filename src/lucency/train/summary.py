"""What a finished run leaves a person with: files, the figure that counts, a warning, the next command."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np

from lucency.data.dataset import Dataset
from lucency.data.splits import train_val_split
from lucency.evaluate.confidence_intervals import Estimate, auroc_interval, proportion_interval
from lucency.evaluate.metrics import auroc
from lucency.evaluate.predictions import Predictions
from lucency.models.run import WEIGHTS
from lucency.reader import Reader
from lucency.reader.predict import predict
from lucency.recipe import DataSettings
from lucency.train.manifest import CARD

FEW = 50
"""Films of a label below which an interval is too wide to choose by."""


def summary(out: Path, films: Dataset, settings: DataSettings, data: str) -> str:
    """Lines for a terminal.

    Args:
        out: folder of the run.
        films: what it was given, as `data` names them.
        settings: of its recipe.
        data: as the next command names it.
    """
    _, val, _ = train_val_split(films, settings)
    predictions = predict(Reader.open(out), val).predictions
    checkpoints = " ".join(f"checkpoints/{path.name}/" for path in sorted((out / "checkpoints").glob("*")))
    lines = [
        f"wrote    {out}: {WEIGHTS} (best weights), {CARD}, history.png and history.csv (curves), {checkpoints}",
        f"counts   {figure(predictions)} on {len(val):,} films that chose the checkpoint, which flatters",
        *_few(val),
        f"next     {_next(out, films, data)}",
    ]
    return "\n".join(lines)


def figure(predictions: Predictions) -> str:
    """AUROC, or of several classes the share of right calls, with its interval."""
    groups = predictions.groups()
    if predictions.task != "binary":
        right = (predictions.called(0.5) == predictions.labels).reshape(len(groups), -1)
        each = np.repeat(groups, right.shape[1])  # a film has a call for each of its labels
        interval = proportion_interval(right.ravel(), np.full(right.size, True), each)
        return f"share of right calls {Estimate(float(right.mean()), *interval)}"
    truth, score = predictions.labels == 1, predictions.logits[:, 0]
    low, high = auroc_interval(truth, score, groups) or (None, None)
    return f"AUROC {Estimate(float(auroc(truth, score)), low, high)}"


def _few(val: Dataset) -> list[str]:
    rare = {name: count for name, count in val.class_counts().items() if count < FEW}
    said = " and ".join(f"{count} of {name}" for name, count in rare.items())
    return [f"few      {said}: too few to choose between runs; cross-validate with --folds 5"] if rare else []


def _next(out: Path, films: Dataset, data: str) -> str:
    command = ["lucency", "evaluate", str(out), "--data"]
    if any(sample.split == "test" for sample in films.samples):
        return f"{shlex.join([*command, data])}       (its test films)"
    return f"{shlex.join(command)} FILMS       (films of other patients; there is no test split here)"
