"""The model card (Mitchell et al. 2019): Markdown, headed by the metadata block that model hubs read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lucency.evaluate.subgroups import Subgroup
from lucency.report import words
from lucency.report.answers import finding
from lucency.report.checklist import Filled, summary
from lucency.report.known import Known

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
"""Our name of a figure -> the hub's."""


def model_card(known: Known, done: Sequence[Filled]) -> str:
    """The whole card."""
    environment = Environment(
        loader=PackageLoader("lucency.report", "."),
        autoescape=False,  # Markdown, not HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["json"] = lambda text: json.dumps(text, ensure_ascii=False)
    return environment.get_template("modelcard.md").render(
        known=known,
        card=known.card,
        words=words,
        licence=(known.card.licence or "other").lower(),
        tags=[
            "chest-x-ray",
            "radiology",
            "medical",
            "research-only",
            *known.card.labels[1:],
            known.card.model.backbone,
        ],
        finding=finding(known),
        dataset=str(known.about.get("data", "")),
        source=str(known.about.get("source", "")),
        split=str(known.about.get("split", "")),
        hub=_hub(known),
        figures=words.figures(known),
        cell=_cell,
        checklists=[f"{one.guideline.name} ({one.guideline.file}): {summary(one)}" for one in done],
    )


def _hub(known: Known) -> list[dict[str, Any]]:
    """Figures under the hub's names, with their interval in words."""
    rows = []
    for measure in words.figures(known):
        if measure.name in HUB and measure.value is not None:
            name = f"{words.title(measure.name)}, {measure} with its 95 % interval"
            rows.append({"type": HUB[measure.name], "value": round(measure.value, 4), "name": name})
    return rows


def _cell(part: Subgroup, name: str) -> str:
    figure = part.figure(name)
    if figure.value is None:
        return "–"
    interval = "" if figure.low is None or figure.high is None else f" ({figure.low:.3f} to {figure.high:.3f})"
    return f"{figure.value:.3f}{interval}"
