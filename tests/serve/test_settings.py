"""Who is let in."""

from __future__ import annotations

from pathlib import Path

import pytest

from lucency.errors import UsageError
from lucency.serve.settings import Tokens, open_tokens

ONE, TWO = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture(autouse=True)
def none_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LUCENCY_TOKENS", raising=False)


def test_those_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"# ward 3\n{ONE}\n\n  {TWO}  \n", encoding="utf-8")
    tokens = open_tokens(tmp_path / "tokens")
    assert tokens
    assert tokens.accepts(ONE)
    assert tokens.accepts(TWO)
    for wrong in ("", ONE[:-1], ONE + "0", ONE.upper(), "# ward 3", f"{ONE}\n", "é" * 16):
        assert not tokens.accepts(wrong)


def test_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not open_tokens(None)
    monkeypatch.setenv("LUCENCY_TOKENS", f"{ONE}, {TWO},")
    assert open_tokens(None).accepts(TWO)
    assert not open_tokens(None).accepts("")


@pytest.mark.parametrize(
    ("content", "printed"),
    [
        (b"", "expected a token on each line, found none"),
        (b"# nobody\n", "found none"),
        (f"{ONE}\nshort\n".encode(), "token 2 is too short"),
        (b"two words are no token\n", "token 1 is too short or not one word"),
        ("é".encode() * 20, "token 1"),
        (b"\xff\xfe\x00", "not a text file"),
    ],
)
def test_what_is_no_token(tmp_path: Path, content: bytes, printed: str) -> None:
    (tmp_path / "tokens").write_bytes(content)
    with pytest.raises(UsageError, match=printed):
        open_tokens(tmp_path / "tokens")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        open_tokens(tmp_path / "tokens")


def test_an_error_shows_no_token(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("secret", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        open_tokens(tmp_path / "tokens")
    assert "secret" not in str(caught.value)


def test_tokens_are_not_kept() -> None:
    assert ONE not in str(vars(Tokens([ONE])))
