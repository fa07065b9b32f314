"""Open, verify and write a bundle or run: a directory or a .zip, without links and paths that leave it.

Golden outputs, drawn films in it with its network's outputs for them, let a port check itself.
"""

from __future__ import annotations

import json
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from lucency.bundle.card import SCHEMA_VERSION, Card, FileName, Part
from lucency.errors import BundleError, OutputError
from lucency.files import beside, parse_json, scratch, sha256_bytes, unwritable, write_bytes, write_text

CARD = "card.json"
SUM = "card.sha256"
"""The card's own hash, in the format of `sha256sum -c`."""
SIGNATURE = "card.sig"
"""Signature of the card (lucency.bundle.sharing); optional."""
MAX_BYTES = 1 << 30
"""Limit of one file of a bundle, against zip bombs."""
MAX_TEXT_BYTES = 1 << 26
"""Limit of text, which takes many times its size once parsed."""
TEXT = (".json", ".sha256", ".sig")
AGAIN = "get the bundle again"

Load = Callable[[str], bytes]


@dataclass(frozen=True)
class Bundle:
    """A bundle whose card has been checked. Its files are checked as they are read."""

    path: Path
    card: Card
    digest: str
    """SHA-256 of card.json. The card holds the hash of every other file, so this identifies the whole bundle."""
    load: Load = field(repr=False)
    signature: bytes = b""
    """Of card.json, not checked (lucency.bundle.sharing does); empty if there is none."""

    def read(self, name: str) -> bytes:
        """The content of a file that the card lists.

        Raises:
            BundleError: not listed, missing, a link, or altered.
        """
        if name not in self.card.files:
            raise BundleError(f"{self.path}: {name} is not listed in {CARD}, so its content cannot be trusted")
        content = self.load(name)
        if sha256_bytes(content) != self.card.files[name]:
            raise BundleError(f"{self.path}: {name} has changed since the bundle was written; {AGAIN}")
        return content


def open_bundle(path: Path) -> Bundle:
    """Open a bundle or run: a directory or a .zip of one.

    Raises:
        BundleError: nothing there, no card, an altered card, or one from a newer lucency.
    """
    load = _open_store(path)
    text = load(CARD)
    digest = sha256_bytes(text)
    known = [line.split()[0] for line in load(SUM).decode("ascii", "replace").splitlines() if line.strip()]
    card = _parse(path, text)
    if digest not in known:
        raise BundleError(f"{path}: {CARD} is not the one that {SUM} was written for; {AGAIN}")
    return Bundle(path, card, digest, load, _signature(load))


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
        raise BundleError(f"{path}: {CARD} does not list the model file {bundle.card.model.file}; {AGAIN}")
    return bundle.card


def _signature(load: Load) -> bytes:
    try:
        return load(SIGNATURE)
    except BundleError:
        return b""


def _parse(path: Path, text: bytes) -> Card:
    try:
        content = parse_json(text)
        # A lone surrogate (`\ud800`), which JSON can state and no encoding can write, becomes `?`.
        content = parse_json(json.dumps(content, ensure_ascii=False).encode(errors="replace"))
    except ValueError as error:
        raise BundleError(f"{path}: {CARD} is not JSON ({error}); {AGAIN}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise BundleError(
            f"{path}: {CARD} has schema version {version}, this lucency reads up to {SCHEMA_VERSION}; upgrade lucency"
        )
    try:
        return Card.model_validate(content)
    except ValidationError as error:
        raise BundleError(f"{path}: {CARD} {describe_invalid(error)}") from error


def describe_invalid(error: ValidationError) -> str:
    """What is wrong with a card, to follow its path in an error message."""
    item: dict[str, Any] = dict(error.errors()[0])
    place = ".".join(str(part) for part in item["loc"] if part != "[key]")
    if item["loc"][-1:] == ("[key]",):
        return f"lists the file '{item['input']}', which leads out of the bundle or has an unsafe name; do not use it"
    if item["type"] == "extra_forbidden":
        return f"has a field this lucency does not know, '{place}'; upgrade lucency"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"is not valid{f' at {place}' if place else ''}: {message}"


