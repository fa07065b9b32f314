"""Two readers' predictions compared: matching, signs, and what is reported where nothing differs."""

from __future__ import annotations

import numpy as np
import pytest

from lucency.errors import SourceError
from lucency.evaluate import judge
from lucency.evaluate.compare import compare, matched

from .samples import binary, drawn, several

LABELS = [0, 0, 0, 1, 1, 1]


def test_by_hand() -> None:
    first = binary(LABELS, [-1, -1, 1, 1, 1, -1])  # one false alarm, one miss
    second = binary(LABELS, [-1, -1, -1, 1, -1, -1])  # two misses
    (found,) = compare(first, second, resamples=100)
    by_name = {contrast.name: contrast for contrast in found.contrasts}
    assert by_name["accuracy"].difference == pytest.approx(4 / 6 - 4 / 6)
    assert by_name["sensitivity"].difference == pytest.approx(2 / 3 - 1 / 3)
    assert by_name["specificity"].difference == pytest.approx(2 / 3 - 1)
    balance = by_name["sensitivity"].balance
    assert balance is not None
    assert (balance.only_a, balance.only_b, balance.exact) == (1, 0, 1.0)


def test_films_are_matched_by_name() -> None:
    first = binary(LABELS, [-3, -2, 1, 2, 3, -1])
    shuffled = first.pick([5, 3, 1, 0, 2, 4])
    assert matched(first, shuffled).names == first.names
    (found,) = compare(first, shuffled, resamples=100)
    assert found.areas is not None
    assert (found.areas.difference, found.areas.p) == (0, 1)
    assert all(contrast.difference == 0 and contrast.detectable is None for contrast in found.contrasts)


def test_what_does_not_match_is_refused() -> None:
    first = binary(LABELS, [0.5] * 6)
    with pytest.raises(SourceError, match="1 are only in the first and 0 only in the second"):
        matched(first, first.pick([0, 1, 2, 3, 4]))
    with pytest.raises(SourceError, match="2 differ"):
        matched(first, binary([1, 0, 0, 1, 1, 0], [0.5] * 6))
    with pytest.raises(SourceError, match="same labels"):
        matched(first, several("multiclass", 6, 3))


def test_areas_are_those_of_judging() -> None:
    first, second = drawn(120, 1.0, seed=1), drawn(120, 1.0, seed=1)
    second = binary(
        second.labels.tolist(), (second.logits[:, 0] + np.arange(120) % 7).tolist(), patients=first.patients
    )
    (found,) = compare(first, second, (0.4, 0.6), resamples=200)
    assert found.areas is not None
    for report, value in ((judge(first, 0.4, 100), found.areas.a), (judge(second, 0.6, 100), found.areas.b)):
        assert report.measure("auroc").value == pytest.approx(value)
    accuracy = found.contrasts[0]
    assert accuracy.a == pytest.approx(judge(first, 0.4, 100).measure("accuracy").value)
    assert accuracy.low is not None
    assert accuracy.high is not None
    assert accuracy.low < accuracy.difference < accuracy.high  # type: ignore[operator]


def test_every_finding_of_several() -> None:
    first, second = several("multiclass", 60, 3, seed=1), several("multiclass", 60, 3, seed=1, apart=0.5)
    assert [one.finding for one in compare(first, second, resamples=100)] == ["finding 0", "finding 1", "finding 2"]
    assert all(
        one.to_json()["auroc"]["a"] >= one.to_json()["auroc"]["b"] for one in compare(first, second, resamples=100)
    )
