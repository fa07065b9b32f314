"""Labels dealt out anew."""

from __future__ import annotations

from lucency.data import read_films
from lucency.data.shuffled import shuffled_labels


def test_as_many_of_each_for_other_films() -> None:
    films = read_films("phantom:200")
    dealt = shuffled_labels(films, 0)
    assert dealt.counts() == films.counts()
    assert [record.name for record in dealt.records] == [record.name for record in films.records]
    changed = (dealt.label_array() != films.label_array()).mean()
    assert 0.35 < changed < 0.6  # with 3 of 5 ill, 2 · 3/5 · 2/5 = 0.48 of the films change
    assert (shuffled_labels(films, 0).label_array() == dealt.label_array()).all()
    assert (shuffled_labels(films, 1).label_array() != dealt.label_array()).any()
    assert (films.label_array() == read_films("phantom:200").label_array()).all()
