"""The report on disk: page, model card (Mitchell et al. 2019), checklists, evaluate's files, the worst errors."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lucency import NOTICE, __version__
from lucency.arrays import Bools, Floats
from lucency.data import Dataset
from lucency.errors import FilmError
from lucency.evaluate import Predictions, write_report
from lucency.evaluate.predictions import PerFinding
from lucency.evaluate.subgroups import SHOWN, Subgroup
from lucency.files import write_text
from lucency.html import data_url, render
from lucency.paint import overlay, shown
from lucency.progress import track
from lucency.reader import Reader
from lucency.report import metric_text
from lucency.report.checklists import (
    STATUS_TEXT,
    FilledChecklist,
    fill,
    guidelines,
    markdown,
    markdown_environment,
    summary,
)
from lucency.report.context import ReportContext

PAGE, CARD = "report.html", "model-card.md"
PLOTS: dict[str, str] = {
    "confusion.png": "True label by called label.",
    "roc.png": "Sensitivity against false alarms. The dot is the threshold in use; the dashed line is chance.",
    "reliability.png": "Share of films with the finding against the probability; dashed: 80 % means 80 %.",
    "risk.png": "If only the most confident films were answered: share of the answered that is wrong.",
    "pr.png": "Precision against recall. The dotted line is calling every film.",
}
"""Plot in the report's folder -> its caption."""
HUB: dict[str, str] = {
    "accuracy": "accuracy",
    "sensitivity": "recall",
    "specificity": "specificity",
    "precision": "precision",
    "f1": "f1",
    "auroc": "roc_auc",
    "average_precision": "average_precision",
    "brier": "brier_score",
}
"""Our name of a metric -> the name in a model hub's metadata."""


def write(context: ReportContext, reader_of: Callable[[str], Reader], films: Dataset, out: Path) -> tuple[Path, ...]:
    """Write the page, the model card, the checklists, and the files of `write_report`, into `out`.

    Args:
        context: of the reader.
        reader_of: the name of a film -> the open reader that evaluated it, which paints the maps of errors.
        films: those of the predictions, by the same names.
        out: a folder, made if missing.

    Returns:
        The files, the page first.

    Raises:
        OutputError: `out` cannot be written.
    """
    checklists = [fill(guideline, context) for guideline in guidelines()]
    written = write_report(context.report, context.predictions, out, context.about)
    for one in checklists:
        write_text(out / one.guideline.file, markdown(one))
    write_text(out / CARD, model_card(context, checklists))
    write_text(out / PAGE, page(context, paint_worst_errors(context, reader_of, films), checklists, out))
    return (out / PAGE, out / CARD, *(out / one.guideline.file for one in checklists), *written)


def page(
    context: ReportContext,
    errors: Mapping[str, Sequence[WorstError]],
    checklists: Sequence[FilledChecklist],
    folder: Path,
) -> str:
    """The HTML page; plots are read from `folder` and embedded."""
    return render(
        "report",
        context=context,
        card=context.card,
        version=__version__,
        text=metric_text,
        sentences=metric_text.in_a_hundred(context),
        figures=metric_text.figures(context),
        classes=metric_text.classes(context),
        class_figures=metric_text.CLASS_FIGURES,
        plots=[(_png_url(folder / name), caption) for name, caption in PLOTS.items() if (folder / name).is_file()],
        columns=_by_column(context.subgroups),
        shown=[metric_text.title(name) for name in SHOWN],
        errors={
            kind: [{"error": one, "film": data_url(one.film), "map": data_url(one.map)} for one in found]
            for kind, found in errors.items()
        },
        checklists=[{"filled": one, "line": summary(one)} for one in checklists],
        status_text=STATUS_TEXT,
        map_caption=NOTICE,
    )


