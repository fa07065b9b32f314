"""Open and verify a bundle or run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lucency.bundle.card import SCHEMA_VERSION, Card
from lucency.bundle.store import Load, open_store
from lucency.errors import BundleError
from lucency.files import sha256_bytes

CARD = "card.json"
SUM = "card.sha256"
"""The card's own hash, in the format of `sha256sum -c`."""


@dataclass(frozen=True)
class Bundle:
    """A bundle whose card has been checked. Its files are checked as they are read."""

    path: Path
    card: Card
    digest: str
    """SHA-256 of card.json. The card holds the hash of every other file, so this names the whole bundle."""
    load: Load = field(repr=False)

    def read(self, name: str) -> bytes:
        """The content of a file that the card lists.

        Raises:
            BundleError: not listed, missing, a link, or not the bytes that the card was written for.
        """
        if name not in self.card.files:
            raise BundleError(f"{self.path}: {name} is not listed in {CARD}, so its content cannot be trusted")
        content = self.load(name)
        if sha256_bytes(content) != self.card.files[name]:
            raise BundleError(f"{self.path}: {name} has changed since the bundle was written; get the bundle again")
        return content


def open_bundle(path: Path) -> Bundle:
    """Open a bundle or run: a directory or a .zip of one.

    Raises:
        BundleError: nothing there, no card, an altered card, or one from a newer lucency.
    """
    load = open_store(path)
    text = load(CARD)
    digest = sha256_bytes(text)
    known = [line.split()[0] for line in load(SUM).decode("ascii", "replace").splitlines() if line.strip()]
    card = _parse(path, text)
    if digest not in known:
        raise BundleError(f"{path}: {CARD} is not the one that {SUM} was written for; get the bundle again")
    return Bundle(path, card, digest, load)


def read_card(path: Path) -> Card:
    """The card of the bundle or run at `path`. Raises BundleError as `open_bundle` does."""
    return open_bundle(path).card


def verify(path: Path) -> Card:
    """Check every byte of a bundle or run against its card.

    Raises:
        BundleError: the first thing that is wrong.
    """
    bundle = open_bundle(path)
    for name in bundle.card.files:
        bundle.read(name)
    if bundle.card.model.file not in bundle.card.files:
        raise BundleError(f"{path}: {CARD} does not list the model file {bundle.card.model.file}; get it again")
    return bundle.card


def _parse(path: Path, text: bytes) -> Card:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise BundleError(f"{path}: {CARD} is not JSON ({error}); get the bundle again") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise BundleError(
            f"{path}: {CARD} has schema version {version}, this lucency reads up to {SCHEMA_VERSION}; upgrade lucency"
        )
    try:
        return Card.model_validate(content)
    except ValidationError as error:
        raise BundleError(f"{path}: {CARD} {complaint(dict(error.errors()[0]))}") from error


def complaint(item: dict[str, Any]) -> str:
    """What is wrong with a card, after its path, from one of pydantic's errors."""
    place = ".".join(str(part) for part in item["loc"] if part != "[key]")
    if item["loc"][-1:] == ("[key]",):
        return f"lists the file '{item['input']}', which leads out of the bundle or has an unsafe name; do not use it"
    if item["type"] == "extra_forbidden":
        return f"has a field this lucency does not know, '{place}'; upgrade lucency"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"is not valid{f' at {place}' if place else ''}: {message}"
