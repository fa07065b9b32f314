"""Programs read an error's code and exit code; its words are for people."""

import pickle

import pytest

from lucency import errors
from lucency.errors import FILM_DAMAGED, FilmError, LucencyError
from lucency.film import open_film

CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, LucencyError)]


def test_error_codes_are_distinct() -> None:
    assert len({row.code for row in CLASSES}) == len(CLASSES)


@pytest.mark.parametrize("row", CLASSES, ids=lambda row: row.__name__)
def test_the_error_tree_in_the_docstring_is_complete(row: type[LucencyError]) -> None:
    drawn = next(line.split() for line in (errors.__doc__ or "").splitlines() if f" {row.__name__} " in f" {line} ")
    assert row.code in drawn


def test_a_prefix_keeps_code_and_finding() -> None:
    error = FilmError("found noise; expected PNG", code=FILM_DAMAGED, found="noise").prefixed("a.png")
    assert (str(error), error.code, error.found) == ("a.png: found noise; expected PNG", FILM_DAMAGED, "noise")


def test_errors_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(FilmError("broken", code=FILM_DAMAGED, found="noise")))
    assert (str(error), error.code, error.found) == ("broken", FILM_DAMAGED, "noise")


@pytest.mark.parametrize(
    ("content", "code"), [(b"\x89PNG\r\n\x1a\n", "film_damaged"), (b"text", "film_unsupported")], ids=["cut", "text"]
)
def test_film_errors_have_codes(content: bytes, code: str) -> None:
    with pytest.raises(FilmError) as caught:
        open_film(content)
    assert caught.value.code == code


def test_a_missing_film_has_its_own_code() -> None:
    with pytest.raises(FilmError) as caught:
        open_film("no-such-film.png")
    assert caught.value.code == "film_missing"
