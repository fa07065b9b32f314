from __future__ import annotations

import numpy as np
import pytest

from lucency.bundle import Bundle
from lucency.film import open_film
from lucency.reader import Reader
from lucency.score.table import SCHEMA, as_text, score_batch

from .films import write_films


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    manifest = write_films(tmp_path_factory.mktemp("table") / "films", 20)
    return [str(manifest.parent / name) for name in manifest.read_text().split()]


def test_rows_equal_the_readings(bundle: Bundle, paths: list[str]) -> None:
    reader = Reader(bundle)
    table = score_batch(paths, reader)
    assert table.schema.equals(SCHEMA)
    assert table["film"].to_pylist() == paths
    for row in table.to_pylist():
        if row["error_kind"] is None:
            reading = reader.read(open_film(row["film"]))
            assert (row["verdict"], row["called"], row["finding"]) == (reading.verdict, reading.called, reading.finding)
            assert np.float32(row["probability"]) == np.float32(reading.probability)
            assert np.float32(row["logit"]) == np.float32(reading.logit)
            assert tuple(row["warnings"]) == reading.warnings


def test_a_bad_film_affects_no_other(bundle: Bundle, paths: list[str]) -> None:
    kinds = score_batch(paths, Reader(bundle))["error_kind"].to_pylist()
    assert {number: kind for number, kind in enumerate(kinds) if kind} == {
        3: "not_a_film",
        7: "unreadable",
        11: "missing",
    }


def test_on_film_is_called_for_each_film(bundle: Bundle, paths: list[str]) -> None:
    calls = []
    score_batch(paths[:5], Reader(bundle), lambda: calls.append(1))
    assert len(calls) == 5


def test_a_failing_network_is_a_failure_of_the_film(
    bundle: Bundle, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(bundle)

    def fails(_: object) -> None:
        raise RuntimeError("who knows")

    monkeypatch.setattr(reader, "read", fails)
    assert score_batch(paths[:2], reader)["error"].to_pylist() == ["the network failed on it (RuntimeError)"] * 2


def test_no_film_gives_no_row(bundle: Bundle) -> None:
    assert score_batch([], Reader(bundle)).num_rows == 0


def test_names_that_are_no_utf8() -> None:
    assert as_text("a\udcff.png") == "a\\udcff.png"
    assert as_text("è.png") == "è.png"
