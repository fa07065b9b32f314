"""Preprocessing: Pillow's resize, the written specification, and the golden vectors give the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from lucency.errors import BundleError, UsageError
from lucency.film import Film
from lucency.preprocess import RESIZE_MODES, Preprocess, crop_or_pad

GOLDEN = json.loads((Path(__file__).parent / "golden/preprocessing.json").read_text(encoding="utf-8"))


def weights(given_size: int, side: int) -> list[tuple[int, list[int]]]:
    """Section 4.1 of docs/preprocessing.md, word for word: each output pixel's first input pixel, and the weights."""
    scale = given_size / side
    reach = max(scale, 1.0)
    table = []
    for out in range(side):
        center = (out + 0.5) * scale
        first = max(int(center - reach + 0.5), 0)
        last = min(int(center + reach + 0.5), given_size)
        raw = [max(1.0 - abs((x - center + 0.5) * (1.0 / reach)), 0.0) for x in range(first, last)]
        total = 0.0
        for weight in raw:
            total += weight
        table.append((first, [int(0.5 + weight / total * 4194304.0) for weight in raw]))
    return table


def resized(gray: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Section 4.2: along the rows, rounded to bytes, then along the columns."""
    for _ in range(2):
        lines = gray.astype(np.int64)
        columns = [
            np.clip((lines[:, first : first + len(k)] @ np.array(k) + 2097152) >> 22, 0, 255)
            for first, k in weights(gray.shape[1], side)
        ]
        gray = np.stack(columns, axis=0).astype(np.uint8)  # transposed: the second time round it is the columns' turn
    return gray


def noise(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    # Half the films hold only the two ends, where a rounding error would show first.
    return (
        rng.choice([0, 255], (height, width)).astype(np.uint8)
        if seed % 2
        else rng.integers(0, 256, (height, width)).astype(np.uint8)
    )


SIZES = st.integers(1, 90)


@settings(deadline=None, max_examples=250)
@given(height=SIZES, width=SIZES, side=st.integers(1, 70), seed=st.integers(0, 10**6))
@example(height=1, width=90, side=224, seed=1)
@example(height=90, width=1, side=3, seed=2)
@example(height=5, width=5, side=5, seed=3)
def test_the_specification_equals_pillows_resize(height, width, side, seed):
    gray = noise(height, width, seed)
    pillow = Image.fromarray(gray).resize((side, height), Image.Resampling.BILINEAR)
    pillow = pillow.resize((side, side), Image.Resampling.BILINEAR)
    assert np.array_equal(resized(gray, side), np.asarray(pillow))
    assert np.array_equal(Preprocess(side, "stretch")(Film(gray)), np.asarray(pillow))


def test_rows_are_resized_first_for_any_shape():
    # Pillow 13 does so for a film that shrinks much more in height than in width; the bytes differ.
    gray = noise(5, 2, 0)
    assert np.array_equal(Preprocess(3)(Film(gray)), resized(gray, 3))
    other_way = resized(np.ascontiguousarray(gray.T), 3).T
    assert not np.array_equal(Preprocess(3)(Film(gray)), other_way)


def test_the_square_is_a_copy():
    film = Film(noise(5, 5, 4))
    square = Preprocess(5)(film)
    assert np.array_equal(square, film.pixels)
    assert square.flags.writeable
    assert not np.shares_memory(square, film.pixels)


@pytest.mark.parametrize(("height", "width"), [(1317, 1857), (127, 384), (1023, 1021), (224, 1000), (3001, 7)])
def test_the_specification_at_the_size_of_films(height, width):
    gray = noise(height, width, height)
    assert np.array_equal(resized(gray, 224), Preprocess()(Film(gray)))


@pytest.mark.parametrize("film", GOLDEN["films"], ids=lambda film: film["name"])
def test_golden_vectors(film: dict[str, Any]):
    kind = np.dtype(">u2") if film["bits"] == 16 else np.dtype(np.uint8)
    pixels = np.frombuffer(bytes.fromhex(film["pixels"]), kind).reshape(film["height"], film["width"])
    for square in film["squares"]:
        answer = Preprocess(square["side"], square["fit"])(Film(pixels.astype(kind.newbyteorder("="))))
        assert answer.tobytes().hex() == square["bytes"], (square["side"], square["fit"])


def test_golden_vectors_are_for_this_version():
    stated = Preprocess().to_json()
    assert (GOLDEN["version"], GOLDEN["filter"]) == (stated["version"], stated["filter"])
    assert len(GOLDEN["films"]) >= 10
    assert {square["fit"] for film in GOLDEN["films"] for square in film["squares"]} == set(RESIZE_MODES)


def test_halving_by_hand():
    # Scale 2, triangle from -2 to 2: inside, (1 3 3 1) / 8; at the ends, cut off, (3 3 1) / 7 and (1 3 3) / 7.
    film = Film(np.array([[10, 20, 40, 80]], dtype=np.uint8))
    assert Preprocess(2)(film).tolist() == [[round(130 / 7), round(380 / 7)]] * 2
    six = Film(np.array([[0, 8, 16, 64, 0, 0]], dtype=np.uint8))
    assert Preprocess(3)(six).tolist()[0][1] == round((8 + 3 * 16 + 3 * 64) / 8)


def test_crop_takes_the_centre():
    assert crop_or_pad(np.arange(5, dtype=np.uint8).reshape(1, 5), "crop").tolist() == [[2]]
    assert crop_or_pad(np.arange(8, dtype=np.uint8).reshape(2, 4), "crop").tolist() == [[1, 2], [5, 6]]
    assert crop_or_pad(np.arange(10, dtype=np.uint8).reshape(2, 5), "crop").tolist() == [[1, 2], [6, 7]]
    assert crop_or_pad(np.arange(10, dtype=np.uint8).reshape(5, 2), "crop").tolist() == [[2, 3], [4, 5]]


def test_pad_centres_the_film_on_black():
    assert crop_or_pad(np.array([[7, 8, 9]], np.uint8), "pad").tolist() == [[0, 0, 0], [7, 8, 9], [0, 0, 0]]
    assert crop_or_pad(np.array([[7, 8]], np.uint8), "pad").tolist() == [[7, 8], [0, 0]]
    assert crop_or_pad(np.array([[7], [8]], np.uint8), "pad").tolist() == [[7, 0], [8, 0]]


@settings(deadline=None, max_examples=60)
@given(size=st.integers(1, 60), side=st.integers(1, 60), seed=st.integers(0, 1000))
def test_resize_modes_agree_on_square_films(size, side, seed):
    film = Film(noise(size, size, seed))
    first, *others = (Preprocess(side, fit)(film) for fit in RESIZE_MODES)
    assert all(np.array_equal(first, other) for other in others)


@settings(deadline=None, max_examples=60)
@given(height=SIZES, width=SIZES, fit=st.sampled_from(RESIZE_MODES), value=st.integers(0, 255), side=st.integers(1, 60))
def test_a_constant_film_stays_constant(height, width, fit, value, side):
    film = Film(np.full((height, width), value, np.uint8))
    answer = Preprocess(side, fit)(film)
    assert answer.shape == (side, side)
    assert answer.dtype == np.uint8
    if fit != "pad" or height == width:
        assert set(answer.ravel().tolist()) == {value}


def test_a_square_of_the_right_size_is_unchanged():
    gray = noise(33, 33, 0)
    assert np.array_equal(Preprocess(33)(Film(gray)), gray)


def test_the_square_is_writable():
    film = Film(noise(33, 33, 0))
    Preprocess(33)(film)[0, 0] = 1
    Preprocess(32)(film)[0, 0] = 1


def test_16_bits_are_reduced_first():
    film = Film(np.random.default_rng(1).integers(0, 65536, (21, 34)).astype(np.uint16))
    for fit in RESIZE_MODES:
        assert np.array_equal(Preprocess(9, fit)(film), Preprocess(9, fit)(Film(film.gray8())))


@given(side=st.integers(1, 4096), fit=st.sampled_from(RESIZE_MODES))
def test_json_round_trip(side, fit):
    preprocess = Preprocess(side, fit)
    assert Preprocess.from_json(json.loads(json.dumps(preprocess.to_json()))) == preprocess


def test_to_json_by_the_specification():
    stated = {"version": 1, "image_size": 224, "resize_mode": "stretch", "filter": "bilinear-antialiased"}
    assert Preprocess().to_json() == stated


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "expected version 1, received 2"),
        ({"filter": "bilinear"}, "expected filter 'bilinear-antialiased', received 'bilinear'"),
        ({"image_size": "224"}, "expected an image_size of 1 to 4096 pixels, received '224'"),
        ({"resize_mode": "squeeze"}, "expected resize_mode to be one of stretch, crop, pad, received 'squeeze'"),
        ({"resize_mode": ["pad"]}, "expected resize_mode to be one of"),
        ({"mean": 0.5}, "expected version, image_size, resize_mode, filter, received"),
    ],
)
def test_other_values_raise(change, message):
    with pytest.raises(BundleError, match=message):
        Preprocess.from_json(Preprocess().to_json() | change)


def test_missing_keys_raise():
    with pytest.raises(
        BundleError, match="expected version, image_size, resize_mode, filter, received version, filter"
    ):
        Preprocess.from_json({"version": 1, "filter": "bilinear-antialiased"})


@pytest.mark.parametrize("side", [0, -1, 4097, 2.0, True])
def test_an_image_size_out_of_range_raises(side):
    with pytest.raises(UsageError, match="expected an image_size of 1 to 4096 pixels"):
        Preprocess(side)


def test_old_names_are_read():
    old = {"version": 1, "side": 96, "fit": "pad", "filter": "bilinear-antialiased"}
    assert Preprocess.from_json(old) == Preprocess(96, "pad")
    with pytest.raises(BundleError, match="expected version, image_size"):
        Preprocess.from_json(old | {"image_size": 96})


@pytest.mark.parametrize("vector", GOLDEN["colour"], ids=lambda vector: vector["name"])
def test_golden_vectors_in_colour(vector):
    pixels = np.frombuffer(bytes.fromhex(vector["pixels"]), np.uint8).reshape(vector["height"], vector["width"], 3)
    for square in vector["squares"]:
        found = Preprocess(square["side"], square["fit"], 3)(Film.of_rgb(pixels))
        assert found.tobytes().hex() == square["bytes"], square


def test_a_gray_film_is_three_equal_channels_of_a_colour_network():
    gray = noise(31, 20, 4)
    square = Preprocess(16, "pad", 3)(Film(gray))
    assert square.shape == (16, 16, 3)
    assert all(np.array_equal(square[:, :, k], Preprocess(16, "pad")(Film(gray))) for k in range(3))


def test_colour_is_stated_as_version_2():
    stated = Preprocess(16, "pad", 3).to_json()
    assert (stated["version"], stated["channels"]) == (2, 3)
    assert Preprocess.from_json(stated) == Preprocess(16, "pad", 3)
    assert "channels" not in Preprocess(16).to_json()
    for wrong in ({**stated, "version": 1}, {**stated, "channels": 2}, {**Preprocess(16).to_json(), "version": 2}):
        with pytest.raises(BundleError):
            Preprocess.from_json(wrong)
