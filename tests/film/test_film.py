"""Film: what every reader returns."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from lucency.film import Film


def test_sixteen_bits_become_the_nearest_of_256_levels():
    # 65535 / 255 = 257, so level k stands at 257 k and the halfway point to the next at 257 k + 128.5.
    values = np.array([[0, 128, 129, 257, 257 + 128, 257 + 129, 65535 - 129, 65535 - 128, 65535]], dtype=np.uint16)
    assert Film(values).gray8().tolist() == [[0, 0, 1, 1, 1, 2, 254, 255, 255]]


def test_every_sixteen_bit_value_follows_the_formula():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = [[(v * 255 + 32767) // 65535 for v in row] for row in values.tolist()]
    assert Film(values).gray8().tolist() == expected


def test_eight_bits_stay_as_they_are():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(Film(values).gray8(), values)


def test_a_film_cannot_be_written_to_and_its_source_can():
    source = np.zeros((2, 3), dtype=np.uint8)
    film = Film(source)
    with pytest.raises(ValueError, match="read-only"):
        film.pixels[0, 0] = 1
    source[0, 0] = 1


def test_a_film_survives_the_way_to_another_process():
    film = Film(np.arange(6, dtype=np.uint16).reshape(2, 3), "a.png", {"view": "PA"})
    copy = pickle.loads(pickle.dumps(film))
    assert np.array_equal(copy.pixels, film.pixels)
    assert (copy.name, copy.facts, copy.shape) == ("a.png", {"view": "PA"}, (2, 3))
    assert not copy.pixels.flags.writeable


def test_foreign_byte_order_is_made_native():
    assert Film(np.array([[258]], dtype=">u2")).pixels.dtype.isnative
    assert Film(np.array([[258]], dtype=">u2")).pixels[0, 0] == 258


def test_what_is_printed_of_a_film_names_nobody():
    film = Film(np.zeros((2, 3), dtype=np.uint8), "/ward/DOE_JANE.dcm", {"patient": "12345"})
    assert repr(film) == str(film) == "Film(2x3, uint8)"


@pytest.mark.parametrize("pixels", [np.zeros((0, 3), np.uint8), np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2))])
def test_what_is_no_gray_picture_is_no_film(pixels):
    with pytest.raises(ValueError, match="expected uint8 or uint16"):
        Film(pixels)
