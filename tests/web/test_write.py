"""What `write_page` leaves in a folder and what it refuses; the words of the page, and translations of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cli.brightness import write_brightness_bundle
from lucency.bundle import DEFAULT, open_bundle
from lucency.errors import BundleError, OutputError, UsageError
from lucency.modality import NAMES
from lucency.web import CSP, ENGLISH, page_files, texts_of, translation, write_page

INT8 = DEFAULT.with_name("int8")
PAGE = ENGLISH.parent
GERMAN = PAGE / "i18n.de.js"
MADE = re.compile(rf"^(doubt|label|damage)_|_({'|'.join(NAMES)})$")
"""Names that the page puts together, say(`doubt_${name}`), and texts of their own for a kind of picture."""


def test_the_bundle_lies_in_the_page_as_it_is(tmp_path: Path) -> None:
    page = write_page(open_bundle(INT8), tmp_path / "page")
    for name in ("card.json", "model.tflite", "golden/golden.json"):
        assert (tmp_path / "page/bundle" / name).read_bytes() == (INT8 / name).read_bytes()
    written = [path for path in (tmp_path / "page").rglob("*") if path.is_file()]
    assert (page.files, page.bytes) == (len(written), sum(path.stat().st_size for path in written))
    assert CSP in (tmp_path / "page/index.html").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_the_version_is_that_of_the_content(tmp_path: Path) -> None:
    first = write_page(open_bundle(INT8), tmp_path / "first")
    again = write_page(open_bundle(INT8), tmp_path / "again")
    other = write_page(open_bundle(DEFAULT), tmp_path / "other")
    assert first.version == again.version != other.version
    worker = (tmp_path / "first/service-worker.js").read_text(encoding="utf-8")
    assert first.version in worker
    assert other.version not in worker


def test_the_worker_keeps_every_file_but_the_runtime_that_is_not_run() -> None:
    files = page_files(open_bundle(INT8))
    kept = json.loads(files["service-worker.js"].decode().split("const FILES = ")[1].split(";")[0])
    left = {name for name in set(files) - set(kept) if not name.startswith("codecs/")}  # kept once one is used
    assert sorted(left) == [
        "index.html",  # kept as "./"
        "litert/litert_wasm_compat_internal.js",
        "litert/litert_wasm_compat_internal.wasm",
        "litert/litert_wasm_internal.js",
        "litert/litert_wasm_internal.wasm",
        "service-worker.js",
    ]


def test_an_earlier_page_is_replaced_and_anything_else_is_not(tmp_path: Path) -> None:
    out = tmp_path / "page"
    write_page(open_bundle(INT8), out)
    (out / "old.js").write_text("left behind")
    write_page(open_bundle(DEFAULT), out)
    assert not (out / "old.js").exists()
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.txt").write_text("years of work")
    with pytest.raises(OutputError, match="expected a new folder or an earlier page"):
        write_page(open_bundle(INT8), thesis)
    assert (thesis / "chapter.txt").read_text() == "years of work"


def test_a_bundle_without_tflite_is_refused(tmp_path: Path) -> None:
    bundle = write_brightness_bundle(tmp_path / "onnx")
    with pytest.raises(BundleError, match="expected a LiteRT bundle, came onnx"):
        write_page(open_bundle(bundle), tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_every_word_is_in_one_file() -> None:
    """index.html holds no words of its own but its title and what a browser without JavaScript shows."""
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    body = re.sub(r"<noscript>.*?</noscript>|<svg.*?</svg>|<[^>]*>", " ", html.split("<body>")[1], flags=re.DOTALL)
    assert set(body.split()) <= {"lucency", "−", "+"}


def test_every_name_is_known_and_used() -> None:
    texts = texts_of(ENGLISH.read_text(encoding="utf-8"))
    known, filled = set(texts), set(re.findall(r"\{(\w+)\}", " ".join(texts.values())))
    asked = set(re.findall(r'data-say(?:-label)?="(\w+)"', (PAGE / "index.html").read_text(encoding="utf-8")))
    quoted = set()
    for file in PAGE.glob("*.js"):
        code = file.read_text(encoding="utf-8")
        asked |= set(re.findall(r'say\("(\w+)"', code))
        quoted |= set(re.findall(r'"(\w+)"', code) if not file.name.startswith("i18n") else ())
    assert asked <= known
    assert {name for name in known - asked - quoted - filled if not MADE.search(name)} == set()


def test_a_translation_takes_the_place_of_the_english(tmp_path: Path) -> None:
    german = tmp_path / "i18n.de.js"
    german.write_text(
        ENGLISH.read_text(encoding="utf-8")
        .replace('language: "en"', 'language: "de"')
        .replace('label_normal: "normal"', 'label_normal: "unauffällig"'),
        encoding="utf-8",
    )
    files, english = page_files(open_bundle(INT8), german), page_files(open_bundle(INT8))
    assert texts_of(files["i18n.js"].decode()) == texts_of(german.read_text(encoding="utf-8"))
    other = {name for name in files if files[name] != english[name]}
    assert other == {"i18n.js", "service-worker.js"}  # the worker, told that this is another version


def test_the_german_texts_are_complete() -> None:
    """They are a copy that `--texts` takes: every name, every place; and hardly a text is still English."""
    german, english = (texts_of(path.read_text(encoding="utf-8")) for path in (GERMAN, ENGLISH))
    assert texts_of(translation(GERMAN).decode()) == german
    assert len([name for name in german if german[name] == english.get(name)]) <= 8


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('  notice: "Research use only. Not for diagnosis.",\n', "", "missing or unknown: notice"),
        ("  notice:", "  notize:", "missing or unknown: notice, notize"),
        ("Remove {name}", "Remove {nom}", r"worklist_remove: expected the places \{name\}, came \{nom\}"),
        ("Remove {name}", 'Remove "{name}"', "missing or unknown: worklist_remove"),
    ],
)
def test_a_translation_with_gaps_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = ENGLISH.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "i18n.js").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError, match=told):
        translation(tmp_path / "i18n.js")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        translation(tmp_path / "none.js")


def test_a_translation_brings_no_code(tmp_path: Path) -> None:
    """Only texts are taken over, also from a copy of the earlier texts.js, which had no functions."""
    english = ENGLISH.read_text(encoding="utf-8")
    old = "export const TEXTS = {" + english.split("const TEXTS = {")[1] + "fetch('https://example.org');\n"
    (tmp_path / "texts.fr.js").write_text(old.replace("Not for diagnosis", "Pas pour le diagnostic"), encoding="utf-8")
    page = translation(tmp_path / "texts.fr.js").decode()
    assert "Pas pour le diagnostic" in page
    assert "export function say(" in page
    assert "example.org" not in page