def _open_store(path: Path) -> Load:
    """A function that loads a file of the bundle by name."""
    if path.is_dir():
        return lambda name: _from_directory(path, name)
    if not path.exists():
        raise BundleError(f"{path}: expected a bundle (a directory or .zip with {CARD}), found nothing")
    if not zipfile.is_zipfile(path):
        raise BundleError(f"{path}: expected a bundle (a directory or .zip with {CARD}), found another file")
    root = _zip_root(path)
    return lambda name: _from_zip(path, root, name)


def _from_directory(folder: Path, name: str) -> bytes:
    place = folder
    for part in _parts(folder, name):
        place = place / part
        if place.is_symlink():
            raise BundleError(f"{folder}: {name} is a link; a bundle holds its own files, copy the file in its place")
    try:
        _check_size(folder, name, place.stat().st_size)
        return place.read_bytes()
    except FileNotFoundError as error:
        raise _missing(folder, name) from error
    except OSError as error:
        raise BundleError(f"{folder}: {name} cannot be read ({error.strerror or error})") from error


def _from_zip(path: Path, root: str, name: str) -> bytes:
    inside = root + "/".join(_parts(path, name))
    try:
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(inside)
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise BundleError(f"{path}: {name} is a link; a bundle holds its own files, zip the file itself")
            _check_size(path, name, entry.file_size)
            return archive.read(entry)
    except KeyError as error:
        raise _missing(path, name) from error
    except (OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path}: {name} cannot be unpacked ({error}); {AGAIN}") from error


