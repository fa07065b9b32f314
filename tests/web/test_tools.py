"""What a person does with a film on the page: drop, look, compare, keep; by mouse, on a phone, by ear."""

from __future__ import annotations

import base64
import itertools
import re
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lucency.bundle import DEFAULT, Card, open_bundle
from lucency.film import open_film
from lucency.reader import Reader
from serve.broken import chunk
from web.browser import COLOUR, PHONE
from web.test_page import load

pytestmark = pytest.mark.long

INT8 = DEFAULT.with_name("int8")
DROP = """(given) => {
  const carried = new DataTransfer();
  for (const [name, text] of given) {
    carried.items.add(new File([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], name));
  }
  const event = (kind) => document.body.dispatchEvent(
    new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true }));
  event("dragover");
  const asked = getComputedStyle(document.querySelector("#drop")).display;
  event("drop");
  return [asked, getComputedStyle(document.querySelector("#drop")).display];
}"""


def settled(tab: Any) -> Any:
    """The first pane as it looks when everything is drawn."""
    tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return tab.locator(".pane canvas").first


def by_the_card(card: Card, probability: float) -> str:
    """docs/bundle.md: the label at the threshold, if the abstention rules out every other and not that one."""
    called = card.labels[int(probability >= card.operating_point.threshold)]
    chances = zip(card.labels, (1 - probability, probability), card.abstention.least, strict=True)
    return called if [label for label, chance, least in chances if chance >= least] == [called] else "uncertain"


def test_dropped_films_are_read(tab: Any, films: list[Path]) -> None:
    given = [(path.name, base64.b64encode(path.read_bytes()).decode()) for path in films[:2]]
    assert tab.evaluate(DROP, given) == ["grid", "none"]
    tab.wait_for_function("() => document.querySelectorAll('#list .said:not(.waiting)').length === 2")
    assert sorted(tab.locator("#list .name").all_text_contents()) == [name for name, _ in given]


def test_the_scale_is_that_of_the_card(tab: Any, films: list[Path]) -> None:
    """Needle, threshold and the ends of the stretches, as shares of the track's width; every stretch has its word."""
    load(tab, films[:1])
    card = open_bundle(INT8).card
    reading = Reader.open(INT8).read(open_film(films[0]))
    box = tab.locator(".track").bounding_box()

    def place(name: str, edge: float = 0.0) -> list[float]:
        boxes = [one.bounding_box() for one in tab.locator(name).all()]
        return [(one["x"] + edge * one["width"] - box["x"]) / box["width"] for one in boxes]

    def on_scale(share: float) -> float:
        """From 1 to 99 percent in logits: log(99) either way."""
        return float(np.clip(np.log(share / (1 - share)) / np.log(99), -1, 1) + 1) / 2

    (threshold,) = place(".track .threshold", 0.5)
    assert threshold == pytest.approx(on_scale(card.operating_point.threshold), abs=0.01)
    tab.wait_for_timeout(300)  # the needle slides
    (needle,) = place(".track .needle", 0.5)
    assert needle == pytest.approx(on_scale(reading.probability), abs=0.02)
    grid = np.linspace(0, 1, 2001)
    called = [by_the_card(card, float(share)) for share in grid]
    starts = [0.0, *(on_scale(float(grid[i])) for i in range(1, len(grid)) if called[i] != called[i - 1])]
    assert place(".track .zone") == pytest.approx(starts, abs=0.01)
    assert tab.locator(".track .zone").all_text_contents() == ["normal", "refer", "pneumonia"]
    assert f"{round(100 * card.operating_point.threshold)} percent" in tab.get_attribute(".track", "aria-label")


def test_doubts_are_told_in_plain_words(tab: Any, tmp_path: Path) -> None:
    Image.fromarray(np.full((300, 310), 90, np.uint8)).save(tmp_path / "blank.png")
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (300, 310)).astype(np.uint8)).save(tmp_path / "noise.png")
    load(tab, [tmp_path / "blank.png"])
    assert tab.text_content("#verdict") == "uncertain: refer"
    assert "the film shows nothing" in tab.text_content("#reasons")
    tab.click("#clear")
    load(tab, [tmp_path / "noise.png"])
    assert tab.text_content("#verdict") == "uncertain: refer"
    told = tab.locator("#reasons .doubt").all_text_contents()
    assert told == list(Reader.open(INT8).read(open_film(tmp_path / "noise.png")).warnings)
    assert told
    assert tab.text_content("#list .said") == "uncertain: refer · no probability"
    assert not tab.locator("#legend").is_visible()  # there is no map


def test_map_zoom_and_pan_by_mouse(tab: Any, films: list[Path]) -> None:
    load(tab, films[3:4])
    assert settled(tab).evaluate(COLOUR) > 5
    tab.locator("#opacity").fill("0")
    assert settled(tab).evaluate(COLOUR) == 0
    before = settled(tab).screenshot()
    box = settled(tab).bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.mouse.wheel(0, -400)
    zoomed = settled(tab).screenshot()
    assert zoomed != before
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2 + 30, steps=3)
    tab.mouse.up()
    assert settled(tab).screenshot() != zoomed
    tab.click("#reset")
    assert settled(tab).screenshot() == before


