"""Phantoms: ill and well differ by the lesion alone, and nothing else tells them apart."""

from __future__ import annotations

import csv
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lucency.data import read_dataset
from lucency.data.phantom import KINDS, draw, pneumonia, read, recognises, write_phantoms
from lucency.data.phantom.anatomy import draw_anatomy, draw_view, place
from lucency.data.phantom.chest import render, step
from lucency.errors import SourceError

SERIES = 400


@pytest.fixture(scope="module")
def drawn() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Of each film: nuisances (n, k), mean gray (n, 1), label, patient."""
    films = read(Path(f"phantom:{SERIES}:7"))
    pixels = [record.load().pixels for record in films.samples]
    mean = np.array([[film.mean()] for film in pixels])
    return np.array([nuisances(film) for film in pixels]), mean, films.label_array(), films.groups()


def nuisances(film: NDArray[np.generic]) -> list[float]:
    """What a shortcut could hold on to: size, aspect, corners, borders, brightest and sharpest outside the lungs."""
    gray = np.asarray(film, dtype=np.float64)
    height, width = gray.shape
    corners = [
        gray[rows, columns].mean() for rows in (slice(8), slice(-8, None)) for columns in (slice(8), slice(-8, None))
    ]
    rims = [float((line == 0).mean()) for line in (gray[0], gray[-1], gray[:, 0], gray[:, -1])]
    left, right = gray[: height // 2, : width // 9], gray[: height // 2, -width // 9 :]
    return [width, width / height, *corners, *rims, left.max(), right.max(), left.std(), right.std(), gray[-20:].mean()]


def held_out_auroc(features: NDArray[np.float64], labels: NDArray[np.int64], patients: NDArray[np.int64]) -> float:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(model, features, labels, groups=patients, cv=folds, method="decision_function")
    return float(roc_auc_score(labels, scores))


# ── One film


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), ill=st.booleans())
def test_the_truth_fits_the_film(seed: int, ill: bool) -> None:
    phantom = draw(seed, ill, side=96)
    height, width = phantom.film.shape
    assert phantom.film.dtype == np.uint8
    assert height == 96
    assert 96 <= width <= 128
    assert phantom.lesion.shape == phantom.lungs.shape == phantom.film.shape
    assert phantom.lesion.dtype == phantom.lungs.dtype == np.bool_
    assert not (phantom.lesion & ~phantom.lungs).any()
    assert phantom.lesion.any() == ill
    assert 0.1 < phantom.lungs.mean() < 0.6


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10**6), take=st.integers(0, 3))
def test_a_seed_draws_the_same_film_again(seed: int, take: int) -> None:
    first, second = draw(seed, True, 64, take), draw(seed, True, 64, take)
    np.testing.assert_array_equal(first.film, second.film)
    np.testing.assert_array_equal(first.lesion, second.lesion)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_ill_and_well_differ_by_the_lesion_alone(seed: int) -> None:
    ill, well = draw(seed, True), draw(seed, False)
    np.testing.assert_array_equal(ill.lungs, well.lungs)
    assume(ill.lesion.any())  # a ball may lie wholly behind the heart: one patient in some thousands, 3688 is one
    denser = ill.film.astype(int) - well.film
    far = ndimage.distance_transform_edt(~ill.lesion) > 0.35 * ill.film.shape[0]
    # Scatter alone reaches far from a lesion: a few of 255 grays, never darker by more than rounding
    assert denser[far].max(initial=0) <= 8
    assert denser.min() >= -8
    assert denser[ill.lesion].mean() > 3 * max(denser[~ill.lesion].mean(), 0.5)


def test_lungs_are_darker_than_what_surrounds_them() -> None:
    for seed in range(10):
        phantom = draw(seed, False, side=128)
        around = ndimage.binary_dilation(phantom.lungs, iterations=12) & ~ndimage.binary_dilation(
            phantom.lungs, iterations=3
        )
        assert phantom.film[phantom.lungs].mean() < phantom.film[around].mean() - 25


def test_the_heart_lies_to_the_patients_left() -> None:
    """Right half of the film: less lung there, in every patient."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        anatomy, view = draw_anatomy(rng), draw_view(rng)
        grid = place(anatomy, view, 128)
        low = render(anatomy, view, grid).lungs & (grid.y > 0.55 * anatomy.height)
        assert (low & (grid.x > 0)).sum() < (low & (grid.x < 0)).sum()


def test_a_patients_films_share_anatomy_and_not_exposure() -> None:
    first, second, other = draw(3, False, take=0), draw(3, False, take=1), draw(4, False, take=0)
    assert first.film.shape != second.film.shape or (first.film != second.film).any()
    assert pneumonia(3).kind == pneumonia(3).kind
    assert (first.film.shape != other.film.shape) or (first.film != other.film).any()


def test_a_larger_film_shows_the_same_chest() -> None:
    small, large = draw(5, True, side=128), draw(5, True, side=256)
    half = np.asarray(Image.fromarray(large.lungs).resize(small.lungs.shape[::-1]))
    assert (half & small.lungs).sum() / (half | small.lungs).sum() > 0.97


