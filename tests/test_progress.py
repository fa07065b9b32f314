from __future__ import annotations

import pytest

from lucency import progress
from lucency.progress import clock, line, track


def test_track_yields_items_and_is_quiet_at_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(iter("abc"), "spelling")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_slow_work_shows_progress_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 1000, 15))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    assert list(track([1, 2], "reading films")) == [1, 2]
    assert "reading films     1/2  50%" in capsys.readouterr().err


def test_line_by_hand() -> None:
    assert line("reading", 25, 100, 10.0) == "reading    25/100  25%  2.5/s  0:30 left"
    assert line("reading", 7, None, 2.0) == "reading     7  3.5/s"


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3661, "1:01:01")])
def test_clock_by_hand(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_items_may_be_worth_several_films(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock_ = iter(range(0, 1000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock_)))
    assert list(progress.track(["ab", "c"], "reading", 3, worth=len)) == ["ab", "c"]
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == ["2/3", "3/3", "3/3"]


def test_a_short_last_batch_does_not_pass_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_ = iter(range(0, 1000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock_)))
    list(progress.track([0, 32], "reading", 40, worth=lambda _: 32))
    shown = capsys.readouterr().err.splitlines()
    assert shown[-1] == "reading    40/40 100%  0.7/s  0:00 left"
