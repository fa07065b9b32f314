"""Self-contained HTML pages from templates/."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render(template: str, /, **context: object) -> str:
    """Fill `templates/<template>.html`; an undefined name is an error, and values are escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # takes 50 ms, not needed to read a film

    loader = PackageLoader("lucency", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template(f"{template}.html").render(**context)


NOTEBOOK = (
    "all:initial;display:block;box-sizing:border-box;max-width:640px;padding:12px 14px;border:1px solid #c8c8c8;"
    "border-radius:8px;background:#fff;color:#1c1c1c;color-scheme:light;font:14px/1.45 system-ui,sans-serif"
)
"""The style of a block in a notebook: its own paper and ink, so that it reads alike in a light and a dark one."""


def notebook_block(title: str, *parts: str) -> str:
    """A block for a notebook: an escaped title over parts that are HTML already."""
    head = f'<div style="font-size:16px;font-weight:600">{escape(title)}</div>'
    return f'<div style="{NOTEBOOK}">{head}{"".join(parts)}</div>'


def figure_html(figure: Figure) -> str:
    """A matplotlib figure as a PNG in an image element."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    content = base64.b64encode(stream.getvalue()).decode()
    return f'<img src="data:image/png;base64,{content}" alt="{escape(figure.get_suptitle())}" style="max-width:100%">'


def table_html(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows of the same columns as an HTML table; every cell is escaped."""
    if not rows:
        return ""
    cell = "padding:2px 12px 2px 0;text-align:left;border-bottom:1px solid #e0e0e0;font-variant-numeric:tabular-nums"
    head = "".join(f'<th style="{cell}">{escape(str(name))}</th>' for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f'<td style="{cell}">{escape(_cell(value))}</td>' for value in row.values()) + "</tr>"
        for row in rows
    )
    return f'<table style="border-collapse:collapse;margin-top:8px;font-size:13px"><tr>{head}</tr>{body}</table>'


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def data_url(picture: Image.Image, quality: int = 80) -> str:
    """A picture as a JPEG in a data URL."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
