"""Measurements of synthetic films."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lucency.audit.measurements import (
    CELLS,
    SIDE,
    THUMB,
    black_border,
    chroma,
    jpeg_quality,
    letters,
    measure_file,
    measure_films,
    pixel_digest,
    sharpness,
    thumbnail,
)
from lucency.errors import SourceError

from .films import films_of


def gray(level: int) -> np.ndarray:
    return np.full((SIDE, SIDE), level, dtype=np.uint8)


def test_sharpness_of_a_dot() -> None:
    assert sharpness(gray(100)) == 0
    square = gray(100)
    square[50, 50] = 110
    # 40 at the dot, 10 at each of four neighbours, among 222 × 222 inner pixels
    assert sharpness(square) == pytest.approx(80 / 222**2)


def test_black_borders() -> None:
    square = gray(100)
    square[:8] = 0
    square[:, -4:] = 12
    top, bottom, left, right = black_border(square)
    assert (top, bottom) == (1.0, pytest.approx(4 / 224))
    assert left == pytest.approx(8 / 224)
    assert right == pytest.approx((4 * 224 + 4 * 8) / (8 * 224))


@pytest.mark.parametrize("cell", range(len(CELLS)))
def test_letters_are_found_in_their_cell(cell: int) -> None:
    rows, columns = {0: 20, 1: 100, 2: 190}, {0: 20, 1: 100, 2: 190}
    place = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2)][cell]
    square = gray(60)
    y, x = rows[place[0]], columns[place[1]]
    square[y : y + 14, x : x + 4] = 250
    found = letters(square)
    assert found[cell] > 0
    assert sum(found) == pytest.approx(found[cell])


def test_broad_bright_areas_are_not_letters() -> None:
    square = gray(60)
    square[10:40, 10:40] = 250
    assert sum(letters(square)) == 0


def test_a_thumbnail_is_the_mean_of_its_block() -> None:
    square = np.repeat(np.repeat(np.arange(THUMB * THUMB).reshape(THUMB, THUMB) % 250, 7, axis=0), 7, axis=1)
    np.testing.assert_array_equal(thumbnail(square.astype(np.uint8)), square[::7, ::7])


def test_the_digest_depends_on_pixels_shape_and_depth() -> None:
    film = gray(9)
    other = film.copy()
    other[0, 0] += 1
    assert pixel_digest(film) == pixel_digest(np.asfortranarray(film)) == pixel_digest(film[:, ::-1])
    assert len({pixel_digest(one) for one in (film, other, film.astype(np.uint16), film[:100])}) == 4


def test_measure_films_keeps_readable_films(tmp_path: object) -> None:
    film = np.random.default_rng(0).integers(0, 256, (50, 60), dtype=np.uint8)
    facts = measure_films(films_of([film, film.T], [0, 1]))
    assert facts.rows["width"].tolist() == [60, 50]
    assert facts.rows["height"].tolist() == [50, 60]
    assert facts.rows["balance"][0] == pytest.approx(_balance(film), abs=1)
    assert not facts.unreadable


def _balance(film: np.ndarray) -> float:
    square = np.asarray(Image.fromarray(film).resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=float)
    return float(square[:, :112].mean() - square[:, 112:].mean())


def test_no_readable_film_raises(tmp_path: object) -> None:
    from lucency.data.dataset import Dataset, Sample
    from lucency.errors import FilmError

    def broken() -> None:
        raise FilmError("film.png: broken")

    with pytest.raises(SourceError, match=r"none of 1 could be read; the first: film\.png: broken"):
        measure_films(Dataset(("a", "b"), (Sample("film.png", 0, broken),), source="test"))  # type: ignore[arg-type]


@pytest.mark.parametrize("asked", [25, 50, 75, 90, 95])
def test_jpeg_quality_is_the_encoders(tmp_path: Path, asked: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    for mode in ("L", "RGB"):
        Image.fromarray(noise).convert(mode).save(tmp_path / "film.jpg", quality=asked)
        assert measure_file(tmp_path / "film.jpg")[1] == pytest.approx(asked, abs=1)


def test_the_standard_table_is_quality_50() -> None:
    assert jpeg_quality({0: [3688 // 64] * 40 + [3688 // 64 + 1] * 24}) == pytest.approx(50, abs=0.5)
    assert np.isnan(jpeg_quality(None))


@pytest.mark.parametrize(("suffix", "kind"), [(".png", "PNG"), (".tif", "TIFF"), (".jpg", "JPEG")])
def test_file_kind_is_by_content(tmp_path: Path, suffix: str, kind: str) -> None:
    Image.new("L", (8, 8), 7).save(tmp_path / f"film{suffix}")
    for name in (f"film{suffix}", "film.dcm"):
        if name == "film.dcm":
            (tmp_path / f"film{suffix}").rename(tmp_path / name)
        row = measure_file(tmp_path / name)
        assert row[0] == (tmp_path / name).stat().st_size
        assert row[3:] == (kind, "DICOM" if name == "film.dcm" else kind)


def test_dicom_and_unknown_files(tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(bytes(128) + b"DICM" + bytes(16))
    (tmp_path / "film.xyz").write_bytes(b"?" * 200)
    assert measure_file(tmp_path / "film")[3:] == ("DICOM", "")
    assert measure_file(tmp_path / "film.xyz")[3:] == ("", "")


def test_colour() -> None:
    assert chroma(Image.new("L", (90, 50), 200)) == 0
    assert chroma(Image.new("RGB", (90, 50), (80, 80, 80))) == 0
    assert chroma(Image.new("RGB", (90, 50), (200, 80, 100))) == pytest.approx(120)
