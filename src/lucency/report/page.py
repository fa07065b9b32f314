"""The report as one HTML page that needs nothing else: no request leaves it, and it prints."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from lucency import NOTICE, __version__
from lucency.evaluate.subgroups import SHOWN, Subgroup, SubgroupMetric
from lucency.report import words
from lucency.report.checklist import WORDS, Filled, summary
from lucency.report.known import Known
from lucency.report.mistakes import Mistake

PICTURES: dict[str, str] = {
    "confusion.png": "What was true, and what was called.",
    "roc.png": "Sensitivity against false alarms. The dot is the threshold in use; the dashed line is chance.",
    "reliability.png": "Share of films with the finding against the probability given; dashed: 80 % means 80 %.",
    "risk.png": "If only the surest films were answered: share of the answered that is wrong.",
    "pr.png": "Precision against recall. The dotted line is calling every film.",
}
"""Picture in the report's folder -> what it shows."""


def page(known: Known, mistakes: Mapping[str, Sequence[Mistake]], done: Sequence[Filled], folder: Path) -> str:
    """The whole page; pictures are read from `folder` and held in it."""
    environment = Environment(
        loader=PackageLoader("lucency.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        known=known,
        card=known.card,
        version=__version__,
        words=words,
        sentences=words.in_a_hundred(known),
        figures=words.figures(known),
        pictures=[(file_url(folder / name), said) for name, said in PICTURES.items() if (folder / name).is_file()],
        columns=_columns(known.parts),
        shown=[words.title(name) for name in SHOWN],
        mistakes={kind: [_mistake(one) for one in found] for kind, found in mistakes.items()},
        checklists=[{"filled": one, "line": summary(one)} for one in done],
        status_words=WORDS,
        map_caption=NOTICE,
    )


def file_url(path: Path) -> str:
    """A PNG file as a data URL."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def picture_url(picture: Image.Image) -> str:
    """A picture as a small JPEG in a data URL."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _mistake(mistake: Mistake) -> dict[str, Any]:
    return {"mistake": mistake, "film": picture_url(mistake.film), "map": picture_url(mistake.map)}


def _columns(parts: Sequence[Subgroup]) -> dict[str, list[dict[str, Any]]]:
    """Column to its rows."""
    found: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        cells = [{"text": _figure(figure), "gap": _gap(figure)} for figure in part.figures]
        found.setdefault(part.column, []).append({"part": part, "cells": cells})
    return found


def _figure(figure: SubgroupMetric) -> str:
    if figure.value is None:
        return "–"
    interval = "" if figure.low is None or figure.high is None else f" ({figure.low:.3f}–{figure.high:.3f})"
    return f"{figure.value:.3f}{interval}"


def _gap(figure: SubgroupMetric) -> str:
    """The gap where it is surely not 0."""
    return f"{figure.gap:+.3f} to the rest" if figure.differs and figure.gap is not None else ""
