"""What the page's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from film.conftest import make_dicom, make_lut, pydicom_data
from lucency.bundle import DEFAULT, open_bundle
from lucency.web import write_page
from web.browser import PROBE, chromium, served

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
