"""The page as a person uses it, in a real browser: reads, shows, goes offline, is installable, and asks nobody else."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lucency.bundle import DEFAULT
from lucency.film import open_film
from lucency.paint import LIMIT, colourise, levels, place_map
from lucency.preprocess import Preprocess
from lucency.reader import Reader
from lucency.web import CSP
from web.browser import COLOUR, DESKTOP, PHONE, axe, ready, served

INT8 = DEFAULT.with_name("int8")


def load(tab: Any, films: list[Path]) -> None:
    before = tab.locator("#list li").count()
    tab.set_input_files("#files", films)
    tab.wait_for_function(
        "(count) => document.querySelectorAll('#list li').length === count && !document.querySelector('.waiting')",
        arg=before + len(films),
    )
    tab.wait_for_timeout(200)


def test_reads_films_most_urgent_first(tab: Any, films: list[Path]) -> None:
    load(tab, films)
    reader = Reader.open(INT8)
    readings = {path.name: reader.read(open_film(path)) for path in films[:4]}
    names = tab.locator("#list .name").all_text_contents()
    order = {"pneumonia": 2, "uncertain": 1, "normal": 0}
    expected = sorted(readings, key=lambda name: -order[readings[name].verdict] - readings[name].probability)
    assert names == [*expected, "notes.txt"]
    assert "found a text file" in tab.text_content("#list .error")
    for name, told in zip(names, tab.locator("#list .said").all_text_contents()[:4], strict=False):
        verdict = readings[name].verdict
        assert told.startswith("uncertain: refer" if verdict == "uncertain" else verdict)
    first = readings[names[0]]
    assert tab.text_content("#verdict").startswith(first.verdict)
    assert tab.locator("#reasons .doubt").all_text_contents() == list(first.warnings)
    assert "Not for diagnosis" in tab.text_content("footer")


@pytest.mark.parametrize("cells", [(5, 5), (10, 10), (3, 7), (1, 1)], ids=str)
def test_the_map_is_the_painted_one(tab: Any, cells: tuple[int, int]) -> None:
    """The page's map, pixel by pixel, is that of lucency.paint: a level of the scale here and there may round away."""
    evidence = np.random.default_rng(4).normal(0, 5, cells).astype(np.float32)
    if min(cells) > 5:
        evidence[:2] = evidence[:, -2:] = 0  # what the network cut off around the lungs
    told = tab.evaluate(
        "async ([map, rows, columns]) => "
        "[...(await import('./lucency.js')).painted(Float32Array.from(map), rows, columns, 64)]",
        [evidence.ravel().tolist(), *cells],
    )
    here = np.array(told, np.uint8).reshape(64, 64, 4)
    level = np.asarray(place_map(evidence, Preprocess(64), 64, 64)).astype(int)
    nearby = [np.asarray(colourise(Image.fromarray(np.clip(level + d, 1, 255).astype(np.uint8)))) for d in (-1, 0, 1)]
    assert np.min([np.abs(here[..., :3].astype(int) - one).max(axis=-1) for one in nearby], axis=0).max() == 0
    assert levels(np.array([LIMIT]))[0] == 255


def test_the_map_is_seen_over_the_film(tab: Any, films: list[Path]) -> None:
    load(tab, films[3:4])
    canvas = tab.locator(".pane canvas").first
    assert canvas.evaluate(COLOUR) > 5  # red and blue differ where there is evidence
    tab.keyboard.press("m")
    tab.wait_for_timeout(200)
    assert canvas.evaluate(COLOUR) == 0  # a gray film


def test_reads_again_when_the_server_is_gone(browser: Any, pages: dict[str, Path], films: list[Path]) -> None:
    tab = browser.new_context().new_page()
    with served(pages["int8"]) as address:
        ready(tab, address)
        tab.wait_for_selector("body[data-kept='Works without a network']")
        load(tab, films[:1])
        before = tab.text_content("#verdict"), tab.text_content(".head b")
    ready(tab, address)
    load(tab, films[:1])
    assert (tab.text_content("#verdict"), tab.text_content(".head b")) == before
    policy = tab.evaluate("async () => (await fetch('./')).headers.get('Content-Security-Policy')")
    assert policy == CSP
    tab.context.close()


FORBIDDEN = """async () => {
  const told = [];
  const refused = (act) => new Promise((done) => {
    addEventListener("securitypolicyviolation", (event) => done(told.push(event.effectiveDirective)), { once: true });
    act();
  });
  const put = (tag, settings) => document.body.append(Object.assign(document.createElement(tag), settings));
  await refused(() => fetch("https://example.org/").catch(() => {}));
  await refused(() => put("img", { src: "https://example.org/pixel.png" }));
  await refused(() => put("script", { textContent: "window.ran = true" }));
  await refused(() => put("style", { textContent: "body { color: red }" }));
  await refused(() => document.body.setAttribute("onclick", "window.ran = true"));
  return told;
}"""
"""What a script smuggled into the page would try; each line ends when the browser has refused it."""


