"""Damage is seen, and what is sound but not read is called by its name."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from film.damage import cut, dropped, flipped, zeroed
from lucency.errors import FILM_DAMAGED, FILM_UNSUPPORTED, FilmError
from lucency.film import open_film
from lucency.film.codestream import decode_jpeg2000, has_step, parse_jpeg

Y, X = np.mgrid[:512, :400]
NOISE = np.random.default_rng(0).normal(0, 3, Y.shape)
CHEST = np.clip(120 + 60 * np.cos(X / 60) * np.sin(Y / 80) + NOISE, 0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray = CHEST, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=85, **options)
    return stream.getvalue()


def coded(data: bytes) -> int:
    """Where the coded data begin."""
    return parse_jpeg(data).scans[0][0]


def noticed(data: bytes) -> bool:
    try:
        return "damage" in open_film(data).facts
    except FilmError as error:
        return error.code == FILM_DAMAGED


@pytest.mark.parametrize("damage", [zeroed, cut, flipped, dropped])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 4}], ids=str)
def test_damage_that_shows_is_refused_or_doubted(damage, options) -> None:
    sound, rng = jpeg(**options), random.Random(3)
    assert "damage" not in open_film(sound).facts
    changed = missed = 0
    for _ in range(40):
        broken = damage(sound, coded(sound), rng)
        try:
            there = np.asarray(Image.open(io.BytesIO(broken)))
        except OSError:
            there = np.zeros_like(CHEST)
        if there.shape != CHEST.shape or (abs(there.astype(int) - CHEST) > 16).mean() > 0.05:
            changed += 1
            missed += not noticed(broken)
    assert missed <= 0.05 * changed


def test_in_tiff_and_in_colour() -> None:
    stream = io.BytesIO()
    Image.fromarray(CHEST).save(stream, "TIFF", compression="jpeg")
    data = stream.getvalue()
    assert open_film(data).shape == CHEST.shape
    at = data.rindex(b"\xff\xda") + 400
    with pytest.raises(FilmError) as caught:
        open_film(data[:at] + bytes(300) + data[at + 300 :])
    assert caught.value.code == FILM_DAMAGED
    colour = jpeg(np.stack([CHEST] * 3, axis=2))
    assert "damage" not in open_film(colour).facts
    assert noticed(zeroed(colour, coded(colour), random.Random(1)))


def test_a_progressive_jpeg_without_its_last_scans() -> None:
    data = jpeg(progressive=True)
    layout = parse_jpeg(data)
    assert layout.is_refined
    last = data.rindex(b"\xff\xda")
    with pytest.raises(FilmError, match="scans are missing"):
        open_film(data[:last] + b"\xff\xd9")


def test_few_blocks_are_no_proof_of_a_step() -> None:
    """Noise across the edges of twelve blocks is even enough by chance in two small pictures of five."""
    rng = np.random.default_rng(0)
    small = [rng.normal(128, 12, (100, 100)).clip(0, 255).astype(np.uint8) for _ in range(200)]
    assert sum(map(has_step, small)) <= 2


def test_a_step_behind_one_block() -> None:
    stepped = CHEST.astype(int)
    stepped[200:208, 96:] += 12
    stepped[208:] += 12
    assert has_step(np.clip(stepped, 0, 255).astype(np.uint8))
    bordered = CHEST.copy()
    bordered[:64] = 30
    bordered[480:] //= 2
    assert not has_step(bordered)
    assert not has_step(CHEST)


def test_a_motion_photo_is_read() -> None:
    """A film clip behind the picture is none of our business, whatever bytes are in it."""
    data = jpeg()
    assert np.array_equal(open_film(data + b"\xff\xda" * 500 + bytes(5000)).pixels, open_film(data).pixels)


def test_long_texts_in_a_png_are_passed_over() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Report", "x" * 3_000_000)
    text.add_text("Packed", "y" * 3_000_000, zip=True)
    stream = io.BytesIO()
    Image.fromarray(CHEST).save(stream, "PNG", pnginfo=text)
    assert np.array_equal(open_film(stream.getvalue()).pixels, CHEST)


@pytest.mark.parametrize(
    ("marker", "bits", "words"),
    [(0xC3, 16, "a lossless JPEG"), (0xC1, 12, "a JPEG of 12 bits"), (0xC9, 8, "arithmetic"), (0xF7, 8, "JPEG-LS")],
)
def test_a_sound_jpeg_of_another_kind_is_called_by_its_name(marker, bits, words) -> None:
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    with pytest.raises(FilmError, match=words) as caught:
        open_film(bytes(data))
    assert caught.value.code == FILM_UNSUPPORTED


@pytest.mark.parametrize("ratios", [None, [10.0]], ids=["lossless", "lossy"])
def test_damage_inside_jpeg_2000(ratios: list[float] | None) -> None:
    """Its decoder makes a picture of any bytes; the range that it would clip to shows most that are wrong."""
    from openjpeg.utils import encode_array

    sound, rng = bytes(encode_array(CHEST, compression_ratios=ratios)), random.Random(5)
    pixels, damage = decode_jpeg2000(sound) or (CHEST, "not decoded")
    assert damage == ""
    assert np.array_equal(pixels, CHEST) if ratios is None else abs(pixels.astype(int) - CHEST).mean() < 5
    changed = missed = 0
    for _ in range(60):
        broken = bytearray(sound)
        at = sound.index(b"\xff\x93") + rng.randrange(60, 400)  # the coarse waves, which come first
        broken[at : at + 300] = rng.randbytes(300)
        try:
            there, damage = decode_jpeg2000(bytes(broken)) or (CHEST, "not decoded")
        except RuntimeError:
            continue
        if (abs(there.astype(int) - pixels) > 16).mean() > 0.05:
            changed += 1
            missed += not damage
    assert changed > 5
    assert missed <= 0.2 * changed


def test_jpeg_2000_in_dicom() -> None:
    from openjpeg.utils import encode_array

    for bits in (8, 12, 16):
        codes = (CHEST.astype(np.uint16) << (bits - 8)) + (CHEST >> 4 if bits > 8 else 0)
        coded = bytes(encode_array(codes.astype(np.uint8 if bits == 8 else np.uint16), bits_stored=bits))
        pixels, damage = decode_jpeg2000(coded) or (codes[:0], "not decoded")
        assert damage == ""
        assert np.array_equal(pixels, codes)
