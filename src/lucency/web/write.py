"""Everything that the page is made of, and the page written whole into a folder."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lucency.bundle import Bundle
from lucency.bundle.golden import GOLDEN, parse_golden
from lucency.bundle.store import CARD
from lucency.errors import BundleError, OutputError
from lucency.files import sha256_bytes, unwritable
from lucency.web.words import translation

HERE = Path(__file__).resolve().parent
WORKER = "service-worker.js"
MARK = "// lucency page"
"""The first words of the service worker: a folder that holds it is a page, and may be replaced by one."""

CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'"
)
"""What the page may do, as it states itself: load from its own origin, connect nowhere else."""

ON_DEMAND = "litert/litert_wasm_"
"""Of the two runtimes a browser keeps the one that it can run."""


@dataclass(frozen=True)
class Page:
    """What was written."""

    out: Path
    """Its folder: serve it with any static server; over https, or on localhost, it can be installed."""
    version: str
    """SHA-256 over the names and hashes of all files, the bundle's card among them; a new one makes browsers reload."""
    files: int
    bytes: int
    """On disk; a server that compresses sends about a third."""


def write_page(bundle: Bundle, out: Path, texts: Path | None = None) -> Page:
    """Write the page that reads with `bundle` into the folder `out`, whole or not at all.

    A folder that holds such a page already is replaced; the service worker then brings browsers the new one.
    `texts` is a translated copy of the page's texts.js.

    Raises:
        UsageError: `texts` is no such copy.
        BundleError: the bundle holds no .tflite, or one of its files has changed.
        OutputError: `out` holds something else, or cannot be written.
    """
    if out.exists() and not _replaceable(out):
        raise OutputError(f"{out}: expected a new folder or an earlier page, found something else; choose another")
    files = page_files(bundle, texts)
    _write(out, files)
    version = _version(files)
    return Page(out, version, len(files), sum(map(len, files.values())))


def page_files(bundle: Bundle, texts: Path | None = None) -> dict[str, bytes]:
    """The page's files by their path below its address, its words those of `texts` where that is given.

    Raises:
        UsageError: `texts` is no translated copy of texts.js.
        BundleError: the bundle holds no .tflite, or one of its files has changed.
    """
    card = bundle.card
    if card.model.format != "litert":
        raise BundleError(
            f"{bundle.path}: expected a LiteRT bundle, came {card.model.format}; the page runs .tflite files only: "
            "lucency export RUN --to litert"
        )
    files = {path.name: path.read_bytes() for path in sorted((HERE / "page").iterdir())}
    files |= {"texts.js": translation(texts)} if texts else {}
    files |= {f"litert/{path.stem}": gzip.decompress(path.read_bytes()) for path in sorted(HERE.glob("runtime/*.gz"))}
    files["litert/LICENSE"] = (HERE / "runtime/LICENSE").read_bytes()
    files |= {f"bundle/{name}": content for name, content in _bundle_files(bundle).items()}
    files[WORKER] = _worker(files)
    return files


def _bundle_files(bundle: Bundle) -> dict[str, bytes]:
    """The card as it is, and what the page reads of the files that it lists."""
    wanted = [bundle.card.model.file, *(name for name in ("LICENSE", GOLDEN) if name in bundle.card.files)]
    files = {CARD: bundle.load(CARD)} | {name: bundle.read(name) for name in wanted}
    if GOLDEN in files:
        films = parse_golden(files[GOLDEN], str(bundle.path)).films
        files |= {name: bundle.read(name) for film in films for name in (film.film, film.square)}
    return files


def _version(files: Mapping[str, bytes]) -> str:
    listed = sorted(name for name in files if name != WORKER)
    return sha256_bytes("".join(f"{sha256_bytes(files[name])}  {name}\n" for name in listed).encode())


def _worker(files: Mapping[str, bytes]) -> bytes:
    """The service worker, told what to keep and under which version."""
    kept = sorted(name for name in files if name not in (WORKER, "index.html") and not name.startswith(ON_DEMAND))
    told = {
        '"VERSION"': json.dumps(_version(files)),
        '["FILES"]': json.dumps(["./", *kept]),
        '"POLICY"': json.dumps(CSP),
    }
    text = files[WORKER].decode()
    for gap, value in told.items():
        text = text.replace(gap, value)
    return text.encode()


def _replaceable(out: Path) -> bool:
    """Whether `out` is an empty folder or an earlier page."""
    if not out.is_dir() or out.is_symlink():
        return False
    worker = out / WORKER
    return not any(out.iterdir()) or (worker.is_file() and worker.read_text("utf-8", "replace").startswith(MARK))


def _write(out: Path, files: Mapping[str, bytes]) -> None:
    """Beside `out`, then in its place."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise unwritable(out, error) from error
    try:
        for name, content in files.items():
            (draft / "new" / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / "new" / name).write_bytes(content)
        if out.exists():
            out.rename(draft / "old")
        (draft / "new").rename(out)
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        _put_back(out, draft)


def _put_back(out: Path, draft: Path) -> None:
    """The earlier page, where the new one did not come to stand in its place; then nothing of the draft is left."""
    with contextlib.suppress(OSError):
        if (draft / "old").exists() and not out.exists():
            (draft / "old").rename(out)
    shutil.rmtree(draft, ignore_errors=True)