def test_the_policy_forbids_other_origins_and_foreign_code(browser: Any, pages: dict[str, Path]) -> None:
    with served(pages["int8"]) as address:
        tab = browser.new_page()
        ready(tab, address)
        told = tab.evaluate(FORBIDDEN)
        assert told == ["connect-src", "img-src", "script-src-elem", "style-src-elem", "script-src-attr"]
        tab.close()


def test_it_can_be_installed(tab: Any) -> None:
    session = tab.context.new_cdp_session(tab)
    told = session.send("Page.getAppManifest")
    assert told["errors"] == []
    manifest = json.loads(told["data"])
    assert {"name", "start_url", "display", "icons"} <= set(manifest)
    errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # A private window, which tests use, installs nothing; nothing else may be in the way.
    assert {error["errorId"] for error in errors} <= {"in-incognito"}
    for icon in manifest["icons"]:
        if icon["type"] == "image/png":
            reply = tab.request.get(f"{tab.address}{icon['src']}")
            image = Image.open(io.BytesIO(reply.body()))
            assert f"{image.width}x{image.height}" == icon["sizes"]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_accessible(tab: Any, films: list[Path], size: dict[str, int]) -> None:
    tab.set_viewport_size(size)
    assert axe(tab) == []
    load(tab, films)
    assert axe(tab) == []
    tab.click("#compare")
    tab.wait_for_timeout(200)
    assert axe(tab) == []
    tab.click("#about")
    assert axe(tab) == []


def test_by_keyboard_alone(tab: Any, films: list[Path]) -> None:
    load(tab, films[:4])
    names = tab.locator("#list .name").all_text_contents()
    current = "document.querySelector('[aria-current] .name')?.textContent"
    assert tab.evaluate(current) == names[0]
    tab.keyboard.press("j")
    tab.wait_for_function(f"(name) => {current} === name", arg=names[1])
    tab.keyboard.press("k")
    tab.wait_for_function(f"(name) => {current} === name", arg=names[0])
    tab.focus(".pane canvas")
    before = tab.locator(".pane canvas").first.screenshot()
    tab.keyboard.press("+")
    tab.keyboard.press("ArrowLeft")
    tab.wait_for_timeout(200)
    assert tab.locator(".pane canvas").first.screenshot() != before
    tab.keyboard.press("0")
    tab.wait_for_timeout(200)
    assert tab.locator(".pane canvas").first.screenshot() == before
    tab.keyboard.press("c")
    tab.wait_for_selector(".pane:nth-child(2):not([hidden])")


def test_window_by_drag_changes_the_picture_and_not_the_reading(tab: Any, films: list[Path]) -> None:
    load(tab, films[:1])
    canvas = tab.locator(".pane canvas").first
    before, said = canvas.screenshot(), tab.text_content("#verdict")
    tab.click("#drag-window")
    box = canvas.bounding_box()
    tab.mouse.move(box["x"] + 200, box["y"] + 200)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 90, box["y"] + 140, steps=4)
    tab.mouse.up()
    tab.wait_for_timeout(200)
    assert canvas.screenshot() != before
    assert int(tab.input_value("#width")) < 100
    assert tab.text_content("#verdict") == said


def test_the_saved_picture_names_no_film(tab: Any, films: list[Path], tmp_path: Path) -> None:
    load(tab, films[:1])
    with tab.expect_download() as waiting:
        tab.click("#save")
    saved = waiting.value
    saved.save_as(tmp_path / "saved.png")
    assert "film" not in saved.suggested_filename
    with Image.open(tmp_path / "saved.png") as picture:
        assert picture.width > 1000
        assert not picture.info.get("Title")
    tab.evaluate("window.print = () => { window.printed = document.querySelectorAll('#sheet canvas').length }")
    tab.click("#print")
    assert tab.evaluate("window.printed") == 1


def test_an_altered_network_reads_nothing(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(pages["int8"], tmp_path / "page")
    model = tmp_path / "page/bundle/model.tflite"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with served(tmp_path / "page") as address:
        tab = browser.new_page()
        tab.goto(address)
        tab.wait_for_selector("body.failed")
        assert "model.tflite is not the file" in tab.text_content("#state")
        assert tab.locator("#open").is_disabled()
        tab.close()


def test_without_a_camera_the_page_says_so(tab: Any) -> None:
    tab.click("#camera")
    tab.wait_for_selector("#camera-state:has-text('The camera cannot be used')")
    assert tab.locator("#keep").is_disabled()
    tab.click("#camera-page [data-close]")
    assert tab.locator("#open").is_enabled()
