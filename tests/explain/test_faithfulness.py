"""Faithfulness over many films: figures by hand, random maps at chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lucency.data import read_dataset
from lucency.errors import SourceError
from lucency.explain import BoundExplainer
from lucency.explain.faithfulness import (
    RANDOM,
    Case,
    Cases,
    Networks,
    estimate_means,
    evaluate_explainers,
    gather_cases,
    random_map,
    score_maps,
    square_mask,
)
from lucency.preprocess import Preprocess

SIDE = 28


def case(number: int, lesion: bool = True) -> Case:
    """Lungs: the upper half. Lesion: a bright square of 7 × 7 of 28 × 28, a sixteenth of the film, in a place drawn."""
    rng = np.random.default_rng(number)
    top, left = rng.integers(0, 7), rng.integers(0, 21)
    mask, lungs = np.zeros((SIDE, SIDE), bool), np.zeros((SIDE, SIDE), bool)
    mask[top : top + 7, left : left + 7] = True
    lungs[:14] = True
    return Case(f"{number}.png", np.where(mask, 200, 40).astype(np.uint8), number, mask if lesion else None, lungs)


def brightness(films: np.ndarray) -> np.ndarray:
    """The share of the bright square that is left."""
    return np.minimum((films > 120).sum((1, 2)) / 49, 1.0)


CASES = Cases(tuple(map(case, range(40))))


def named(columns: dict[str, np.ndarray]) -> dict[str, float | None]:
    return {figure.name: figure.value for figure in estimate_means(columns, CASES.groups, 200)}


def test_a_perfect_map() -> None:
    scored = score_maps("perfect", lambda gray: (gray > 120).astype(np.float32), CASES, brightness)
    found = named(dict(scored.columns))
    for name in ("pointing", "energy_in_lesion", "precision", "iou", "energy_in_lungs"):
        assert found[name] == pytest.approx(1)
    assert found["lesion_share"] == pytest.approx(1 / 16)
    assert found["energy_over_chance"] == pytest.approx(16)
    assert found["lungs_share"] == pytest.approx(1 / 2)
    assert found["deletion"] is not None
    assert found["deletion"] < 0.1
    assert "occlusion" not in found


def test_a_random_map_scores_at_chance() -> None:
    """Chance is the share of the film, within three standard errors: sqrt(1/16 · 15/16 / 400) = 0.012 of pointing."""
    cases = Cases(tuple(map(case, range(400))))
    numbers = iter(range(400))
    scored = score_maps(RANDOM, lambda _: random_map(next(numbers)), cases, brightness)
    found = {figure.name: figure for figure in estimate_means(scored.columns, cases.groups, 200)}
    assert found["pointing"].value == pytest.approx(1 / 16, abs=0.036)
    assert found["energy_in_lesion"].value == pytest.approx(1 / 16, abs=0.02)
    assert found["energy_over_chance"].value == pytest.approx(1, abs=0.15)
    assert found["energy_in_lungs"].value == pytest.approx(1 / 2, abs=0.03)


def test_films_without_lesion_mask_are_left_out_of_lesion_figures() -> None:
    cases = Cases((*map(case, range(10)), *(case(number, lesion=False) for number in range(10, 30))))
    scored = score_maps("even", lambda gray: np.ones((4, 4), np.float32), cases, brightness)
    counts = {figure.name: figure.films for figure in estimate_means(scored.columns, cases.groups, 100)}
    assert counts["pointing"] == counts["iou"] == counts["energy_over_chance"] == 10
    assert counts["energy_in_lungs"] == counts["deletion"] == 30


def test_no_film_has_a_lesion_mask() -> None:
    cases = Cases(tuple(case(number, lesion=False) for number in range(6)))
    scored = score_maps("even", lambda gray: np.ones((1, 1), np.float32), cases, brightness)
    names = {figure.name for figure in estimate_means(scored.columns, cases.groups, 100)}
    assert names == {"energy_in_lungs", "lungs_share", "deletion", "insertion"}


def test_an_explainer_without_evidence_has_no_nan() -> None:
    silent = BoundExplainer("silent", lambda gray, finding: np.zeros((7, 7), np.float32))
    results = evaluate_explainers([silent], 0, brightness, silent, CASES, Networks(), 200)
    assert [row.method for row in results] == ["silent", RANDOM]
    found = {figure.name: figure.value for figure in results[0].figures}
    assert found["pointing"] == found["energy_in_lesion"] == found["occlusion"] == 0
    assert results[0].failed is None
    assert all(figure.value is not None for row in results for figure in row.figures)


def test_intervals_are_by_patient() -> None:
    """Forty films of four patients give a wider interval than forty of forty patients."""
    columns = {"pointing": np.repeat([1.0, 0.0, 1.0, 0.0], 10) + np.random.default_rng(0).normal(0, 0.01, 40)}
    (alone,) = estimate_means(columns, np.arange(40), 500)
    (shared,) = estimate_means(columns, np.repeat(np.arange(4), 10), 500)
    assert alone.value == shared.value
    assert alone.low is not None
    assert shared.low is not None
    assert alone.low > shared.low


def test_one_patient_has_no_interval() -> None:
    (found,) = estimate_means({"pointing": np.array([1.0, 0.0, 1.0])}, np.zeros(3, np.int64), 100)
    assert found.value == pytest.approx(2 / 3)
    assert found.low is None
    assert found.high is None
    assert str(found) == "0.667"


def test_gather_cases_takes_positive_films_with_masks() -> None:
    films = read_dataset("phantom:30:3")
    preprocess = Preprocess(image_size=32, resize_mode="crop")
    cases = gather_cases(films, preprocess, lambda gray: gray > 300, 0, 8)
    assert len(cases.films) == 8
    assert all(case.lesion is not None and case.lesion.shape == (32, 32) for case in cases.films)
    every = gather_cases(films, preprocess, lambda gray: gray > 300, 0, 0)
    assert len(every.films) == films.class_counts()["pneumonia"]
    positive = {record.name for record in films.samples if record.label == 1}
    assert {case.name for case in every.films} == positive


def test_boxes_from_csv_are_cropped_like_the_film(tmp_path: Path) -> None:
    """A box over the upper left quarter of a film of 40 × 20: cropped to its middle, its right half is left."""
    from PIL import Image

    for name in ("a", "b"):
        Image.fromarray(np.arange(20 * 40, dtype=np.uint16).reshape(20, 40).astype(np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    lines = ["path,label,patient,x,y,width,height", "a.png,pneumonia,1,0,0,20,10", "b.png,normal,2,,,,"]
    (tmp_path / "films.csv").write_text("\n".join(lines) + "\n")
    films = read_dataset(tmp_path, "csv")
    (found,) = gather_cases(films, Preprocess(image_size=20, resize_mode="crop"), lambda gray: gray > 300, 0, 0).films
    assert found.lesion is not None
    assert found.lesion[:10, :10].all()
    assert found.lesion.sum() == 100


def test_no_positive_film_raises() -> None:
    films = read_dataset("phantom:30:3")
    normal = films.subset([index for index, record in enumerate(films.samples) if record.label == 0])
    with pytest.raises(SourceError, match="expected films with the finding"):
        gather_cases(normal, Preprocess(image_size=32), lambda gray: gray > 300, 0, 0)


def test_square_mask_follows_the_preprocessing() -> None:
    mask = np.zeros((8, 16), bool)
    mask[:, 4:8] = True
    assert square_mask(mask, Preprocess(image_size=8, resize_mode="crop"))[:, :4].all()
    assert not square_mask(mask, Preprocess(image_size=8, resize_mode="crop"))[:, 4:].any()
    assert square_mask(mask, Preprocess(image_size=8, resize_mode="stretch")).mean() == pytest.approx(1 / 4, abs=0.13)
