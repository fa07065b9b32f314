"""The camera's page: a film is found, squared, read and kept."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lucency.data.phantom import draw
from web.browser import axe, chromium, ready, served
from web.scenes import HEIGHT, WIDTH, film_video, photograph, scene

pytestmark = pytest.mark.long

FIND = """async (pictures) => {
  const { findCorners } = await import("./tracker.js");
  return pictures.map((text) => {
    const pixels = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return findCorners({ pixels, width: 640, height: 480 });
  });
}"""
SQUARE = """async ([text, corners]) => {
  const { rectify } = await import("./homography.js");
  const pixels = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return [...rectify({ pixels, width: 8, height: 8 }, corners, 4).pixels];
}"""


@pytest.fixture(scope="module")
def tab(pages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    video = film_video(tmp_path_factory.mktemp("video") / "film.mjpeg")
    flags = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
    with served(pages["int8"]) as address, chromium(*flags, f"--use-file-for-fake-video-capture={video}") as browser:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        ready(page, address)
        yield page


def find(tab: Any, pictures: list[Image.Image]) -> list[Any]:
    told: list[Any] = tab.evaluate(FIND, [base64.b64encode(picture.tobytes()).decode() for picture in pictures])
    return told


@pytest.mark.parametrize(
    ("around", "most"),
    [(250, 6), (60, 20)],
    ids=["light box", "dim room: the dark rim of a film may pass for the room"],
)
def test_corners_are_found(tab: Any, around: int, most: float) -> None:
    """`most`: pixels of 640 that a corner may be off."""
    scenes = [photograph(seed, around) for seed in range(12)]
    told = find(tab, [picture for picture, _ in scenes])
    assert None not in told
    for found, (_, corners) in zip(told, scenes, strict=True):
        pairs = zip(found, corners, strict=True)
        assert max(np.hypot(here["x"] * WIDTH - x, here["y"] * HEIGHT - y) for here, (x, y) in pairs) < most


REFINE = """async (pictures) => {
  const { findCorners, refineCorners } = await import("./tracker.js");
  return pictures.map((text) => {
    const pixels = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const photo = { pixels, width: 640, height: 480 };
    return refineCorners(photo, findCorners(photo));
  });
}"""
FOLLOW = """async ([first, second]) => {
  const { Tracker } = await import("./tracker.js");
  const corners = (away) => [0, 1, 2, 3].map((i) => ({ x: 0.2 + away + 0.1 * (i % 2), y: 0.3 }));
  const film = (level) => ({ pixels: Uint8Array.of(level, 7), width: 2, height: 1 });
  const tracker = new Tracker();
  tracker.follow(corners(0));
  tracker.average(film(first));
  const still = tracker.follow(corners(0.01))[0].x, steady = [tracker.still];
  const means = [second, second].map((level) => [...tracker.average(film(level)).pixels]);
  const lost = [1, 2, 3, 4, 5, 6].map(() => tracker.follow(null) !== null);
  tracker.follow(corners(0.3));
  steady.push(tracker.still);
  return [still, means, lost, tracker.film, [...tracker.average(film(second)).pixels], steady];
}"""


def test_the_film_is_found_on_a_light_box_that_ends_within_the_picture(tab: Any) -> None:
    """The box has four straight edges too, brighter against the room than the film's.

    Within 2 % of the picture's side: a quarter of a cell of the 5 × 5 map, so that the map stays on its lung, and less
    than half of the 28 pixels and more that lie between the film's corners and the box's. Refined corners are
    mostly right to the pixel of the copy that they are refined in.
    """
    scenes = [photograph(seed, 240, room=20) for seed in range(12)]
    told = tab.evaluate(REFINE, [base64.b64encode(picture.tobytes()).decode() for picture, _ in scenes])
    away = [
        max(
            np.hypot(here["x"] * WIDTH - x, here["y"] * HEIGHT - y) for here, (x, y) in zip(found, corners, strict=True)
        )
        for found, (_, corners) in zip(told, scenes, strict=True)
    ]
    assert max(away) < 0.02 * WIDTH
    assert np.median(away) < 1


def test_corners_are_found_to_a_pixel_where_the_film_has_edges_beside_its_rim(tab: Any) -> None:
    """On a monitor as gray as parts of the film, and on a light box; half of the corners to a third of a pixel."""
    drawn = [Image.fromarray((0.9 * draw(seed, ill=True, side=320).film).astype(np.uint8)) for seed in range(4)]
    scenes = [scene(drawn[seed % 4], seed, monitor=seed % 3 > 0) for seed in range(18)]
    told = tab.evaluate(REFINE, [base64.b64encode(picture.tobytes()).decode() for picture, _ in scenes])
    away = [
        np.hypot(here["x"] * WIDTH - x, here["y"] * HEIGHT - y)
        for found, (_, corners) in zip(told, scenes, strict=True)
        for here, (x, y) in zip(found, corners, strict=True)
    ]
    assert max(away) < 1
    assert np.median(away) < 1 / 3


def test_a_trembling_hand_moves_neither_corners_nor_pictures_much(tab: Any) -> None:
    """By hand: 0.6 · (1 - 0.01 / 0.03) of the old corner stays; pictures are averaged; another film begins anew."""
    still, means, lost, forgotten, anew, steady = tab.evaluate(FOLLOW, [30, 60])
    assert still == pytest.approx(0.4 * 0.2 + 0.6 * 0.21)
    assert means == [[45, 7], [50, 7]]
    assert lost == [True] * 5 + [False]
    assert forgotten is None
    assert anew == [60, 7]
    assert steady == [True, False]


DOUBTS = """async (films) => {
  const { stripes, whiteSpot } = await import("./camera_doubts.js");
  return films.map(([text, width, height]) => {
    const film = { pixels: Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)), width, height };
    return [whiteSpot(film), stripes(film)];
  });
}"""
SQUARED = """async ([text, corners]) => {
  const [{ cameraDoubts }, { rectify }] = await Promise.all([import("./camera_doubts.js"), import("./homography.js")]);
  const photo = { pixels: Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)), width: 640, height: 480 };
  return cameraDoubts(rectify(photo, corners, 512)).map(({ code }) => code);
}"""


def doubts(tab: Any, *films: np.ndarray[Any, Any]) -> list[list[float]]:
    """The white spot's share of each film, and how far its stripes stand out."""
    given = [[base64.b64encode(film.astype(np.uint8).tobytes()).decode(), *film.shape[::-1]] for film in films]
    told: list[list[float]] = tab.evaluate(DOUBTS, given)
    return told


