"""README and docs: each command they name exists, each link leads somewhere, and the short ones run."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"scripts/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


docs_check = _script("docs_check")
PAGES = docs_check.pages()


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_command_and_option_exists(page: Path) -> None:
    unknown = {command: docs_check.unknown_parts(command) for command in docs_check.mentioned(page)}
    assert {command: parts for command, parts in unknown.items() if parts} == {}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


def test_the_architecture_names_every_package() -> None:
    named = set(re.findall(r"`(\w+)`", (ROOT / "docs/architecture.md").read_text(encoding="utf-8")))
    found = {path.stem for path in (ROOT / "src/lucency").iterdir() if not path.name.startswith("_")} - {"py"}
    assert found - named == set()


def test_a_command_that_is_not_there_is_found_out() -> None:
    assert docs_check.unknown_parts("lucency read film.png --map maps") == []
    assert docs_check.unknown_parts("lucency bundle verify bundle --jsn") == ["--jsn"]
    assert docs_check.unknown_parts("lucency raed film.png") == ["raed"]
    assert docs_check.unknown_parts("lucency bundle veryfy bundle") == ["bundle veryfy"]


def test_a_failing_command_fails_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\ntrue\nfalse\n```\n\n<!-- check: skip needs a PACS -->\n```sh\nfalse\n```\n")
    monkeypatch.setattr(docs_check, "ROOT", tmp_path)
    outcomes = list(docs_check.check_page(page, fast=True))
    assert [one.verdict for one in outcomes] == ["ok", "FAILED", "skipped"]
    assert outcomes[2].detail == "needs a PACS"


def test_a_mark_belongs_to_the_block_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- check: slow -->\n\n```sh\ntrue\n```\n\n<!-- check: skip -->\n```sh\nfalse\n```\n")
    monkeypatch.setattr(docs_check, "ROOT", tmp_path)
    assert [(block.commands, block.mark) for block in docs_check.blocks(page)] == [(["true"], ""), (["false"], "skip")]


def test_generated_pages_are_those_of_the_code() -> None:
    """`make docs` writes them anew."""
    reference = _script("docs_reference")
    for name, page in reference.PAGES.items():
        assert (reference.DOCS / name).read_text() == page(), f"{name} is out of date; run scripts/docs_reference.py"


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs lucency[docs]")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
