"""Films in a camera's picture: how many are found, and how often the verdict is that of the file itself.

    python benchmarks/web_camera.py                    200 drawn scenes, half on a light box, half on a monitor
    python benchmarks/web_camera.py --films FOLDER     with the films below it instead of drawn ones

A scene is 640 x 480, the film at an angle, with noise, blur and uneven light; on the monitor with its pixel grid. The
page's own modules find the corners, square the film and read it, one picture each; nothing is averaged over pictures.
Found: no corner is further than 4 % of the picture's width from where it is.
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

LOOK = """async ([film, wide, tall, photo]) => {
  const names = ["engine", "homography", "reading", "tracker"];
  const [{ start }, { rectify }, { readFilm }, { findCorners, refineCorners }] =
    await Promise.all(names.map((name) => import(`./${name}.js`)));
  window.engine ??= await start(() => {});
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const verdict = async (found) => (await readFilm(engine, { ...found, wide: null, facts: {} })).verdict;
  const picture = { pixels: bytes(photo), width: 640, height: 480 }, found = findCorners(picture);
  const file = await verdict({ pixels: bytes(film), width: wide, height: tall });
  if (!found) return [file, null, null];
  const corners = refineCorners(picture, found);
  return [file, await verdict(rectify(picture, corners, 384)), corners];
}"""
OFF = 0.04
"""Of the picture's width that a corner may be off."""


def main() -> None:
    """Print one line a place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=Path)
    parser.add_argument("--scenes", type=int, default=200)
    options = parser.parse_args()
    paths = sorted(options.films.rglob("*.*g")) if options.films else []
    told: dict[str, Counter[str]] = {"light box": Counter(), "monitor": Counter()}
    with tempfile.TemporaryDirectory() as folder:
        write_page(open_bundle(DEFAULT.with_name("int8")), Path(folder) / "page")
        (Path(folder) / "page/probe.html").write_text(PROBE, encoding="utf-8")
        with served(Path(folder) / "page") as address, chromium() as browser:
            tab = browser.new_page()
            tab.goto(f"{address}probe.html")
            for seed in range(options.scenes):
                gray = open_film(paths[seed * len(paths) // options.scenes]).gray8() if paths else drawn(seed)
                place = ("light box", "monitor")[seed % 2]
                told[place] += looked_at(tab, Image.fromarray(gray), seed, place)
    for place, count in told.items():
        found, all_of_them = count["found"], sum(count[name] for name in ("found", "missed", "misplaced"))
        print(
            f"{place}: found {found} of {all_of_them}, not found {count['missed']}, elsewhere {count['misplaced']}; "
            f"verdict as of the file {count['same']} of {found}, referred instead {count['referred']}, "
            f"called otherwise {count['called otherwise']}"
        )


def drawn(seed: int) -> Any:
    """A drawn film, every second one ill."""
    return draw(seed, ill=bool(seed // 2 % 2), side=640).film


def looked_at(tab: Any, film: Image.Image, seed: int, place: str) -> Counter[str]:
    """One scene: whether the film was found, and what was read."""
    picture, true = scene(film, seed, monitor=place == "monitor")
    given = [base64.b64encode(film.tobytes()).decode(), *film.size, base64.b64encode(picture.tobytes()).decode()]
    file, verdict, corners = tab.evaluate(LOOK, given)
    if corners is None:
        return Counter(["missed"])
    if away(corners, true) > OFF * WIDTH:
        return Counter(["misplaced"])
    how = "same" if verdict == file else "referred" if verdict == "uncertain" else "called otherwise"
    return Counter(["found", how])


def away(found: list[dict[str, float]], true: Corners) -> float:
    """Pixels that the worst corner is off."""
    pairs = zip(found, true, strict=True)
    return float(max(np.hypot(here["x"] * WIDTH - x, here["y"] * HEIGHT - y) for here, (x, y) in pairs))


if __name__ == "__main__":
    main()
