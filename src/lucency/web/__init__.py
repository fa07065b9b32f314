"""The installable page that reads on the device itself; see docs/web.md."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lucency.bundle import Bundle
from lucency.bundle.store import CARD, GOLDEN, parse_golden
from lucency.errors import BundleError, OutputError, UsageError
from lucency.files import scratch, sha256_bytes, unwritable
from lucency.interruption import undone
from lucency.lungs import SIDE, WEIGHTS
from lucency.modality import MODALITIES, Name

__all__ = ["CSP", "Page", "page_files", "write_page"]


HERE = Path(__file__).resolve().parent
ENGLISH = HERE / "page/i18n.js"
TEXT = re.compile(r'^  (\w+):\s*"((?:[^"\\\n]|\\.)*)",$', re.MULTILINE)
PLACE = re.compile(r"\{\w+\}")
OWN = re.compile(rf"^label_|_({'|'.join(MODALITIES)})$")
"""Names of a bundle's labels, and of texts for one kind of picture: a translation may add some, and leave out any."""
WORKER, KINDS, MANIFEST = "service-worker.js", "modality.js", "manifest.webmanifest"
MARK = "// lucency page"
"""The service worker begins with it: a folder that holds such a file is a page, and may be replaced by one."""

CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'"
)
"""The page's policy: load from its own origin, connect nowhere else."""

ON_DEMAND = ("litert/litert_wasm_", "codecs/")
"""Not kept with the rest: of the two runtimes a browser keeps the one that it can run, and a codec once it is used."""


@dataclass(frozen=True)
class Page:
    """What was written."""

    out: Path
    """Its folder."""
    version: str
    """SHA-256 over the names and hashes of all files; a new one makes browsers reload."""
    files: int
    bytes: int


def write_page(bundle: Bundle, out: Path, texts: Path | None = None) -> Page:
    """Write the page that reads with `bundle` into the folder `out`, whole or not at all.

    An earlier page there is replaced; the service worker then brings browsers the new one. `texts` is a translated copy
    of the page's i18n.js.

    Raises:
        UsageError: `texts` is not such a copy.
        BundleError: the bundle holds no .tflite, or one of its files has changed.
        OutputError: `out` holds something else, or cannot be written.
    """
    if out.exists() and not _replaceable(out):
        raise OutputError(f"{out}: expected a new folder or an earlier page, found something else; choose another")
    files = page_files(bundle, texts)
    _write(out, files)
    return Page(out, _version(files), len(files), sum(map(len, files.values())))


def page_files(bundle: Bundle, texts: Path | None = None) -> dict[str, bytes]:
    """The page's files by their paths, in the words of `texts` if given.

    Raises:
        UsageError: `texts` is not a translated copy of i18n.js.
        BundleError: the bundle holds no .tflite, or one of its files has changed.
    """
    card = bundle.card
    if card.model.format != "litert":
        raise BundleError(
            f"{bundle.path}: expected a LiteRT bundle, came {card.model.format}; the page runs .tflite files only: "
            "lucency export RUN --to litert"
        )
    if card.model.architecture is not None:
        raise BundleError(
            f"{bundle.path}: expected a bundle by lucency export; the page does not read networks imported as .tflite"
        )
    files = {path.name: path.read_bytes() for path in sorted((HERE / "page").iterdir())}
    files |= {ENGLISH.name: translation(texts)} if texts else {}
    for folder, place in (("runtime", "litert"), ("codecs", "codecs")):
        packed = sorted((HERE / folder).glob("*.gz"))
        files |= {f"{place}/{path.stem}": gzip.decompress(path.read_bytes()) for path in packed}
        files[f"{place}/LICENSE"] = (HERE / folder / "LICENSE").read_bytes()
    files[KINDS] = modality_module(card.modality)
    files[MANIFEST] = files[MANIFEST].replace(b"chest film", MODALITIES[card.modality].noun.encode())
    files |= _lung_files() if MODALITIES[card.modality].lungs else {}
    files |= {f"bundle/{name}": content for name, content in _bundle_files(bundle).items()}
    files[WORKER] = _worker(files)
    return files


def modality_module(kind: Name) -> bytes:
    """The page's modality.js: what the page knows of each row of MODALITIES, and the kind of picture that it reads."""
    rows = {
        name: {"channels": row.channels, "lungs": row.lungs, "sight": row.sight, "dicom": " ".join(sorted(row.dicom))}
        for name, row in MODALITIES.items()
    }
    lines = "".join(f"  {name}: {json.dumps(row)},\n" for name, row in rows.items())
    about = "// Made by lucency.web.modality_module: rows of lucency.modality, and the kind that this page reads."
    return f'{about}\nexport const MODALITIES = {{\n{lines}}};\nexport const KIND = "{kind}";\n'.encode()