def test_step_by_hand() -> None:
    """3 t^2 - 2 t^3 with t = d / 2 + 1/2: at -1, -.5, 0, .5, 1 it is 0, 5/32, 1/2, 27/32, 1."""
    distances = np.array([-3, -1, -0.5, 0, 0.5, 1, 3], dtype=np.float32)
    np.testing.assert_allclose(step(distances, 2.0), [0, 0, 5 / 32, 1 / 2, 27 / 32, 1, 1], atol=1e-7)


# ── No shortcut


@pytest.mark.long
def test_nuisances_do_not_give_the_label_away(drawn) -> None:  # type: ignore[no-untyped-def]
    features, _, labels, patients = drawn
    # Chance is 0.5 with a standard error of 0.03 on 400 films
    assert held_out_auroc(features, labels, patients) < 0.6


def test_the_mean_gray_says_a_little(drawn) -> None:  # type: ignore[no-untyped-def]
    """Less air makes a whiter film, by less than films differ anyway."""
    _, mean, labels, _ = drawn
    assert 0.45 < roc_auc_score(labels, mean[:, 0]) < 0.7


def test_a_statistic_that_knows_the_lesion_tells_ill_from_well() -> None:
    """A lesion raises the gray of its place over the same place of the same patient when well."""
    rises = []
    for seed in range(30):
        ill, well = draw(seed, True, side=128), draw(seed, False, side=128)
        rises.append(ill.film[ill.lesion].mean() - well.film[ill.lesion].mean())
    assert min(rises) > 5


# ── The data set


def test_counts_patients_and_columns() -> None:
    films = read(Path("phantom:1000"))
    counts = films.class_counts()
    assert films.labels == ("normal", "pneumonia")
    assert films.source == "phantom"
    assert films.patients_known
    assert len(films) == 1000
    assert 1.3 < counts["pneumonia"] / counts["normal"] < 1.7
    assert 1.2 < 1000 / len(np.unique(films.groups())) < 1.4
    assert {record.columns["lesion"] for record in films.samples if record.label} == set(KINDS)
    assert {record.columns["lesion"] for record in films.samples if not record.label} == {"none"}
    assert {record.columns["cause"] for record in films.samples} == {"none", "bacteria", "virus"}
    assert len({record.name for record in films.samples}) == 1000


def test_a_patient_is_ill_on_all_films_or_on_none() -> None:
    films = read(Path("phantom:300"))
    states = {(record.patient, record.label) for record in films.samples}
    assert len(states) == len({patient for patient, _ in states})


def test_more_phantoms_begin_with_the_same() -> None:
    few, many = read(Path("phantom:6:3")), read(Path("phantom:20:3"))
    assert [r.name for r in few.samples] == [r.name for r in many.samples[:6]]
    np.testing.assert_array_equal(few.samples[5].load().pixels, many.samples[5].load().pixels)
    assert read(Path("phantom:6:4")).samples[0].content_hash != few.samples[0].content_hash


def test_mask_belongs_to_the_film() -> None:
    for record in read(Path("phantom:8")).samples:
        assert record.mask is not None
        assert record.mask().shape == record.load().shape
        assert record.mask().any() == bool(record.label)


def test_records_can_be_pickled() -> None:
    record = read(Path("phantom:4")).samples[1]
    again = pickle.loads(pickle.dumps(record))
    np.testing.assert_array_equal(again.load().pixels, record.load().pixels)


def test_read_films_recognises_phantoms() -> None:
    assert read_dataset("phantom:12").source == "phantom"
    assert len(read_dataset("phantom:12:9", source="phantom")) == 12


def test_written_phantoms_are_the_drawn_ones(tmp_path: Path) -> None:
    table = write_phantoms(tmp_path / "out", 7, seed=2)
    assert recognises(table.parent)
    written, fresh = read_dataset(table.parent), read(Path("phantom:7:2"))
    assert written.source == "phantom"
    assert written.labels == fresh.labels
    for ours, theirs in zip(written.samples, fresh.samples, strict=True):
        np.testing.assert_array_equal(ours.load().pixels, theirs.load().pixels)
        assert ours.mask is not None
        assert theirs.mask is not None
        np.testing.assert_array_equal(ours.mask(), theirs.mask())
        assert (ours.label, ours.patient, ours.columns) == (theirs.label, theirs.patient, theirs.columns)
    with table.open() as stream:
        assert len(list(csv.DictReader(stream))) == 7


@pytest.mark.parametrize("root", ["phantom:", "phantom:x", "phantom:5:x", "phantom:-3", "nowhere"])
def test_other_roots_are_refused(root: str) -> None:
    assert not recognises(Path(root))
    with pytest.raises(SourceError, match="expected phantom:N"):
        read(Path(root))


def test_more_films_than_are_listed_at_once_are_refused() -> None:
    with pytest.raises(SourceError, match="at most 1,000,000"):
        read(Path(f"phantom:{10**20}"))
