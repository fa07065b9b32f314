"""The overlay: what it marks, what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lucency.film import Film
from lucency.paint import BOX, FOR, LUNGS, contour, outlined, overlay
from lucency.preprocess import Preprocess

FILM = Film(np.full((120, 160), 90, np.uint8))


def spot(strength: float = 8.0) -> np.ndarray:
    """Evidence in two cells of 8 × 8, from rows 2 to 3 and column 5."""
    evidence = np.zeros((8, 8), np.float32)
    evidence[2:4, 5] = strength, 0.9 * strength
    return evidence


def where(picture: Image.Image, colour: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.nonzero((np.asarray(picture) == colour).all(axis=2))


def heat(picture: Image.Image) -> np.ndarray:
    pixels = np.asarray(picture).astype(int)
    return pixels[:, :, 0] - pixels[:, :, 2]


def test_the_box_bounds_the_strongest_cells() -> None:
    """Cells of 20 × 15 pixels: columns 100 to 120, rows 30 to 60."""
    rows, columns = where(overlay(FILM, spot(), Preprocess()), BOX)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (100, 120, 30, 60)


def test_the_overlay_leaves_the_film_far_from_the_evidence() -> None:
    picture = np.asarray(overlay(FILM, spot(), Preprocess()))
    assert (picture[:, :70] == 90).all()
    assert (picture[90:] == 90).all()


def test_the_film_shows_through_the_strongest_evidence() -> None:
    """At most a third of it is covered, away from lines."""
    gradient = Film(np.tile(np.linspace(0, 200, 160).astype(np.uint8), (120, 1)))
    picture = np.asarray(overlay(gradient, spot(), Preprocess(), smooth=False)).astype(int)
    row = picture[45, 104:117, 2]
    assert np.all(np.diff(row) >= 0)
    assert row[-1] > row[0]


def test_evidence_is_drawn_from_its_own_maximum() -> None:
    weak, strong = (overlay(FILM, spot(strength), Preprocess()) for strength in (3.0, 30.0))
    assert np.array_equal(np.asarray(weak), np.asarray(strong))


def test_faint_evidence_is_not_stretched() -> None:
    """A tenth of the scale's end is faint: no box, and a fainter veil."""
    faint = overlay(FILM, spot(0.5), Preprocess())
    assert len(where(faint, BOX)[0]) == 0
    assert 0 < heat(faint).max() < heat(overlay(FILM, spot(), Preprocess(), smooth=False)).max()


def test_evidence_against_is_not_drawn() -> None:
    assert (np.asarray(overlay(FILM, -spot(), Preprocess())) == 90).all()


def test_a_crop_places_evidence_in_its_middle() -> None:
    rows, columns = where(overlay(FILM, spot(), Preprocess(resize_mode="crop")), BOX)
    assert (columns.min(), columns.max()) == (20 + 75, 20 + 90)  # cells of 15 pixels, the crop starts at 20
    assert (rows.min(), rows.max()) == (30, 60)


def test_lungs_are_outlined_over_the_whole_film() -> None:
    lungs = -np.ones((24, 24), np.float32)
    lungs[6:18, 4:10] = 1
    for picture in (overlay(FILM, np.zeros((8, 8), np.float32), Preprocess(), lungs=lungs), outlined(FILM, lungs)):
        rows, columns = where(picture, LUNGS)
        assert abs(rows.min() - 30) <= 2
        assert abs(columns.max() - 160 * 10 / 24) <= 2
        assert (np.asarray(picture)[60, 45] == 90).all()  # nothing inside


def test_a_contour_by_hand() -> None:
    """One cell of 2 among zeros: level 1 is crossed half-way to each of its four neighbours, a diamond."""
    grid = np.zeros((3, 3), np.float32)
    grid[1, 1] = 2
    points = {tuple(point) for point in contour(grid, 1).reshape(-1, 2).round(6).tolist()}
    assert points == {(1.0, 1.5), (2.0, 1.5), (1.5, 1.0), (1.5, 2.0)}


@pytest.mark.parametrize("seed", range(5))
def test_contours_are_closed(seed: int) -> None:
    """Every end of a segment is the end of another one."""
    grid = np.random.default_rng(seed).normal(size=(9, 7)).astype(np.float32)
    ends = contour(grid, 0.2).reshape(-1, 2).round(6)
    _, counts = np.unique(ends, axis=0, return_counts=True)
    assert (counts % 2 == 0).all()


def test_contours_equal_scikit_images() -> None:
    measure = pytest.importorskip("skimage.measure")
    grid = np.pad(np.random.default_rng(1).normal(size=(8, 8)), 1, constant_values=-3).astype(np.float32)
    theirs = sum(np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in measure.find_contours(grid, 0.1))
    ours = np.linalg.norm(np.diff(contour(grid, 0.1), axis=1), axis=2).sum()
    assert ours == pytest.approx(theirs, rel=0.02)


def test_contours_are_drawn_in_the_evidence_colour() -> None:
    assert len(where(overlay(FILM, spot(), Preprocess()), FOR)[0]) > 20