def test_a_white_spot_is_measured_within_the_rim(tab: Any) -> None:
    film = np.full((100, 100), 90)
    film[40:50, 30:50] = 255
    film[60:65, 60:65] = 255
    film[20:80, 2:6] = 255  # a letter
    assert doubts(tab, film, np.full((100, 100), 251))[0][0] == pytest.approx(200 / 10_000)
    assert doubts(tab, np.full((100, 100), 251))[0][0] == 0


def test_stripes_stand_out_of_noise(tab: Any) -> None:
    rng = np.random.default_rng(0)
    noise = 120 + rng.normal(0, 10, (150, 200))
    striped = noise + 10 * np.sin(np.add.outer(0.4 * np.arange(150), 1.1 * np.arange(200)))
    (_, plain), (_, seen), (_, small) = doubts(tab, noise, striped, striped[:100, :100])
    assert plain < 6
    assert seen > 12
    assert small == 1


@pytest.mark.parametrize(
    ("place", "glare", "expected"), [("box", 0, []), ("box", 0.1, ["glare"]), ("monitor", 0, ["stripes"])]
)
def test_a_lamp_and_a_screen_are_doubted(tab: Any, place: str, glare: float, expected: list[str]) -> None:
    film = (0.9 * draw(5, ill=True, side=640).film).astype(np.uint8)  # no camera shows all of a film's white as white
    picture, corners = scene(Image.fromarray(film), 3, monitor=place == "monitor", glare=glare)
    shares = [{"x": x / WIDTH, "y": y / HEIGHT} for x, y in corners]
    assert tab.evaluate(SQUARED, [base64.b64encode(picture.tobytes()).decode(), shares]) == expected


