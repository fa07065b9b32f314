"""Who is on the films: keys, splits, and what a careless split would leak."""

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


def test_numbers_are_counted_apart_for_bacteria_and_virus() -> None:
    films = named(
        "train/PNEUMONIA/person7_bacteria_1.jpeg",
        "test/PNEUMONIA/person7_virus_2.jpeg",
        "test/PNEUMONIA/person8_virus_3.jpeg",
        "train/NORMAL/IM-0001-0001.jpeg",
    )
    assert count_patients(films).crossing == ()
    # person7 stands for two children, and the naive key takes them for one on both sides.
    expected = NaiveKey(2, 1, 1, 0, ("person7_bacteria", "person7_virus"))
    assert naive_key(films) == expected


def test_a_true_leak_is_a_leak_by_either_key() -> None:
    films = named("train/PNEUMONIA/person7_bacteria_1.jpeg", "test/PNEUMONIA/person7_bacteria_2.jpeg")
    assert count_patients(films).crossing == ("person7_bacteria",)
    found = naive_key(films)
    assert found is not None
    assert (found.merging, found.crossing, found.truly_crossing) == (0, 1, 1)


def test_no_person_no_naive_key() -> None:
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
        ([1, 1, 1, 1], 0.25, 0.0),  # nobody has a second film
        ([2, 2], 0.25, 1.0),  # one film aside, its sibling in training
        ([2, 2], 0.5, 2 / 3),  # two aside: the sibling is the other one once in three
        ([4], 1.0, 0.0),  # nothing is left to train on
        ([1, 2], 1 / 3, 2 / 3),  # one aside: two of three times one with a sibling
    ],
)
def test_sibling_leak_by_hand(sizes: list[int], share: float, leak: float) -> None:
    assert sibling_leak(sizes, share) == pytest.approx(leak)


def test_sibling_leak_by_drawing() -> None:
    rng = np.random.default_rng(0)
    sizes = [1, 1, 2, 3, 5, 8, 1, 4]
    who = np.repeat(np.arange(len(sizes)), sizes)
    aside = round(0.3 * len(who))
    seen = []
    for _ in range(4000):
        order = rng.permutation(who)
        seen.append(np.isin(order[:aside], order[aside:]).mean())
    assert sibling_leak(sizes, 0.3) == pytest.approx(np.mean(seen), abs=4 * np.std(seen) / np.sqrt(len(seen)))
