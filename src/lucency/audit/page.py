"""The audit as one HTML page: no request leaves it, and it reads on a phone."""

from __future__ import annotations

import base64
import io
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from lucency.audit.concern import Concern
from lucency.audit.run import Audit, counts
from lucency.audit.shortcuts import PROPERTIES, Shortcut
from lucency.data.record import Films

SHOWN = 12
"""Groups of films pictured for each concern; all are in audit.json."""
LARGEST = 6
"""Films pictured of one group."""
PICTURE = 168
"""Pixels along a picture's long side."""


def page(audit: Audit, title: str) -> str:
    """The whole page as HTML; the films concerned are opened again for their pictures."""
    environment = Environment(
        loader=PackageLoader("lucency.audit", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html").render(
        title=title,
        audit=audit,
        films=audit.films,
        counts=counts(audit.films),
        people=audit.patients,
        concerns=[_shown(audit.facts.films, concern) for concern in audit.concerns],
        shortcuts=[_bar(shortcut) for shortcut in audit.shortcuts],
        constant=_constant(audit.shortcuts),
        several_labels=len({shortcut.label for shortcut in audit.shortcuts}) > 1,
    )


def picture(films: Films, index: int) -> str:
    """A film as a small JPEG in a data URL."""
    image = Image.fromarray(films.records[index].load().gray8())
    image.thumbnail((PICTURE, PICTURE), Image.Resampling.BILINEAR)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _shown(films: Films, concern: Concern) -> dict[str, Any]:
    groups = [
        {
            "words": words,
            "more": max(0, len(group) - LARGEST),
            "films": [_film(films, index) for index in group[:LARGEST]],
        }
        for group, words in zip(concern.groups[:SHOWN], (*concern.words, *[""] * SHOWN), strict=False)
    ]
    in_table = concern.key == "shortcuts"
    lines = () if concern.groups or in_table else concern.words[:SHOWN]
    listed = len(concern.groups) or len(concern.words)
    return {"concern": concern, "groups": groups, "lines": lines, "more": 0 if in_table else max(0, listed - SHOWN)}


def _film(films: Films, index: int) -> dict[str, Any]:
    record = films.records[index]
    label = (
        ", ".join(name for name, has in zip(films.labels, record.label, strict=True) if has)
        if isinstance(record.label, tuple)
        else films.labels[record.label]
    )
    facts = (record.split or "", label, record.patient or "")
    return {
        "name": record.name,
        "breakable": Markup(escape(record.name.rsplit("/", 1)[-1]).replace("_", Markup("_<wbr>"))),
        "facts": " · ".join(fact for fact in facts if fact),
        "picture": picture(films, index),
    }


def _constant(shortcuts: tuple[Shortcut, ...]) -> list[str]:
    """Properties that are not in the table: they are the same for every film and tell nothing."""
    judged = {shortcut.name for shortcut in shortcuts}
    return [name for name in PROPERTIES if name not in judged]


def _bar(shortcut: Shortcut) -> dict[str, Any]:
    """A shortcut with where its bar starts and ends, in per cent of the way from 0.5 to 1."""

    def place(value: float) -> float:
        return round(100 * min(1.0, max(0.0, 2 * value - 1)), 1)

    low, high = place(shortcut.low), place(shortcut.high)
    return {"shortcut": shortcut, "at": place(shortcut.auroc), "low": low, "wide": round(max(high - low, 0.4), 1)}