def test_a_verdict_is_steady_where_three_of_four_readings_say_it(tab: Any) -> None:
    """Of the fourth picture and those after it: noise moves the mean of fewer. Another film begins anew.

    By hand: of those that vote, 1 of 1, 2 of 2, 3 of 3, then 1 of 4, 4 of 5 and 2 of 6 say what the last one says.
    """
    said = tab.evaluate("""async () => {
      const { steadyReading } = await import("./camera.js"), live = {};
      const binary = { task: "binary", labels: ["normal", "ill"], operating_point: { threshold: 0.5 } };
      const card = { ...binary, preprocess: { side: 2 }, abstention: { method: "none" }, gate: { checks: [] } };
      const film = { pixels: Uint8Array.of(0, 99, 9, 0), width: 2, height: 2, facts: {} };
      const outputs = { logits: [0], map: [0], rows: 1, columns: 1, doubts: [] };
      const steady = [];
      for (const [i, probability] of [0.01, 0.99, 0.99, 0.01, 0.01, 0.01, 0.99, 0.01, 0.99, 0.99].entries()) {
        const engine = { card, run: async () => ({ ...outputs, probabilities: [probability] }) };
        const seen = { film, doubts: [], pictures: i === 9 ? 1 : i + 1 };
        steady.push((await steadyReading(engine, seen, live)).steady);
      }
      return steady;
    }""")
    assert said == [True] * 6 + [False, True, False, True]


def test_a_photograph_whose_probability_is_near_a_limit_is_doubted_and_nearest_to_it_referred(tab: Any) -> None:
    """Doubted within 0.75 of a logit; referred from 0.125 below to 0.25 above, twice as far of a picture alone.

    By hand: the limit is 0.5, a logit of 0; 0.32, 0.33, 0.46, 0.48, 0.55, 0.57, 0.67 and 0.68 have -0.754, -0.708,
    -0.160, -0.080, 0.201, 0.282, 0.708 and 0.754; 0.43, 0.44, 0.6 and 0.63 have -0.282, -0.241, 0.405 and 0.532.
    Within a tenth of the gate's limit, of 4, lie 3.6 to 4.4.
    """
    told = tab.evaluate("""async () => {
      const { closeDoubts, readingOf } = await import("./reading.js");
      const binary = { task: "binary", labels: ["normal", "ill"], operating_point: { threshold: 0.5 } };
      const card = { ...binary, abstention: { method: "none" }, gate: { checks: [] } };
      const said = (pictures) => (probability) => {
        const outputs = { probabilities: [probability], logits: [0], map: [0], rows: 1, columns: 1, doubts: [] };
        const { verdict, doubts } = readingOf(card, outputs, closeDoubts(card, outputs, pictures));
        return [verdict, ...doubts].join(" ");
      };
      const many = [0.32, 0.33, 0.46, 0.48, 0.55, 0.57, 0.67, 0.68].map(said(4));
      const one = [0.43, 0.44, 0.6, 0.63].map(said(1));
      const several = closeDoubts({ ...card, task: "multiclass" }, { probabilities: [0.5], doubts: [] });
      const gate = { ...card, gate: { checks: [{ name: "mirrored", limit: 4 }] } };
      const near = [3.5, 3.7, 4.3, 4.5].map((doubt) => closeDoubts(gate, { probabilities: [0.01], doubts: [doubt] }));
      return [many, one, several, near.map((found) => found.map(({ refuses }) => refuses))];
    }""")
    near = ["normal close", "normal close", "uncertain close", "uncertain close", "ill close", "ill close"]
    assert told[0] == ["normal", *near, "ill"]
    assert told[1] == ["normal close", "uncertain close", "uncertain close", "ill close"]
    assert told[2:] == [[], [[], [False], [False], []]]


