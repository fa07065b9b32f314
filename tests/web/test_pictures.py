"""The page looks as it did when someone looked at it: tests/web/pictures, drawn by scripts/web_pictures.py."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from web.browser import chromium, served
from web.scenes import film_video
from web.states import CAMERA, SHEETS, differences, films, small, tabs, tile

MEAN, SHARE = 3.0, 0.02
"""What JPEG, another font renderer or a camera's noise may change: levels, and the share of pixels off by over 40."""
PATIENCE_S = 10
FAST = (360, "light")


@pytest.fixture(scope="module")
def screen(pages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    video = film_video(tmp_path_factory.mktemp("video") / "film.mjpeg")
    with served(pages["int8"]) as address, chromium(*CAMERA, f"--use-file-for-fake-video-capture={video}") as found:
        yield found, address


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    return films(tmp_path_factory.mktemp("states"))


def sheet(width: int, light: str) -> NDArray[np.uint8]:
    with Image.open(Path(__file__).parent / f"pictures/{width}-{light}.jpg") as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.mark.long
@pytest.mark.parametrize(
    ("width", "light"),
    [pytest.param(*one, marks=() if one == FAST else pytest.mark.slow) for one in SHEETS],
)
def test_every_state_looks_as_it_was_approved(
    width: int, light: str, screen: tuple[Any, str], given: dict[str, list[Path]]
) -> None:
    expected, told = sheet(width, light), {}
    for number, (name, tab) in enumerate(tabs(*screen, width, light, given)):
        end = time.monotonic() + PATIENCE_S  # lungs are outlined a moment after the verdict
        while True:
            mean, share = differences(small(tab), tile(expected, number, width))
            if (mean <= MEAN and share <= SHARE) or time.monotonic() > end:
                break
            tab.wait_for_timeout(300)
        if mean > MEAN or share > SHARE:
            told[name] = mean, share
    assert told == {}


def test_a_verdict_in_another_place_is_seen() -> None:
    expected = tile(sheet(*FAST), 1, FAST[0])
    assert differences(expected, expected) == (0, 0)
    assert differences(np.roll(expected, 8, axis=0), expected)[1] > SHARE
