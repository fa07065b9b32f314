"""A translation of the page's words, held to the English ones before a page is written with it."""

from __future__ import annotations

import re
from pathlib import Path

from lucency.errors import UsageError

ENGLISH = Path(__file__).resolve().parent / "page/texts.js"
ENTRY = re.compile(r'^  (\w+):\s*"((?:[^"\\\n]|\\.)*)",$', re.MULTILINE)
PLACE = re.compile(r"\{\w+\}")
LABEL = "label_"
"""How names of a bundle's labels begin: a translation may add those of its own bundle, and leave out any."""


def translation(path: Path) -> bytes:
    """The file `path`, a translated copy of texts.js with every name of it and the same {places} in every text.

    Raises:
        UsageError: it cannot be read, lacks a name, has one too many, or a text has other places.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: expected a translated copy of {ENGLISH.name}, cannot be read: {error}") from error
    there, here = entries(ENGLISH.read_text(encoding="utf-8")), entries(text)
    odd = sorted(name for name in there.keys() ^ here.keys() if not name.startswith(LABEL))
    if "export const TEXTS" not in text or odd:
        told = ", ".join(odd[:5]) or "no TEXTS"
        raise UsageError(
            f'{path}: expected the names of {ENGLISH.name}, each with a "text"; missing or unknown: {told}'
        )
    for name in there.keys() & here.keys():
        places = [sorted(set(PLACE.findall(words[name]))) for words in (there, here)]
        if places[0] != places[1]:
            raise UsageError(f"{path}, {name}: expected the places {' '.join(places[0])}, came {' '.join(places[1])}")
    return text.encode()


def entries(text: str) -> dict[str, str]:
    """The texts by their names, as they stand between the quotes."""
    return dict(ENTRY.findall(text))
