"""The page in every state, at three widths, light and dark: one sheet of small pictures for each width and light."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lucency.data.phantom import draw
from web.browser import ready

WIDTHS = {360: 640, 768: 1024, 1280: 800}
"""Of the window, and its height."""
SHEETS = [(width, light) for width in WIDTHS for light in ("light", "dark")]
SMALLER = 3
"""Pixels of the page along the side of one of a sheet."""
SEEDS = {"normal": 56, "uncertain": 44, "pneumonia": 41}
"""Drawn films of which the bundle that ships says so."""
CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


def films(folder: Path) -> dict[str, list[Path]]:
    """The films of each state."""
    found: dict[str, list[Path]] = {}
    for name, seed in SEEDS.items():
        found[name] = [folder / f"{name}.png"]
        Image.fromarray(draw(seed, ill=bool(seed % 2), side=512).film).save(found[name][0])
    noise = np.random.default_rng(0).integers(0, 255, (400, 400), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    found["refused"] = [folder / "noise.png"]
    found["worklist of 50"] = [found[name][0] for name in SEEDS for _ in range(17)][:50]
    return found


def _read(tab: Any, paths: list[Path]) -> None:
    tab.set_input_files("#files", paths)
    tab.wait_for_function(
        "(count) => document.querySelectorAll('#list .said:not(.waiting)').length === count", arg=len(paths)
    )


def _camera(tab: Any) -> None:
    tab.click("#empty-camera")
    tab.wait_for_selector("#camera-page.found")


def states(given: dict[str, list[Path]]) -> dict[str, Callable[[Any], None]]:
    """What brings a page that has just been opened into each state."""
    reading = {name: lambda tab, paths=paths: _read(tab, paths) for name, paths in given.items()}
    return {"empty": lambda tab: None, **reading, "camera": _camera}


def tabs(browser: Any, address: str, width: int, light: str, given: dict[str, list[Path]]) -> Iterator[tuple[str, Any]]:
    """The page in one state after the other."""
    for name, reach in states(given).items():
        context = browser.new_context(viewport={"width": width, "height": WIDTHS[width]}, color_scheme=light)
        tab = context.new_page()
        ready(tab, address)
        reach(tab)
        yield name, tab
        context.close()


def small(tab: Any) -> NDArray[np.uint8]:
    """A screenshot, each pixel the mean of SMALLER × SMALLER."""
    from io import BytesIO

    with Image.open(BytesIO(tab.screenshot())) as picture:
        return np.asarray(picture.convert("RGB").reduce(SMALLER))


def differences(seen: NDArray[np.uint8], expected: NDArray[np.uint8]) -> tuple[float, float]:
    """Mean difference in levels, and the share of pixels that differ by more than 40."""
    if seen.shape != expected.shape:
        return 255, 1
    off = np.abs(seen.astype(int) - expected.astype(int))
    return float(off.mean()), float((off.max(axis=2) > 40).mean())


def tile(sheet: NDArray[np.uint8], number: int, width: int) -> NDArray[np.uint8]:
    """The picture of that state."""
    wide = -(-width // SMALLER)
    return sheet[:, number * wide : (number + 1) * wide]
