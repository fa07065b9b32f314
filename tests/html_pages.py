"""What holds of every HTML page that we write."""

from __future__ import annotations

import re
from html.parser import HTMLParser


class _Tags(HTMLParser):
    """What is open, and what is pointed to."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "wbr", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.targets += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def assert_whole_and_silent(page: str) -> list[str]:
    """Every tag is closed, and nothing is fetched from anywhere; gives what `src` and `href` point to."""
    tags = _Tags()
    tags.feed(page)
    assert not tags.open
    assert all(target.startswith(("data:", "#")) for target in tags.targets)
    assert not re.search(r"https?://", page)
    assert "default-src 'none'" in page
    return tags.targets
