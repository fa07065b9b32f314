"""Make docs/pictures/web-desktop.png and web-phone.png again: the page of the int8 bundle, reading films.

    python scripts/web_pictures.py FILM FILM FILM ...
    python scripts/web_pictures.py                      tests/web/pictures and docs/pictures/page-after-*: the page in
                                                        every state, with drawn films

Needs Chromium and playwright. The films' names are not shown: they are read from copies called film-1, film-2, ...
Look at what is made before it is committed: tests/web/test_pictures.py holds the page to it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(1, str(ROOT / "tests"))

from lucency.bundle import DEFAULT, open_bundle  # noqa: E402
from lucency.web import write_page  # noqa: E402
from web import states  # noqa: E402
from web.browser import chromium, ready, served  # noqa: E402
from web.scenes import film_video  # noqa: E402

PICTURES = ROOT / "docs/pictures"
SIZES: dict[str, dict[str, Any]] = {
    "web-desktop": {"viewport": {"width": 1280, "height": 800}},
    "web-phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}


def main() -> None:
    """A picture in each size, or the sheets of every state."""
    draw_page([Path(film) for film in sys.argv[1:]]) if sys.argv[1:] else draw_sheets()


def draw_page(paths: list[Path]) -> None:
    """The page in each size, with these films read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        films = [copied(film, folder / f"film-{number}") for number, film in enumerate(paths, 1)]
        write_page(open_bundle(DEFAULT.with_name("int8")), folder / "page")
        with served(folder / "page") as address, chromium() as browser:
            for size, context in SIZES.items():
                photograph(browser.new_context(**context).new_page(), address, films, folder / f"{size}.png")
                small(Image.open(folder / f"{size}.png").convert("RGB")).save(PICTURES / f"{size}.png", optimize=True)
                print(f"{size}.png  {(PICTURES / f'{size}.png').stat().st_size:,} bytes")


def draw_sheets() -> None:
    """A sheet for each width and light."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given, video = states.films(folder), film_video(folder / "film.mjpeg")
        write_page(open_bundle(DEFAULT.with_name("int8")), folder / "page")
        flags = *states.CAMERA, f"--use-file-for-fake-video-capture={video}"
        with served(folder / "page") as address, chromium(*flags) as browser:
            for width, light in states.SHEETS:
                tiles = []
                for _, tab in states.tabs(browser, address, width, light, given):
                    tab.wait_for_timeout(2000)
                    tiles.append(states.small(tab))
                out = ROOT / f"tests/web/pictures/{width}-{light}.jpg"
                sheet = Image.fromarray(np.hstack(tiles))
                sheet.save(out, quality=92, subsampling=0)
                sheet.save(PICTURES / f"page-after-{width}-{light}.webp", quality=55, method=6)
                print(f"{out.name}  {out.stat().st_size:,} bytes")


def small(picture: Image.Image) -> Image.Image:
    """In 240 colours, dithered: half the bytes, without a visible difference."""
    palette = picture.quantize(240, method=Image.Quantize.MAXCOVERAGE)
    return picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def copied(film: Path, place: Path) -> Path:
    """The film under a neutral name."""
    return Path(shutil.copy(film, place.with_suffix(film.suffix)))


def photograph(tab: Any, address: str, films: list[Path], out: Path) -> None:
    """The page when all films are read and it is kept for use without a network."""
    ready(tab, address)
    tab.wait_for_selector("body[data-kept]")
    tab.set_input_files("#files", films)
    tab.wait_for_function(
        "(count) => document.querySelectorAll('#list .said:not(.waiting)').length === count", arg=len(films)
    )
    tab.wait_for_timeout(1000)
    tab.screenshot(path=out)


if __name__ == "__main__":
    main()