def translation(path: Path) -> bytes:
    """The page's i18n.js with the texts of `path`, a translated copy of it, in place of the English ones.

    Only texts are taken from the copy, never code.

    Raises:
        UsageError: it cannot be read, lacks a name, has an unknown one, or a text has other {places}.
    """
    english = ENGLISH.read_text(encoding="utf-8")
    try:
        here = texts_of(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: expected a translated copy of {ENGLISH.name}, cannot be read: {error}") from error
    there = texts_of(english)
    odd = sorted(name for name in there.keys() ^ here.keys() if not OWN.search(name))
    if odd:
        names = ", ".join(odd[:5])
        raise UsageError(f"{path}: expected a text for each name of {ENGLISH.name}; missing or unknown: {names}")
    nouns = {f"{{{name}}}" for name in there}
    for name in there.keys() & here.keys():
        wanted, found = (sorted(set(PLACE.findall(texts[name])) - nouns) for texts in (there, here))
        if wanted != found:
            raise UsageError(f"{path}, {name}: expected the places {' '.join(wanted)}, came {' '.join(found)}")
    lines = "".join(f'  {name}: "{text}",\n' for name, text in here.items())
    return f"{english[: english.index(f'  {next(iter(there))}:')]}{lines}}};\n".encode()


def texts_of(source: str) -> dict[str, str]:
    """The texts of an i18n.js by name, as they stand between the quotes."""
    return dict(TEXT.findall(source))


def _bundle_files(bundle: Bundle) -> dict[str, bytes]:
    """The card, and those of its files that the page reads."""
    wanted = [bundle.card.model.file, *(name for name in ("LICENSE", GOLDEN) if name in bundle.card.files)]
    files = {CARD: bundle.load(CARD)} | {name: bundle.read(name) for name in wanted}
    if GOLDEN in files:
        films = parse_golden(files[GOLDEN], str(bundle.path)).films
        files |= {name: bundle.read(name) for film in films for name in (film.film, film.square)}
    return files


def _lung_files() -> dict[str, bytes]:
    """The network of `lucency.lungs`: the list of its arrays, and their values as float16, one after another."""
    with np.load(WEIGHTS) as stored:
        arrays = {name: stored[name] for name in stored.files if name != "side"}
        side = int(stored["side"]) if "side" in stored else SIDE
    layout = {"side": side, "arrays": [[name, array.size] for name, array in arrays.items()]}
    values = b"".join(array.astype("<f2").tobytes() for array in arrays.values())
    return {"lungs.json": json.dumps(layout).encode(), "lungs.bin": values}


def _version(files: Mapping[str, bytes]) -> str:
    listed = sorted(name for name in files if name != WORKER)
    return sha256_bytes("".join(f"{sha256_bytes(files[name])}  {name}\n" for name in listed).encode())


def _worker(files: Mapping[str, bytes]) -> bytes:
    """The service worker with the files that it keeps, and their version."""
    kept = sorted(name for name in files if name not in (WORKER, "index.html") and not name.startswith(ON_DEMAND))
    values = {
        '"VERSION"': json.dumps(_version(files)),
        '["FILES"]': json.dumps(["./", *kept]),
        '"POLICY"': json.dumps(CSP),
    }
    text = files[WORKER].decode()
    for gap, value in values.items():
        text = text.replace(gap, value)
    return text.encode()


def _replaceable(out: Path) -> bool:
    """Whether `out` is an empty folder or an earlier page."""
    if not out.is_dir() or out.is_symlink():
        return False
    worker = out / WORKER
    return not any(out.iterdir()) or (worker.is_file() and worker.read_text("utf-8", "replace").startswith(MARK))


def _write(out: Path, files: Mapping[str, bytes]) -> None:
    """Write beside `out`, then move into its place."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with scratch(out) as draft, undone(partial(_put_back, out, draft / "old")):
            for name, content in files.items():
                (draft / "new" / name).parent.mkdir(parents=True, exist_ok=True)
                (draft / "new" / name).write_bytes(content)
            if out.exists():
                out.rename(draft / "old")
            (draft / "new").rename(out)
    except OSError as error:
        raise unwritable(out, error) from error


def _put_back(out: Path, old: Path) -> None:
    """Restore the earlier page if the new one did not get into its place."""
    with contextlib.suppress(OSError):
        if old.exists() and not out.exists():
            old.rename(out)
