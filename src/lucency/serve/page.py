"""The pages for people: what the server answers to, out of its own OpenAPI; no script, nothing from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any

from lucency import NOTICE

POLICY = {"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'"}
SHEET = "/docs.css"
"""A file of its own: the service worker of the page at `/` lets no style stand inside a page."""
ICON = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="3" fill="#fd8"/></svg>'
"""Browsers ask for one beside any page, and say so where there is none."""
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "body{background:#111;color:#ddd}"
    "a{color:#9cf}h2{margin:2rem 0 0;font-size:1.05rem}code,pre{font-size:.9rem;color:#fd8}"
    "td{padding:.1rem .8rem .1rem 0;vertical-align:top}pre{white-space:pre-wrap}"
)


def front() -> str:
    """The page at `/` where there is no page that reads."""
    return _page('<p>This server reads films: <code>POST /v1/read</code>. See <a href="/docs">/docs</a>.</p>')


def manual(openapi: dict[str, Any], guarded: bool) -> str:
    """The page at `/docs`."""
    token = " -H 'Authorization: Bearer TOKEN'" if guarded else ""
    lines = [
        f"curl{token} -F film=@film.png http://HOST/v1/read",
        f"curl{token} --data-binary @film.dcm http://HOST/v1/read?map=png",
    ]
    routes = (_route(method, path, told) for path, ways in openapi["paths"].items() for method, told in ways.items())
    whole = '<p>For programs: <a href="/openapi.json">/openapi.json</a></p>'
    return _page(f"<pre>{escape(chr(10).join(lines))}</pre>{''.join(routes)}{whole}")


def _route(method: str, path: str, told: dict[str, Any]) -> str:
    about = escape(told.get("description", ""))
    body = told.get("requestBody", {}).get("content", {})
    takes = f"<p>Takes {escape(', '.join(body))}</p>" if body else ""
    asked = "".join(_row(f"?{at['name']}=", at.get("description", "")) for at in told.get("parameters", ()))
    rows = "".join(_row(status, answer["description"]) for status, answer in sorted(told["responses"].items()))
    return f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{about}</p>{takes}<table>{asked}{rows}</table>"


def _row(name: str, about: str) -> str:
    return f"<tr><td><code>{escape(name)}</code></td><td>{escape(about)}</td></tr>"


def _page(body: str) -> str:
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>lucency</title>'
    head += f'<link rel="stylesheet" href="{SHEET}">'
    return f"{head}<h1>lucency</h1><p><strong>{NOTICE}</strong></p>{body}</html>"
