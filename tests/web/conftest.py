"""What the page's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from film.conftest import make_dicom, make_lut, pydicom_data
from lucency.bundle import DEFAULT, open_bundle
from lucency.data.phantom import draw
from lucency.web import write_page
from web.browser import DESKTOP, PROBE, chromium, ready, served

__all__ = ["make_dicom", "make_lut", "pydicom_data"]

INT8 = DEFAULT.with_name("int8")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of the page of each bundle that ships."""
    if not (DEFAULT.is_dir() and INT8.is_dir()):
        pytest.skip("needs the bundles that ship")
    folder = tmp_path_factory.mktemp("pages")
    for bundle in (DEFAULT, INT8):
        write_page(open_bundle(bundle), folder / bundle.name)
        (folder / bundle.name / "probe.html").write_text(PROBE, encoding="utf-8")
    return {bundle.name: folder / bundle.name for bundle in (DEFAULT, INT8)}


@pytest.fixture(scope="module", params=["default", "int8"])
def probe(request: pytest.FixtureRequest, browser: Any, pages: dict[str, Path]) -> Iterator[tuple[Path, Any]]:
    """A bundle, and a tab with the modules of its page at hand."""
    with served(pages[request.param]) as address:
        tab = browser.new_page()
        tab.goto(f"{address}probe.html")
        yield DEFAULT.with_name(request.param), tab
        tab.close()


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("films")
    for seed in range(4):
        Image.fromarray(draw(seed, ill=seed > 1, side=400).film).save(folder / f"film-{seed}.png")
    (folder / "notes.txt").write_text("no film")
    return sorted(folder.iterdir())


@pytest.fixture
def tab(browser: Any, pages: dict[str, Path]) -> Iterator[Any]:
    """The page, ready; it fails at the end if anything went to another origin or an error was logged."""
    with served(pages["int8"]) as address:
        context = browser.new_context(viewport=DESKTOP, accept_downloads=True)
        page = context.new_page()
        errors: list[str] = []
        asked: list[str] = []
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        context.on("request", lambda request: asked.append(request.url))
        ready(page, address)
        page.address = address
        yield page
        context.close()
        assert errors == []
        assert asked  # or the next line would say little
        assert {url for url in asked if not url.startswith((address, "blob:"))} == set()
