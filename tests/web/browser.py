"""A real Chromium on a folder of static files, and what it was asked, logged and refused."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import importlib.util
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
NAMES = ("chromium", "chromium-browser", "google-chrome")

COLOUR = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let most = 0;
  for (let i = 0; i < data.length; i += 4) most = Math.max(most, Math.abs(data[i] - data[i + 2]));
  return most;
}"""
"""By how much red and blue differ where they differ most: nothing in a gray picture."""

PROBE = """<!doctype html><meta charset="utf-8"><title>probe</title><body></body>"""
"""A page of the same origin that runs the page's modules one by one."""

READ = """async (films) => {
  const [{ start }, { openFilm }, { prepare }, { readFilm }] = await Promise.all(
    ["engine", "film", "lucency", "reading"].map((name) => import(`./${name}.js`)));
  window.engine ??= await start(() => {});
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const digits = (value) => value.toString(16).padStart(2, "0");
  const hash = async (bytes) =>
    Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)), digits).join("");
  const told = [];
  for (const given of films) {
    try {
      const film = await openFilm(bytes(given));
      const reading = await readFilm(engine, film);
      told.push({
        ...reading, width: film.width, height: film.height, facts: film.facts,
        map: [...reading.map], probabilities: [...reading.probabilities], logits: [...reading.logits],
        square: await hash(prepare(film, engine.card.preprocess)), pixels: await hash(film.pixels),
        wide: film.wide && await hash(film.wide),
      });
    } catch (error) {
      told.push({ error: error.message, kind: error.constructor.name });
    }
  }
  return told;
}"""
"""Films in base64 → what the page makes of them; pixels by their SHA-256."""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A test's output is its own."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a static server on `folder`, as long as the block lasts."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """A browser with an empty profile; the test skips where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"needs one of {', '.join(NAMES)} (Debian: apt-get install chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*QUIET, *flags])
        yield browser
        browser.close()


def ready(tab: Any, address: str) -> None:
    """Open the page and wait until it can read films."""
    tab.goto(address)
    tab.wait_for_selector("body.ready, body.failed", timeout=60_000)
    assert "failed" not in tab.get_attribute("body", "class"), tab.text_content("#state")


def read(tab: Any, films: list[bytes]) -> list[dict[str, Any]]:
    """What the page's modules make of films, on the page PROBE."""
    told: list[dict[str, Any]] = tab.evaluate(READ, [base64.b64encode(film).decode() for film in films])
    return told


def axe(tab: Any) -> list[str]:
    """What axe, with all its rules, finds wrong with the page as it stands."""
    spec = importlib.util.find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        pytest.skip("needs axe-playwright-python")
    tab.evaluate(Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8"))
    found = tab.evaluate("async () => (await axe.run({resultTypes: ['violations']})).violations")
    return [f"{item['id']}: {node['html']}" for item in found for node in item["nodes"]]
