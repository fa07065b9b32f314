"""Write a bundle or run, whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from lucency.bundle.card import Card
from lucency.bundle.read import CARD, SUM, complaint, open_bundle
from lucency.errors import BundleError, OutputError
from lucency.files import beside, sha256_bytes, unwritable, write_bytes, write_text


def card_bytes(card: Card) -> bytes:
    """The card as it is written: two-space indents, UTF-8, one newline at the end."""
    return (card.model_dump_json(indent=2) + "\n").encode()


def write_bundle(out: Path, card: Card, files: Mapping[str, bytes | Path], replace: bool = False) -> Card:
    """Write `files` and the card that lists them, with their hashes, to the directory `out`.

    A new directory appears whole or not at all. Into a directory that is there already but holds no card (a run in
    the making), the files go first and the card last: without a card it is no bundle.

    Returns:
        the card with `files` filled in.

    Raises:
        OutputError: `out` holds a bundle already and `replace` is False; it is a file; it cannot be written.
        BundleError: the card's model file is not among `files`, or a name leads out of the bundle.
    """
    contents = {name: item if isinstance(item, bytes) else item.read_bytes() for name, item in files.items()}
    listed = _listing(out, card, contents)
    if (out / CARD).exists() and not replace:
        raise OutputError(f"{out}: holds a bundle already; choose another place with --out, or remove it first")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: expected a directory or nothing, found a file; choose another place with --out")
    if out.exists():
        _fill(out, listed, contents)
    else:
        _make(out, listed, contents)
    return listed


def write_card(path: Path, card: Card) -> None:
    """Replace the card of the bundle in the directory `path`; at every moment the bundle on disk is a valid one."""
    text = card_bytes(card)
    new = f"{sha256_bytes(text)}  {CARD}\n"
    old = (path / SUM).read_text(encoding="ascii") if (path / SUM).exists() else ""
    write_text(path / SUM, new + old)
    write_bytes(path / CARD, text)
    write_text(path / SUM, new)


def write_zip(path: Path, out: Path) -> None:
    """Pack the bundle in the directory `path` into the zip `out`; the same bundle always gives the same bytes.

    Raises:
        BundleError: it is not a bundle, or one of its files has changed.
        OutputError: `out` cannot be written.
    """
    bundle = open_bundle(path)
    contents = {name: bundle.load(name) for name in (CARD, SUM)}
    contents |= {name: bundle.read(name) for name in bundle.card.files}
    with beside(out) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name)  # its date is 1980-01-01
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)


def _listing(out: Path, card: Card, contents: Mapping[str, bytes]) -> Card:
    if card.model.file not in contents:
        raise BundleError(f"{out}: the card names the model file {card.model.file}, which was not given")
    hashes = {name: sha256_bytes(contents[name]) for name in sorted(contents)}
    try:
        return Card.model_validate({**card.model_dump(), "files": hashes})
    except ValidationError as error:
        raise BundleError(f"{out}: {complaint(dict(error.errors()[0]))}") from error


def _fill(out: Path, card: Card, contents: Mapping[str, bytes]) -> None:
    try:
        (out / CARD).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error
    for name, content in contents.items():
        write_bytes(out / name, content)
    write_card(out, card)


def _make(out: Path, card: Card, contents: Mapping[str, bytes]) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise unwritable(out, error) from error
    try:
        _fill(draft, card, contents)
        draft.chmod(0o755)
        draft.rename(out)
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(draft)