def _zip_root(path: Path) -> str:
    """The folder inside the zip with the card: "", or the directory that was zipped."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path}: cannot be unpacked ({error}); {AGAIN}") from error
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        raise BundleError(f"{path}: expected each file once, found '{name}' twice; do not use it")
    cards = [PurePosixPath(name) for name in names if PurePosixPath(name).name == CARD]
    shallowest = min(cards, key=lambda card: len(card.parts), default=None)
    if shallowest is None or len(shallowest.parts) > 2:
        raise BundleError(f"{path}: expected a bundle, the zip holds no {CARD}")
    return "" if len(shallowest.parts) == 1 else f"{shallowest.parts[0]}/"


def _parts(path: Path, name: str) -> tuple[str, ...]:
    parts = PurePosixPath(name).parts
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts or "\\" in name or ":" in name:
        raise BundleError(f"{path}: the file name '{name}' leads out of the bundle; do not use it")
    return parts


def _missing(path: Path, name: str) -> BundleError:
    return BundleError(f"{path}: {name} is missing; {'not a bundle' if name == CARD else AGAIN}")


def _check_size(path: Path, name: str, size: int) -> None:
    most = min(MAX_BYTES, MAX_TEXT_BYTES) if name.endswith(TEXT) else MAX_BYTES
    if size > most:
        raise BundleError(f"{path}: {name} is larger than {most >> 20} MB; not a bundle of this lucency")


def card_bytes(card: Card) -> bytes:
    """The content of card.json: two-space indents, UTF-8, one newline at the end."""
    return (card.model_dump_json(indent=2) + "\n").encode()


def write_bundle(out: Path, card: Card, files: Mapping[str, bytes | Path], replace: bool = False) -> Card:
    """Write `files` and the card that lists them, with their hashes, to the directory `out`.

    A new directory appears whole or not at all. Into an existing directory without a card (an unfinished run), the
    files are written first and the card last: without a card it is not a bundle.

    Returns:
        the card with `files` filled in.

    Raises:
        OutputError: `out` holds a bundle already and `replace` is False; it is a file; it cannot be written.
        BundleError: the card's model file is not among `files`, or a name leads out of the bundle.
    """
    contents = {name: item if isinstance(item, bytes) else item.read_bytes() for name, item in files.items()}
    listed = _with_hashes(out, card, contents)
    if (out / CARD).exists() and not replace:
        raise OutputError(f"{out}: holds a bundle already; choose another place with --out, or remove it first")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: expected a directory or nothing, found a file; choose another place with --out")
    if out.exists():
        _fill(out, listed, contents)
    else:
        _create(out, listed, contents)
    return listed


def write_card(path: Path, card: Card) -> None:
    """Replace the card of the bundle in the directory `path`; at every moment the bundle on disk is valid."""
    text = card_bytes(card)
    new = f"{sha256_bytes(text)}  {CARD}\n"
    old = (path / SUM).read_text(encoding="ascii") if (path / SUM).exists() else ""
    write_text(path / SUM, new + old)
    write_bytes(path / CARD, text)
    (path / SIGNATURE).unlink(missing_ok=True)  # of another card
    write_text(path / SUM, new)


def write_zip(path: Path, out: Path) -> None:
    """Pack the bundle in the directory `path` into the zip `out`, reproducibly.

    Raises:
        BundleError: it is not a bundle, or one of its files has changed.
        OutputError: `out` cannot be written.
    """
    bundle = open_bundle(path)
    contents = {name: bundle.load(name) for name in (CARD, SUM)}
    contents |= {name: bundle.read(name) for name in bundle.card.files}
    if bundle.signature:
        contents[SIGNATURE] = bundle.signature
    with beside(out) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name)  # its date is 1980-01-01
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)


def _with_hashes(out: Path, card: Card, contents: Mapping[str, bytes]) -> Card:
    if card.model.file not in contents:
        raise BundleError(f"{out}: the card names the model file {card.model.file}, which was not given")
    hashes = {name: sha256_bytes(contents[name]) for name in sorted(contents)}
    try:
        return Card.model_validate({**card.model_dump(), "files": hashes})
    except ValidationError as error:
        raise BundleError(f"{out}: {describe_invalid(error)}") from error


def _fill(out: Path, card: Card, contents: Mapping[str, bytes]) -> None:
    try:
        (out / CARD).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error
    for name, content in contents.items():
        write_bytes(out / name, content)
    write_card(out, card)


def _create(out: Path, card: Card, contents: Mapping[str, bytes]) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with scratch(out) as draft:
            _fill(draft, card, contents)
            draft.chmod(0o755)
            draft.rename(out)
    except OSError as error:
        raise unwritable(out, error) from error


FOLDER = "golden"
GOLDEN = f"{FOLDER}/golden.json"

Positive = Annotated[float, Field(gt=0)]


class Tolerance(Part):
    """Largest differences allowed of a port: sums round differently on other processors."""

    logit: Positive
    probability: Positive
    map: Positive
    """In logits, for any cell."""
    doubt: Positive


class GoldenFilm(Part):
    """One film and the outputs for it."""

    film: FileName
    """The film as it comes: a PNG of 8 bits, gray or RGB as the card's preprocessing."""
    square: FileName
    """The film preprocessed (docs/preprocessing.md), a PNG of side × side, to be reproduced in every byte."""
    logits: tuple[float, ...]
    """One per finding, before calibration."""
    probabilities: tuple[float, ...]
    """One per finding, by the card's calibration."""
    maps: tuple[tuple[tuple[float, ...], ...], ...]
    """One per finding, rows from the top, signed, in logits."""
    doubts: tuple[float, ...] = ()
    """One for each check of the card's gate."""


class Golden(Part):
    """golden/golden.json."""

    version: Literal[1] = 1
    tolerance: Tolerance
    films: Annotated[tuple[GoldenFilm, ...], Field(min_length=1)]


def golden_bytes(golden: Golden) -> bytes:
    """The content of golden.json."""
    return (golden.model_dump_json(indent=1) + "\n").encode()


def parse_golden(content: bytes, where: str) -> Golden:
    """The golden outputs of a bundle; `where` opens the message.

    Raises:
        BundleError: not JSON, or not valid by docs/bundle.md.
    """
    try:
        return Golden.model_validate(parse_json(content))
    except ValidationError as error:
        raise BundleError(f"{where}: {GOLDEN} {describe_invalid(error)}") from error
    except ValueError as error:
        raise BundleError(f"{where}: {GOLDEN} is not JSON ({error}); {AGAIN}") from error
