"""HTML pages that need nothing else: templates/ in, one string out; no request leaves a page."""

from __future__ import annotations

import base64
import io

from PIL import Image


def render(template: str, /, **context: object) -> str:
    """Fill `templates/<template>.html`; an undefined name is an error, and what films are called is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # 50 ms that reading a film does not need

    loader = PackageLoader("lucency", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template(f"{template}.html").render(**context)


def data_url(picture: Image.Image, quality: int = 80) -> str:
    """A picture as a JPEG in a data URL."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
