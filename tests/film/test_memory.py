"""A picture's memory as an array: the same pixels as a copy, and alive after the picture is gone."""

from __future__ import annotations

import gc
import io

import numpy as np
import pytest
from PIL import Image

from lucency.film import memory, open_film
from lucency.film.memory import gray_pixels


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    return Image.fromarray(noise).copy()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 7), (7, 1), (5, 3), (1023, 40), (1024, 1024), (5000, 4000)])
def test_the_same_pixels_as_a_copy(width, height):
    drawn = picture(width, height)
    pixels = gray_pixels(drawn)
    assert pixels.shape == (height, width)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.asarray(drawn))
    assert not pixels.flags.writeable


def test_the_pixels_outlive_the_picture():
    drawn = picture(640, 480, seed=1)
    copy = np.array(drawn)
    pixels = gray_pixels(drawn)
    drawn.close()
    del drawn
    gc.collect()
    others = [picture(640, 480, seed) for seed in range(2, 12)]  # would take the memory, were it free
    assert np.array_equal(pixels, copy)
    assert len(others) == 10


def test_a_film_outlives_its_file():
    stream = io.BytesIO()
    drawn = picture(300, 200, seed=3)
    drawn.save(stream, "PNG")
    film = open_film(stream.getvalue())
    gc.collect()
    others = [picture(300, 200, seed) for seed in range(4, 14)]
    assert np.array_equal(film.pixels, np.asarray(drawn))
    assert len(others) == 10


def test_a_pillow_without_arrow_copies(monkeypatch):
    drawn = picture(9, 9)
    monkeypatch.delattr(Image.Image, "__arrow_c_array__")
    assert np.array_equal(gray_pixels(drawn), np.asarray(drawn))


def test_a_layout_that_is_not_known_copies(monkeypatch):
    drawn = picture(9, 9)
    monkeypatch.setattr(memory, "_ArrowArray", type("Other", (memory._ArrowArray,), {"offset": 1}))
    assert np.array_equal(gray_pixels(drawn), np.asarray(drawn))
