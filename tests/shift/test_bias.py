"""A set whose sharpness tells the class of most films and deceives on a few."""

from __future__ import annotations

import numpy as np

from data.films import as_films, chest
from lucency.audit.facts import gather
from lucency.data.donors import squares_of
from lucency.shift.bias import bias_only

N, DECEIVING = 120, 12


def test_the_baseline_is_wrong_where_acquisition_deceives() -> None:
    labels = [k % 2 for k in range(N)]
    as_class = [1 - label if k < DECEIVING else label for k, label in enumerate(labels)]
    films = as_films([chest(k, sharp=1.0 if of else 2.0) for k, of in enumerate(as_class)], labels)
    found = bias_only(gather(films), squares_of(films))
    deceiving = {record.name for record in films.records[:DECEIVING]}
    assert found.films == N
    assert found.auroc > 0.7
    assert len(deceiving & found.wrong) >= DECEIVING - 2
    assert len(found.wrong - deceiving) <= N // 10


def test_where_nothing_tells_the_baseline_guesses() -> None:
    labels = (np.random.default_rng(0).permutation(80) % 2).tolist()
    films = as_films([chest(k) for k in range(80)], labels)
    found = bias_only(gather(films), squares_of(films))
    assert 0.3 < found.auroc < 0.7
    assert len(found.wrong) > 20
