"""Films out of forms: whole whatever the pieces; anything else is refused in one line, never another error."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucency.serve.middleware import BadRequestError, Refusal, UnprocessableError
from lucency.serve.request_body import Form


def encoded(*films: bytes, field: str = "film") -> tuple[str, bytes]:
    """A form as httpx, which is not ours, writes it."""
    request = httpx.Request("POST", "http://here", files=[(field, ("Doe^John.png", film)) for film in films])
    return request.headers["content-type"], request.read()


def taken(content_type: str, body: bytes, step: int = 2**16, most: int = 8) -> list[bytes]:
    form = Form(content_type, most)
    for start in range(0, len(body), step):
        form.feed(body[start : start + step])
    return form.films()


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5), st.integers(1, 60))
def test_films_come_out_as_they_went_in(films: list[bytes], step: int) -> None:
    assert taken(*encoded(*films), step=step) == films


def test_quotes_case_and_a_field_without_a_file_name() -> None:
    body = b'--b\r\nCONTENT-DISPOSITION: form-data; name="film"\r\n\r\nabc\r\n--b--\r\n'
    assert taken('multipart/form-data; boundary="b"', body) == [b"abc"]


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_rubbish_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        taken("multipart/form-data; boundary=b", b"--b\r\n" + body)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=" + "b" * 2000])
def test_a_boundary_that_is_none(content_type: str) -> None:
    with pytest.raises(BadRequestError, match="cannot be parsed"):
        Form(content_type, 1)


def test_every_shortened_form_is_refused() -> None:
    content_type, body = encoded(b"film")
    end = len(body) - len(b"\r\n")  # what follows the last boundary's dashes says nothing more
    for length in range(end - 1):
        with pytest.raises(BadRequestError):
            taken(content_type, body[:length])


def test_another_part() -> None:
    with pytest.raises(UnprocessableError, match="expected parts named film, came another"):
        taken(*encoded(b"a", field="patient"))


def test_too_many() -> None:
    with pytest.raises(UnprocessableError, match="at most 2 films"):
        taken(*encoded(b"a", b"b", b"c"), most=2)