def test_nothing_is_found_where_there_is_no_film(tab: Any) -> None:
    rng = np.random.default_rng(2)
    even = np.full((HEIGHT, WIDTH), 200.0) + rng.normal(0, 3, (HEIGHT, WIDTH))
    slope = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) / 6
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    disc = np.where((x - 320) ** 2 + (y - 240) ** 2 < 150**2, 60.0, 220.0)
    pictures = [Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)) for values in (even, slope, disc)]
    assert find(tab, pictures) == [None, None, None]


def test_squaring_between_pixels_does_not_blur(tab: Any) -> None:
    """Cubic convolution gives back a parabola: halves squared. Between four pixels alone 6.25 would be 6.5."""
    parabola = np.repeat(np.arange(8, dtype=np.uint8)[None] ** 2, 8, axis=0)
    corners = [{"x": x / 8, "y": y / 8} for x, y in ((2.5, 2), (6.5, 2), (6.5, 6), (2.5, 6))]
    told = tab.evaluate(SQUARE, [base64.b64encode(parabola.tobytes()).decode(), corners])
    assert told[:4] == [6, 12, 20, 30]


def test_squaring_by_hand(tab: Any) -> None:
    """The middle 4 × 4 pixels of a ramp, as they are: every output pixel has its centre on one of the photograph."""
    ramp = (np.arange(64, dtype=np.uint8) * 3).reshape(8, 8)
    corners = [{"x": x, "y": y} for x, y in ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))]
    told = tab.evaluate(SQUARE, [base64.b64encode(ramp.tobytes()).decode(), corners])
    assert told == ramp[2:6, 2:6].ravel().tolist()


OVER = """async ([corners, level]) => {
  const [{ veilOverlay }, { marksOf }] = await Promise.all([import("./camera_overlay.js"), import("./evidence.js")]);
  const map = new Float32Array(25).fill(level), film = { width: 30, height: 40 }, whole = { width: 640, height: 480 };
  const canvas = veilOverlay({ fit: "stretch" }, corners, marksOf({ map, rows: 5, columns: 5 }), film, whole);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.width, canvas.height, btoa(Array.from(data, (value) => String.fromCharCode(value)).join(""))];
}"""


def test_the_live_map_lies_within_the_corners(tab: Any) -> None:
    """The strongest evidence: yellow, covering 0.35, on every pixel of the tilted film and nowhere else."""
    corners = [(0.25, 0.2), (0.8, 0.3), (0.7, 0.9), (0.2, 0.75)]
    wide, tall, data = tab.evaluate(OVER, [[{"x": x, "y": y} for x, y in corners], 10])
    picture = np.frombuffer(base64.b64decode(data), np.uint8).reshape(tall, wide, 4)
    y, x = (np.mgrid[:tall, :wide] + 0.5) / [[[tall]], [[wide]]]
    sides = zip(corners, [*corners[1:], corners[0]], strict=True)
    inside = np.all([(bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0 for (ax, ay), (bx, by) in sides], axis=0)
    assert (picture[..., 3] > 0).tolist() == inside.tolist()
    assert abs(picture[inside].astype(int) - [255, 222, 70, 89]).max() <= 2  # premultiplied on the way


def test_reads_live_and_keeps_a_film(tab: Any) -> None:
    tab.click("#camera")
    tab.wait_for_selector("#keep:not([disabled])")
    tab.wait_for_selector("#camera-answer .verdict")
    assert tab.text_content("#camera-state").startswith("Film found, ")
    assert "Not for diagnosis" in tab.text_content("#camera-page .warn")
    assert axe(tab) == []
    tab.set_viewport_size({"width": 360, "height": 640})
    room = """() => document.querySelector("#camera-page .foot").getBoundingClientRect().top
      - document.querySelector("#camera-page .scale").getBoundingClientRect().bottom"""
    assert tab.evaluate(room) >= 50  # a reason to doubt, of two lines
    tab.click("#keep")
    tab.wait_for_selector("#list .pick .said:not(.waiting)")
    assert tab.text_content("#list .name") == "Photograph 1"
    assert tab.evaluate("document.querySelector('#video').srcObject") is None  # the camera is let go
