"""Patients: keys, splits, and the leak of a random split."""

from __future__ import annotations

import numpy as np
import pytest

from lucency.audit.findings import NaiveKey, count_patients, naive_key, sibling_leak
from lucency.data.dataset import Dataset, Sample
from lucency.data.kermany import identify


def named(*paths: str) -> Dataset:
    """Films by path alone: split/CLASS/file."""
    records = []
    for path in paths:
        split, folder, file = path.split("/")
        label = int(folder == "PNEUMONIA")
        records.append(Sample(path, label, lambda: pytest.fail("decoded"), identify(file)[0], split))
    return Dataset(("normal", "pneumonia"), tuple(records), source="kermany")


def test_bacteria_and_virus_numbers_are_separate_patients() -> None:
    films = named(
        "train/PNEUMONIA/person7_bacteria_1.jpeg",
        "test/PNEUMONIA/person7_virus_2.jpeg",
        "test/PNEUMONIA/person8_virus_3.jpeg",
        "train/NORMAL/IM-0001-0001.jpeg",
    )
    assert count_patients(films).crossing == ()
    # person7 is two children; the naive key takes them for one patient in both splits.
    expected = NaiveKey(2, 1, 1, 0, ("person7_bacteria", "person7_virus"))
    assert naive_key(films) == expected


def test_a_true_leak_is_found_by_either_key() -> None:
    films = named("train/PNEUMONIA/person7_bacteria_1.jpeg", "test/PNEUMONIA/person7_bacteria_2.jpeg")
    assert count_patients(films).crossing == ("person7_bacteria",)
    found = naive_key(films)
    assert found is not None
    assert (found.merging, found.crossing, found.truly_crossing) == (0, 1, 1)


def test_names_without_person_have_no_naive_key() -> None:
    assert naive_key(named("train/NORMAL/IM-0001-0001.jpeg")) is None


def test_counts() -> None:
    found = count_patients(
        named(
            "train/NORMAL/IM-0001-0001.jpeg",
            "train/NORMAL/IM-0001-0002.jpeg",
            "train/PNEUMONIA/person1_virus_3.jpeg",
            "train/PNEUMONIA/nobody.jpeg",
        )
    )
    assert (found.known, found.nameless) == (2, 1)
    assert found.films_each == {1: 2, 2: 1}


@pytest.mark.parametrize(
    ("sizes", "share", "leak"),
    [
        ([1, 1, 1, 1], 0.25, 0.0),  # no patient has a second film
        ([2, 2], 0.25, 1.0),  # one film held out, its sibling in training
        ([2, 2], 0.5, 2 / 3),  # two held out: the sibling is the other one in one case of three
        ([4], 1.0, 0.0),  # no training films
        ([1, 2], 1 / 3, 2 / 3),  # one held out: in two of three cases one with a sibling
    ],
)
def test_sibling_leak_by_hand(sizes: list[int], share: float, leak: float) -> None:
    assert sibling_leak(sizes, share) == pytest.approx(leak)


def test_sibling_leak_by_simulation() -> None:
    rng = np.random.default_rng(0)
    sizes = [1, 1, 2, 3, 5, 8, 1, 4]
    patient = np.repeat(np.arange(len(sizes)), sizes)
    held = round(0.3 * len(patient))
    leaks = []
    for _ in range(4000):
        order = rng.permutation(patient)
        leaks.append(np.isin(order[:held], order[held:]).mean())
    assert sibling_leak(sizes, 0.3) == pytest.approx(np.mean(leaks), abs=4 * np.std(leaks) / np.sqrt(len(leaks)))