def _png_url(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _by_column(parts: Sequence[Subgroup]) -> dict[str, list[Subgroup]]:
    found: dict[str, list[Subgroup]] = {}
    for part in parts:
        found.setdefault(part.column, []).append(part)
    return found


def model_card(context: ReportContext, checklists: Sequence[FilledChecklist]) -> str:
    """The model card: Markdown, headed by the metadata block that model hubs read."""
    card, about = context.card, context.about
    labels = card.labels[1:] if card.task == "binary" else card.labels
    tags = [*context.kind.tags, "medical", "research-only", *labels, card.model.backbone]
    return (
        markdown_environment()
        .get_template("modelcard.md")
        .render(
            context=context,
            card=card,
            text=metric_text,
            licence=(card.licence or "other").lower(),
            tags=tags,
            finding=metric_text.finding(context),
            dataset=str(about.get("data", "")),
            source=str(about.get("source", "")),
            split=str(about.get("split", "")),
            hub=_hub(context),
            figures=metric_text.figures(context),
            classes=metric_text.classes(context),
            checklists=[f"{one.guideline.name} ({one.guideline.file}): {summary(one)}" for one in checklists],
        )
    )


def _hub(context: ReportContext) -> list[dict[str, Any]]:
    """Metrics under the hub's names, with their intervals."""
    return [
        {
            "type": HUB[measure.name],
            "value": round(measure.value, 4),
            "name": f"{metric_text.title(measure.name)}, {measure} with its 95 % interval",
        }
        for measure in metric_text.figures(context)
        if measure.name in HUB and measure.value is not None
    ]


WORST_SHOWN = 6
"""Errors of each kind."""
THUMBNAIL = 240
"""Pixels along the long side of a picture."""


@dataclass(frozen=True)
class WorstError:
    """A film called wrongly, with its pictures."""

    name: str
    true: str
    called: str
    said: str
    """With which probability it was called so; of several findings, that of each that is called wrongly."""
    film: Image.Image
    map: Image.Image
    referred: bool = False
    """Whether the reader refers the film: its verdict is `uncertain`."""


def paint_worst_errors(
    context: ReportContext, reader_of: Callable[[str], Reader], films: Dataset
) -> dict[str, list[WorstError]]:
    """The worst errors of each kind with their maps; films that can no longer be read are left out."""
    threshold = 0.5 if context.report.threshold is None else context.report.threshold
    chosen = worst(context.predictions, threshold)
    found: dict[str, list[WorstError]] = {kind: [] for kind in chosen}
    samples = {sample.name: sample for sample in films.samples}
    for kind, index in track([(kind, index) for kind, indices in chosen.items() for index in indices], "painting maps"):
        name = context.predictions.names[index]
        try:
            film = samples[name].load()
        except FilmError:
            continue
        reader = reader_of(name)
        reading = reader.read(film)
        painted = overlay(film, reading.map, reader.preprocess, lungs=reader.lung_outline(film))
        found[kind].append(
            WorstError(
                name,
                *_call(context.predictions, threshold, index),
                film=_small(shown(film, reader.preprocess)),
                map=_small(painted),
                referred=bool(_referred(context.predictions)[index]),
            )
        )
    return found


def worst(predictions: Predictions, threshold: PerFinding, each: int = WORST_SHOWN) -> dict[str, tuple[int, ...]]:
    """The wrong films with the least probability for the truth, by kind of error; indices into the predictions.

    Films that the reader answers come first; the others are referred to a person anyway.

    Returns:
        For one finding "missed" and "false alarms"; for several labels "called wrongly".
    """
    called, truth = predictions.called(threshold), predictions.labels
    wrong = (called != truth).reshape(len(truth), -1).any(axis=1)
    order = np.lexsort((probability_of_truth(predictions), _referred(predictions)))
    if predictions.task != "binary":
        return {"called wrongly": tuple(int(i) for i in order if wrong[i])[:each]}
    kinds = {"missed": truth == 1, "false alarms": truth == 0}
    return {kind: tuple(int(i) for i in order if wrong[i] and side[i])[:each] for kind, side in kinds.items()}


def probability_of_truth(predictions: Predictions) -> Floats:
    """The probability of the true label (n,); for several findings, the smallest."""
    p = predictions.probabilities
    if predictions.task == "multiclass":
        return np.asarray(p[np.arange(len(p)), predictions.labels])
    truth = predictions.labels.reshape(len(p), -1) == 1
    return np.asarray(np.where(truth, p, 1 - p).min(axis=1))


def _call(predictions: Predictions, threshold: PerFinding, index: int) -> tuple[str, str, str]:
    """True label, called label, and with which probability."""
    true, called = (
        predictions.names_of(labels[[index]])[0] or "none"
        for labels in (predictions.labels, predictions.called(threshold))
    )
    return true, called, _said(predictions, threshold, index, called)


def _said(predictions: Predictions, threshold: PerFinding, index: int, called: str) -> str:
    p = predictions.probabilities[index]
    if predictions.task == "binary":
        return f"with {p[0] if called == predictions.label_names[1] else 1 - p[0]:.3f}"
    if predictions.task == "multiclass":
        return f"with {p[predictions.label_names.index(called)]:.3f}"
    wrong = np.flatnonzero(predictions.called(threshold)[index] != predictions.labels[index])
    at = np.broadcast_to(threshold, p.shape)
    return ", ".join(f"{predictions.label_names[one]} {p[one]:.3f}, called from {at[one]:.3g}" for one in wrong)


def _referred(predictions: Predictions) -> Bools:
    if predictions.answered is None:
        return np.zeros(len(predictions), dtype=np.bool_)
    return ~predictions.answered


def _small(picture: Image.Image) -> Image.Image:
    copy = picture.copy()
    copy.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return copy