def test_two_films_side_by_side_move_together(tab: Any, films: list[Path]) -> None:
    load(tab, films[:3])
    names = tab.locator("#list .name").all_text_contents()
    tab.click("#compare")
    tab.wait_for_function("() => document.querySelectorAll('figcaption .name')[1].textContent.startsWith('film')")
    tab.click(f"#list .pick:has-text('{names[2]}')")
    tab.wait_for_function(
        "(name) => document.querySelectorAll('figcaption .name')[1].textContent === name", arg=names[2]
    )
    assert tab.locator("figcaption .name").all_text_contents() == [names[0], names[2]]
    other = tab.locator(".pane canvas").nth(1)
    settled(tab)
    before = other.screenshot()
    tab.click("#zoom-in")
    settled(tab)
    assert other.screenshot() != before
    assert tab.text_content("#which") == names[2]  # the panel tells of the film chosen last,
    tab.locator(".pane canvas").first.click()
    assert tab.text_content("#which") == names[0]  # or touched last
    tab.click("#compare")
    assert tab.locator(".pane:visible").count() == 1


def test_a_film_that_cannot_be_read_says_why_and_what_to_do(tab: Any, films: list[Path]) -> None:
    load(tab, films[4:])
    assert tab.text_content("#which") == "notes.txt"
    assert tab.locator("#unread").is_visible()
    assert tab.text_content("#why") == tab.text_content("#list .error")
    assert not tab.locator("#answer, #toolbar, #legend").filter(visible=True).count()


def test_a_share_always_says_of_what(tab: Any, films: list[Path]) -> None:
    """Of a film called normal, "normal 8 %" would be taken for 8 % normal."""
    load(tab, films[:4])
    for told in tab.locator("#list .said, figcaption .said:not(:empty)").all_text_contents():
        assert re.search(r"pneumonia,? (\d+ %|very (high \(≥ 99 %\)|low \(≤ 1 %\)))$", told)


def test_on_a_phone_the_film_stays_in_sight_of_the_sliders_and_the_list(tab: Any, films: list[Path]) -> None:
    tab.set_viewport_size(PHONE)
    load(tab, films[:4])
    for below in ("#opacity", "#list li:last-child .pick"):
        tab.locator(below).scroll_into_view_if_needed()
        film, part = (tab.locator(one).bounding_box() for one in ("#panes", below))
        assert film["y"] >= 0
        assert part["y"] >= film["y"] + film["height"]


def test_on_a_phone_the_list_is_a_touch_away_from_the_verdict(tab: Any, films: list[Path]) -> None:
    load(tab, films[:1])
    assert not tab.locator("#to-list").is_visible()
    load(tab, films[1:4])
    assert not tab.locator("#to-list").is_visible()  # the list lies beside the film
    tab.set_viewport_size(PHONE)
    assert tab.text_content("#to-list").endswith(" of 4")
    tab.click("#to-list")
    film, title = (tab.locator(one).bounding_box() for one in ("#panes", "#worklist-title"))
    assert film["y"] + film["height"] <= title["y"] < PHONE["height"] - 100


def test_the_reading_as_pdf_is_one_page_of_its_own(tab: Any, films: list[Path]) -> None:
    load(tab, films[:1])
    tab.evaluate("() => { window.printed = new Promise((done) => { window.print = done; }); }")
    tab.click("#print")
    tab.evaluate("() => window.printed")  # when the lungs have been found
    for paper in ("A4", "Letter"):
        pdf = tab.pdf(format=paper)
        assert pdf.startswith(b"%PDF")
        assert pdf.count(b"/Type /Page\n") == 1
        assert pdf.count(b"/Subtype /Image") >= 1
    tab.emulate_media(media="print")
    seen = tab.evaluate("() => [...document.body.children].filter((one) => one.checkVisibility()).map(({ id }) => id)")
    assert seen == ["sheet"]


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_words_of_the_sheet_lie_on_others(tab: Any, films: list[Path], language: str) -> None:
    tab.goto(f"{tab.url.split('?')[0]}?lang={language}")
    tab.wait_for_selector("body.ready")
    load(tab, films[:4])  # the most urgent has the longest words
    tab.evaluate("() => { window.printed = new Promise((done) => { window.print = done; }); }")
    tab.evaluate(
        """() => {
          window.words = [];
          const fill = CanvasRenderingContext2D.prototype.fillText;
          CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...rest) {
            const { actualBoundingBoxLeft: left, actualBoundingBoxRight: right } = this.measureText(text);
            window.words.push([text, y, x - left, x + right]);
            fill.call(this, text, x, y, ...rest);
          };
        }"""
    )
    tab.click("#print")
    tab.evaluate("() => window.printed")
    words = tab.evaluate("() => window.words")
    assert len(words) > 8
    for (one, y, left, right), (other, there, start, end) in itertools.combinations(words, 2):
        assert y != there or right < start or end < left, (one, other)


