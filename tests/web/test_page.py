"""The page as a person uses it, in a real browser: reads, shows, goes offline, is installable, and asks nobody else."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import JPEG2000Lossless

from film.conftest import MakeDicom
from lucency.bundle import DEFAULT
from lucency.data.phantom import draw
from lucency.film import open_film
from lucency.lungs import dice, lung_outline
from lucency.paint import overlay
from lucency.preprocess import Preprocess
from lucency.reader import Reader
from lucency.web import CSP
from web.browser import COLOUR, DESKTOP, PHONE, axe, ready, served
from web.test_films import compressed
from web.test_parity import stored

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
    expected = sorted(readings, key=lambda name: (-order[readings[name].verdict], -readings[name].logits[0]))
    assert names == [*expected, "notes.txt"]
    assert "found a text file" in tab.text_content("#list .error")
    for name, told in zip(names, tab.locator("#list .said").all_text_contents()[:4], strict=False):
        verdict = readings[name].verdict
        assert told.startswith("uncertain: refer" if verdict == "uncertain" else verdict)
    first = readings[names[0]]
    assert tab.text_content("#verdict").startswith(first.verdict)
    assert tab.locator("#reasons .doubt").all_text_contents() == list(first.warnings)
    assert "Not for diagnosis" in tab.text_content("footer")


def test_before_the_first_film_it_says_how_for_whom_and_gives_two_to_try(tab: Any) -> None:
    card = Reader.open(INT8).card
    assert tab.locator(".steps li:visible").count() == 3
    assert tab.locator("#limits li").all_text_contents() == list(card.limits)
    assert card.population.words in tab.text_content("#learned")
    tab.evaluate("document.querySelectorAll('.sample').forEach((one) => one.click())")
    tab.wait_for_function("() => document.querySelectorAll('#list .said:not(.waiting)').length === 2")
    assert tab.locator("#list .number").all_text_contents() == ["1", "2"]
    assert tab.text_content(".head b") == "very high (≥ 99 %)"
    tab.click("#about")
    assert tab.locator("#facts dt").all_text_contents()[:3] == ["Sensitivity", "Specificity", "Population"]


PAINT = """async ([text, map, rows, columns, grid]) => {
  const [{ marksOf, veilCanvas }, { openFilm }, viewer] =
    await Promise.all(["evidence", "film", "viewer"].map((name) => import(`./${name}.js`)));
  const film = await openFilm(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
  const marks = marksOf({ map: Float32Array.from(map), rows, columns }), resizeMode = "stretch";
  const lungs = { grid: Float32Array.from(grid), side: Math.sqrt(grid.length) };
  const base = viewer.canvasOf(viewer.windowed(film, 0.5, 1));
  const shown = { film, resizeMode, marks, veil: veilCanvas(marks), base, lungs };
  const pen = new OffscreenCanvas(film.width, film.height).getContext("2d");
  viewer.paint(pen, shown, { x: 0, y: 0, scale: 1 }, 1);
  const { data } = pen.getImageData(0, 0, film.width, film.height);
  return btoa(Array.from(data, (value) => String.fromCharCode(value)).join(""));
}"""
"""A film in base64 under evidence and lungs, as the page paints them."""


@pytest.mark.parametrize("seed", [1, 3])
def test_the_overlay_is_that_of_the_python_reader(tab: Any, seed: int) -> None:
    """Veil, contours, box and outline lie where lucency.paint has them; lines are smoothed here and not there."""
    drawn = draw(seed, ill=True, side=480).film
    data = stored(drawn, "PNG")
    film, evidence = open_film(data), np.random.default_rng(seed).normal(-1, 3, (24, 24)).astype(np.float32)
    evidence[8:11, 5:8] += 9
    grid = lung_outline(film.gray8())
    given = [base64.b64encode(data).decode(), evidence.ravel().tolist(), 24, 24, grid.ravel().tolist()]
    told = np.frombuffer(base64.b64decode(tab.evaluate(PAINT, given)), np.uint8).reshape(*film.shape, 4)[..., :3]
    here, there = (
        np.asarray(Image.fromarray(picture).resize((120, 120), Image.Resampling.BOX)).astype(int)
        for picture in (told, np.asarray(overlay(film, evidence, Preprocess(64), lungs=grid)))
    )
    assert np.abs(here - there).mean() < 2
    bare = np.asarray(Image.fromarray(drawn).resize((120, 120), Image.Resampling.BOX)).astype(int)[..., None]
    marks_here, marks_there = ((np.ptp(picture - bare, axis=-1) > 30) for picture in (here, there))
    assert dice(marks_here, marks_there) > 0.85


FIND = """async (films) => {
  const [{ lungsOf }, { openFilm }] = await Promise.all(["film_queue", "film"].map((name) => import(`./${name}.js`)));
  const found = [];
  for (const text of films) {
    const film = await openFilm(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
    found.push([...(await lungsOf(film)).grid]);
  }
  return found;
}"""


def test_the_lungs_are_those_of_the_python_reader(tab: Any) -> None:
    blank = np.full((90, 120), 80, np.uint8)
    data = [
        stored(film, "PNG")
        for film in (*(draw(seed, ill=False, side=300 + 50 * seed).film for seed in range(3)), blank)
    ]
    for here, film in zip(tab.evaluate(FIND, [base64.b64encode(one).decode() for one in data]), data, strict=True):
        there = lung_outline(open_film(film).gray8())
        assert here == pytest.approx(there.ravel().tolist(), abs=0.02)


def test_the_map_is_seen_over_the_film(tab: Any, films: list[Path]) -> None:
    load(tab, films[3:4])
    canvas = tab.locator(".pane canvas").first
    assert canvas.evaluate(COLOUR) > 5  # red and blue differ where there is evidence
    tab.keyboard.press("m")
    tab.wait_for_timeout(200)
    assert canvas.evaluate(COLOUR) == 0  # a gray film


def test_the_bare_film_is_seen_while_a_key_a_button_or_a_finger_is_held(tab: Any, films: list[Path]) -> None:
    load(tab, films[3:4])
    canvas = tab.locator(".pane canvas").first
    box, button = canvas.bounding_box(), tab.locator("#bare").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    holds = [
        (lambda: tab.keyboard.down("b"), lambda: tab.keyboard.up("b")),
        (lambda: (tab.mouse.move(button["x"] + 9, button["y"] + 9), tab.mouse.down()), tab.mouse.up),
        (lambda: (tab.mouse.move(*middle), tab.mouse.down()), tab.mouse.up),
    ]
    for press, release in holds:
        for act, held in ((press, "true"), (release, "false")):
            act()
            tab.wait_for_selector(f"#bare[aria-pressed={held}]", timeout=3000)  # a finger rests for a while
            tab.wait_for_timeout(200)
            assert (canvas.evaluate(COLOUR) == 0) == (held == "true")


def test_reads_again_when_the_server_is_gone(browser: Any, pages: dict[str, Path], films: list[Path]) -> None:
    tab = browser.new_context().new_page()
    with served(pages["int8"]) as address:
        ready(tab, address)
        tab.wait_for_selector("body[data-kept='Works offline']")
        load(tab, films[:1])
        before = tab.text_content("#verdict"), tab.text_content(".head b")
    ready(tab, address)
    load(tab, films[:1])
    assert (tab.text_content("#verdict"), tab.text_content(".head b")) == before
    policy = tab.evaluate("async () => (await fetch('./')).headers.get('Content-Security-Policy')")
    assert policy == CSP
    tab.context.close()


def test_a_codec_is_loaded_when_a_film_needs_it(
    tab: Any, films: list[Path], make_dicom: MakeDicom, tmp_path: Path
) -> None:
    asked: list[str] = []
    tab.context.on("request", lambda request: asked.append(request.url))
    load(tab, films[:1])
    assert not [url for url in asked if "/codecs/" in url]
    plain = make_dicom(np.asarray(Image.open(films[1])).astype(np.uint16) * 16, BitsStored=12)
    (tmp_path / "jpeg2000.dcm").write_bytes(compressed(plain, JPEG2000Lossless))
    load(tab, [tmp_path / "jpeg2000.dcm"])
    assert {url.rsplit("/", 1)[1] for url in asked if "/codecs/" in url} == {"openjpeg.js", "openjpeg.wasm"}
    assert not tab.locator("#list .unread").count()


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


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "dark"), (PHONE, "light")], ids=["desktop", "phone"])
def test_accessible(tab: Any, films: list[Path], size: dict[str, int], scheme: str) -> None:
    tab.set_viewport_size(size)
    tab.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # no colour on its way from light to dark
    assert axe(tab) == []
    load(tab, films)
    assert axe(tab) == []
    tab.click("#compare")
    tab.wait_for_timeout(200)
    assert axe(tab) == []
    tab.click("#about")
    assert axe(tab) == []


def test_about_begins_with_how_well_and_on_whom(tab: Any) -> None:
    tab.click("#about")
    assert tab.locator("#about-page dt").all_text_contents()[:3] == ["Sensitivity", "Specificity", "Population"]
    assert "Children of 1 to 5 years" in " ".join(tab.locator("#about-page dd").all_text_contents()[:3])


def test_in_german_where_the_browser_or_the_address_asks_for_it(
    browser: Any, pages: dict[str, Path], films: list[Path]
) -> None:
    with served(pages["int8"]) as address:
        tab = browser.new_context(locale="de-AT").new_page()
        ready(tab, address)
        assert tab.get_attribute("html", "lang") == "de"
        load(tab, films[3:])
        assert tab.text_content("#verdict") in ("Pneumonie", "unauffällig", "unsicher: vorlegen")
        assert "eine Textdatei" in tab.text_content("#list .error")  # said by the worker
        tab.click("#languages a")
        tab.wait_for_selector("body.ready")
        assert tab.get_attribute("html", "lang") == "en"
        tab.context.close()


def settled(tab: Any) -> bytes:
    """The film as shown, when its lungs have been outlined: a picture that a second later is still the same."""
    canvas = tab.locator(".pane canvas").first
    now = canvas.screenshot()
    for _ in range(30):
        tab.wait_for_timeout(1000)
        before, now = now, canvas.screenshot()
        if now == before:
            return bytes(now)
    raise AssertionError("the film changes on and on")


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
    before = settled(tab)
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
