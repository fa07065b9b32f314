"""Every word of the page stands in one file, and a translated copy of it takes its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lucency.bundle import DEFAULT, open_bundle
from lucency.errors import UsageError
from lucency.web import page_files
from lucency.web.words import ENGLISH, entries, translation

PAGE = ENGLISH.parent
INT8 = DEFAULT.with_name("int8")
MADE = re.compile(r"^(doubt|label)_")
"""Names that the page puts together: say(`doubt_${name}`)."""


def test_every_word_is_in_one_file() -> None:
    """index.html holds no words of its own but its title and what a browser without JavaScript shows."""
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    body = re.sub(r"<noscript>.*?</noscript>|<svg.*?</svg>|<[^>]*>", " ", html.split("<body>")[1], flags=re.DOTALL)
    assert set(body.split()) <= {"lucency", "−", "+"}


def test_every_name_is_known_and_used() -> None:
    known = set(entries(ENGLISH.read_text(encoding="utf-8")))
    asked = set(re.findall(r'data-say(?:-label)?="(\w+)"', (PAGE / "index.html").read_text(encoding="utf-8")))
    quoted = set()
    for file in set(PAGE.glob("*.js")) - {ENGLISH}:
        code = file.read_text(encoding="utf-8")
        asked |= set(re.findall(r'say\("(\w+)"', code))
        quoted |= set(re.findall(r'"(\w+)"', code))
    assert asked <= known
    assert {name for name in known - asked - quoted if not MADE.match(name)} == set()


def test_a_translation_takes_the_place_of_the_english(tmp_path: Path) -> None:
    german = tmp_path / "texts.de.js"
    german.write_text(
        ENGLISH.read_text(encoding="utf-8")
        .replace('language: "en"', 'language: "de"')
        .replace('label_normal: "normal"', 'label_normal: "unauffällig"'),
        encoding="utf-8",
    )
    files, english = page_files(open_bundle(INT8), german), page_files(open_bundle(INT8))
    assert files["texts.js"] == german.read_bytes()
    other = {name for name in files if files[name] != english[name]}
    assert other == {"texts.js", "service-worker.js"}  # the worker, told that this is another version


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('  notice: "Research use only. Not for diagnosis.",\n', "", "missing or unknown: notice"),
        ("  notice:", "  notize:", "missing or unknown: notice, notize"),
        ("Remove {name}", "Remove {nom}", r"worklist_remove: expected the places \{name\}, came \{nom\}"),
        ("Remove {name}", 'Remove "{name}"', "missing or unknown: worklist_remove"),
        ("export const TEXTS", "export const WORDS", "no TEXTS"),
    ],
)
def test_a_translation_with_gaps_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = ENGLISH.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "texts.js").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError, match=told):
        translation(tmp_path / "texts.js")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        translation(tmp_path / "none.js")