@pytest.mark.parametrize(
    "size", [{"width": 320, "height": 568}, {"width": 360, "height": 640}, PHONE], ids=lambda size: str(size["width"])
)
def test_on_a_phone_everything_is_within_reach(
    tab: Any, films: list[Path], size: dict[str, int], tmp_path: Path
) -> None:
    tab.set_viewport_size(size)
    long = tmp_path / f"1.2.840.113619.{'2.55.3.604688119.' * 4}png"
    shutil.copy(films[0], long)
    load(tab, [*films[:2], long])
    for scrolled in ("document.documentElement", "document.querySelector('main')"):
        assert tab.evaluate(f"() => {scrolled}.scrollWidth") <= size["width"]
    for target in tab.locator("button:visible, a:visible, input:visible").all():
        box = target.bounding_box()
        assert box["x"] >= 0, target
        assert box["x"] + box["width"] <= size["width"], target.text_content()
        assert min(box["width"], box["height"]) >= 24, target.text_content()  # WCAG 2.2, 2.5.8
    film, footer, call = (tab.locator(one).bounding_box() for one in (".pane canvas >> nth=0", "footer", "#call .head"))
    assert footer["y"] + footer["height"] <= size["height"]  # the notice is always seen
    assert call["y"] + call["height"] <= footer["y"]  # verdict and probability, without scrolling,
    assert 0 <= call["y"] - film["y"] - film["height"] <= 60  # right under the film
    height, width = open_film(films[int(tab.text_content("#which").split("-")[1][0])]).shape
    assert film["width"] / film["height"] == pytest.approx(width / height, abs=0.02)  # no black bands


def test_what_a_screen_reader_hears(tab: Any, films: list[Path]) -> None:
    load(tab, films[:1])
    heard = tab.locator("body").aria_snapshot()
    verdict, share = tab.text_content("#verdict"), tab.text_content(".head b")
    assert f'img "film-0.png: {verdict}; probability of pneumonia: {share}"' in heard
    assert f'img "Probability of pneumonia: {share}. Called from' in heard
    assert "Research use only. Not for diagnosis." in heard
    assert tab.get_attribute("#verdict", "aria-live") == "polite"
    assert tab.get_attribute("html", "lang") == "en"
    assert tab.title().startswith("lucency")


def test_a_film_that_takes_too_long_is_ended_and_the_worklist_stays(tab: Any, films: list[Path]) -> None:
    load(tab, films[:1])
    said = tab.locator("#list .said").all_text_contents()
    refused, ended = tab.evaluate(
        """async () => {
          const { decode } = await import("./film_queue.js");
          const run = Worker.prototype.postMessage;
          const ended = new Promise((done) => {
            const end = Worker.prototype.terminate;
            Worker.prototype.terminate = function () { Worker.prototype.terminate = end; end.call(this); done(true); };
          });
          Worker.prototype.postMessage = function () { Worker.prototype.postMessage = run; };
          const later = setTimeout;
          window.setTimeout = (act, wait) => { window.setTimeout = later; return later(act, wait / 20); };
          const refused = await decode(new Uint8Array(9)).then(() => "", (error) => error.message);
          return [refused, await ended];
        }"""
    )
    assert "takes more than 20 s" in refused
    assert ended
    assert tab.locator("#list .said").all_text_contents() == said
    load(tab, films[1:2])  # by another worker


def test_a_small_png_of_many_pixels_does_not_kill_the_page(tab: Any, films: list[Path], tmp_path: Path) -> None:
    """16-bit RGBA, opaque, 6,000 × 6,000: 70 kB of file, 288 MB inflated, read row by row; then one above the limit."""
    rows = zlib.compressobj(9)
    row = b"\0" + bytes(6) + b"\xff\xff" + (bytes(6) + b"\xff\xff") * 5999
    packed = b"".join([*(rows.compress(row) for _ in range(6000)), rows.flush()])
    for side in (6000, 6400):
        head = struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0)
        chunks = chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
        (tmp_path / f"bomb-{side}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    load(tab, [films[0], tmp_path / "bomb-6000.png", tmp_path / "bomb-6400.png", films[1]])
    said = dict(
        zip(tab.locator("#list .name").all_text_contents(), tab.locator("#list .said").all_text_contents(), strict=True)
    )
    errors = tab.locator("#list .error").all_text_contents()
    # black all over; a busy machine may reach the page's limit first
    assert said["bomb-6000.png"].startswith("uncertain") or any("takes more than 20 s" in error for error in errors)
    assert said["bomb-6400.png"] == "cannot be read"
    assert any("6400 x 6400" in error for error in errors)
    assert {"film-0.png", "film-1.png"} < said.keys()
