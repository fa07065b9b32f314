"""Films in a camera's picture: how many are found, and how often the verdict is that of the file itself.

    python benchmarks/web_camera.py                    200 drawn scenes, half on a light box, half on a monitor
    python benchmarks/web_camera.py --films FOLDER     with the films below it instead of drawn ones
    python benchmarks/web_camera.py --scale 2          a camera of 1280 x 960, as the page asks for, read halved

A scene is a video of --pictures, 640 x 480, the film at an angle, with noise, blur, uneven light and a trembling hand;
on the monitor with its pixel grid. The page's own modules find the corners, square the film, read each picture and
average what was read, as its camera does. Found: no corner is further than 4 % of the picture's width from where it is.
Said as of the file: the page shows the verdict that it gives the file itself; it shows `uncertain`, and why, also where
the verdict changes from picture to picture or the probability is so close to a limit that the file may be called
otherwise. Referred: shown as `uncertain` where the file is called. Called otherwise: any other difference, with a doubt
that the page says beside it (so near a limit, glare, stripes) or without a word.
"""

from __future__ import annotations

import argparse
import base64
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "tests")  # in place of this folder, where `web` would be this file

from lucency.bundle import DEFAULT, open_bundle  # noqa: E402
from lucency.data.phantom import draw  # noqa: E402
from lucency.film import open_film  # noqa: E402
from lucency.web import write_page  # noqa: E402
from web.browser import PROBE, chromium, served  # noqa: E402
from web.scenes import HEIGHT, WIDTH, Corners, scene  # noqa: E402

FILE = """async ([film, width, height]) => {
  const [{ start }, { readFilm }] = await Promise.all([import("./engine.js"), import("./reading.js")]);
  window.engine ??= await start(() => {});
  const bytes = window.bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const { verdict, logits } = await readFilm(engine, { pixels: bytes(film), width, height, wide: null, facts: {} });
  return [verdict, [...logits]];
}"""
VIDEO = """async (pictures) => {
  const names = ["camera", "camera_look", "lucency", "tracker"];
  const modules = await Promise.all(names.map((name) => import(`./${name}.js`)));
  const [{ steadyReading }, { look }, { prepare }, { Tracker }] = modules;
  const tracker = new Tracker(), live = {};
  let reading = null;
  for (const text of pictures) {
    const seen = look(tracker, { pixels: bytes(text), width: 640, height: 480 });
    if (!seen.film) continue;
    reading = await steadyReading(engine, { ...seen, square: prepare(seen.film, engine.card.preprocess) }, live);
  }
  return [tracker.corners, reading && { ...reading, logits: [...reading.logits], map: null, probabilities: null }];
}"""
OFF = 0.04
"""Of the picture's width that a corner may be off."""
DOUBTS = {"close", "glare", "stripes"}
"""Of a photograph, said beside its verdict."""


def main() -> None:
    """Print one line a place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=Path)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument(
        "--first", type=int, default=0, help="the first scene: limits are chosen on others than told of"
    )
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--scale", type=int, default=1, help="2: the camera gives 1280 x 960, as the page asks it to")
    parser.add_argument("--glare", type=float, default=0, help="radius, as a share of the film's width")
    options = parser.parse_args()
    paths = sorted(options.films.rglob("*.*g")) if options.films else []
    told: dict[str, Counter[str]] = {"light box": Counter(), "monitor": Counter()}
    with tempfile.TemporaryDirectory() as folder:
        write_page(open_bundle(DEFAULT.with_name("int8")), Path(folder) / "page")
        (Path(folder) / "page/probe.html").write_text(PROBE, encoding="utf-8")
        with served(Path(folder) / "page") as address, chromium() as browser:
            tab = browser.new_page()
            tab.goto(f"{address}probe.html")
            for seed in range(options.first, options.first + options.scenes):
                gray = open_film(film_of(seed, paths, options.scenes)).gray8() if paths else drawn(seed)
                place = ("light box", "monitor")[seed % 2]
                told[place] += looked_at(tab, Image.fromarray(gray), seed, place, options)
    for place, count in told.items():
        found, sought = count["found"], sum(count[name] for name in ("found", "missed", "misplaced"))
        print(f"{place}: found {found} of {sought}, not found {count['missed']}, elsewhere {count['misplaced']}")
        print(
            f"    said as of the file {count['said']}, referred instead {count['referred']}, called otherwise "
            f"with a doubt {count['doubted']}, without {count['called otherwise']}; of all: close to a limit "
            f"{count['close']}, glare {count['glare']}, stripes {count['stripes']}"
        )


def film_of(seed: int, paths: list[Path], scenes: int) -> Path:
    """Films spread over all of them; from one run of so many scenes to the next others."""
    return paths[(seed * len(paths) // scenes + 7 * (seed // scenes)) % len(paths)]


def drawn(seed: int) -> Any:
    """A drawn film, every second one ill, a little darker: no camera shows all of a film's white as white."""
    return (0.9 * draw(seed, ill=bool(seed // 2 % 2), side=640).film).astype(np.uint8)


def looked_at(tab: Any, film: Image.Image, seed: int, place: str, options: argparse.Namespace) -> Counter[str]:
    """One scene: whether the film was found, and what was read."""
    video = [
        scene(film, seed, place == "monitor", frame, options.glare, options.scale) for frame in range(options.pictures)
    ]
    file, (file_logit, *_) = tab.evaluate(FILE, [base64.b64encode(film.tobytes()).decode(), *film.size])
    pictures = [base64.b64encode(picture.tobytes()).decode() for picture, _ in video]
    corners, reading = tab.evaluate(VIDEO, pictures)
    if corners is None:
        return Counter(["missed"])
    if away(corners, video[-1][1]) > OFF * WIDTH:
        return Counter(["misplaced"])
    doubts = {*reading["doubts"], *([] if reading["steady"] else ["unsteady"])}
    verdict = reading["verdict"] if reading["steady"] else "uncertain"
    otherwise = "doubted" if doubts & DOUBTS else "called otherwise"
    how = "said" if verdict == file else "referred" if verdict == "uncertain" else otherwise
    if how != "said":
        here = f"{verdict} ({reading['logits'][0]:.2f}) {' '.join(sorted(doubts))}"
        print(f"{place} {seed}: {file} ({file_logit:.2f}), {how}: {here}", flush=True)
    return Counter(["found", how, *doubts & DOUBTS])


def away(found: list[dict[str, float]], true: Corners) -> float:
    """Pixels that the worst corner is off."""
    pairs = zip(found, true, strict=True)
    return float(max(np.hypot(here["x"] * WIDTH - x, here["y"] * HEIGHT - y) for here, (x, y) in pairs))


if __name__ == "__main__":
    main()
