"""What difference so many films can show: by the formula turned round, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from lucency.evaluate.paired import compare_right
from lucency.evaluate.power import detectable, detectable_against_a_like, detectable_share


def test_detectable_by_the_textbook() -> None:
    # z(0.975) + z(0.8) = 1.96 + 0.8416 = 2.8016
    assert detectable(1.0) == pytest.approx(norm.isf(0.025) + norm.isf(0.2))
    assert detectable_against_a_like(0.01, 0.5) == pytest.approx(detectable(0.01))
    assert detectable_against_a_like(0.01, 1.0) == 0


@pytest.mark.parametrize(("films", "differing"), [(624, 0.06), (200, 0.2), (5000, 0.01)])
def test_share_solves_connors_equation(films: int, differing: float) -> None:
    d = detectable_share(films, differing)
    assert d is not None
    needed = (norm.isf(0.025) * np.sqrt(differing) + norm.isf(0.2) * np.sqrt(differing - d**2)) ** 2 / d**2
    assert needed == pytest.approx(films, rel=1e-6)


def test_too_few_films_show_nothing() -> None:
    assert detectable_share(5, 0.1) is None
    assert detectable_share(100, 0.0) is None


def test_the_difference_promised_is_found_four_times_in_five() -> None:
    films, differing = 400, 0.1
    d = detectable_share(films, differing)
    assert d is not None
    rng = np.random.default_rng(0)
    share = [(differing + d) / 2, (differing - d) / 2, 1 - differing]
    found = 0
    for _ in range(600):
        which = rng.choice(3, size=films, p=share)
        found += compare_right(which != 1, which != 0, np.arange(films)).mid_p < 0.05
    assert found / 600 == pytest.approx(0.8, abs=0.06)
