"""What `write_page` leaves in a folder, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.brightness import write_brightness_bundle
from lucency.bundle import DEFAULT, open_bundle
from lucency.errors import BundleError, OutputError
from lucency.web import CSP, page_files, write_page

INT8 = DEFAULT.with_name("int8")


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
    left = set(files) - set(kept)
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
