"""`lucency dicom`, `pacs` and `deid`: DICOM films answered with reports and overlays, or written without identity."""

from __future__ import annotations

import signal
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency import NOTICE
from lucency.cli import echo, one_line
from lucency.cli.inputs import JsonLines, ShippedBundle, print_json
from lucency.errors import SOME_UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from lucency.dicom.answer import Answer
    from lucency.dicom.deid import Pseudonyms
    from lucency.dicom.deliver import Credentials
    from lucency.dicom.node import NodeConfig
    from lucency.dicom.queue import Queue
    from lucency.reader import Reader


def dicom(
    films: Annotated[list[Path], typer.Argument(help="DICOM files.", metavar="FILM.dcm…")],
    out: Annotated[Path, typer.Option(help="Folder for the answers; they are named by their own UIDs.")],
    bundle: ShippedBundle = None,
    json: JsonLines = False,
) -> int:
    """Answer DICOM films with a TID 1500 structured report and a secondary capture of the map.

    The bundle decides which: frontal chest films, slices of CT or MRI, photographs in colour.

    The UIDs of an answer follow from the film's and the bundle's: what was answered already is left as it is. A film
    that is not answered (lateral, no chest, for processing, broken) is named with the reason; the exit code is then 3.

    Example: lucency dicom film.dcm --out answers
    """
    from lucency.errors import FilmError
    from lucency.progress import track
    from lucency.reader import Reader

    reader = Reader.open(bundle)
    unread = 0
    for path in track(films, "answering films"):
        try:
            _show(path, _written(path, reader, out), json)
        except FilmError as error:
            unread += 1
            print_json({"film": str(path), "error": str(error)}) if json else echo(f"{error}", err=True)
    if not json:
        echo(f"\n{NOTICE}")
    return SOME_UNREADABLE if unread else 0


def _written(path: Path, reader: Reader, out: Path) -> tuple[Answer, dict[str, Path]]:
    """Each part in a file of its own, those of an earlier run untouched: a UID names one content for ever.

    The overlay says of which film it is; a film of another content under the same UID is refused.
    """
    from lucency.dicom.acceptance import accept, conflict
    from lucency.dicom.answer import answer, content_of
    from lucency.files import write_bytes

    accepted = accept(_content(path), str(path), reader.card.modality)
    answered = answer(accepted, reader, datetime.now(), str(path))
    places = {part.what: out / f"{part.what}-{part.uid}.dcm" for part in answered.parts}
    if places["overlay"].exists() and content_of(places["overlay"]) not in ("", accepted.content):
        raise conflict().prefixed(str(path))
    for part in answered.parts:
        if not places[part.what].exists():
            write_bytes(places[part.what], part.content)
    return answered, places


def _show(path: Path, done: tuple[Answer, dict[str, Path]], json: bool) -> None:
    answered, places = done
    reading = answered.reading
    if json:
        files = {what: str(place) for what, place in places.items()}
        print_json({**reading.to_json(), "film": str(path), **files})
        return
    echo(f"{one_line(path)}  {reading.answer}")
    for what, place in places.items():
        echo(f"  {what}: {place}")


def deid(
    films: Annotated[list[Path], typer.Argument(help="DICOM files: CR, DX, SC or photographs.", metavar="FILM.dcm…")],
    out: Annotated[Path, typer.Option(help="Folder: one folder a pseudonym, files named by their new UIDs.")],
    key: Annotated[Path, typer.Option(help="File with the secret key; the same key gives the same pseudonyms.")],
    new_key: Annotated[bool, typer.Option("--new-key", help="Make the key first.")] = False,
    seen: Annotated[bool, typer.Option("--seen", help="You looked at the films: no text, no face is on them.")] = False,
    json: JsonLines = False,
) -> int:
    """Write films anew by DICOM's basic confidentiality profile (PS3.15 annex E), keeping only what is on a list.

    Patients, UIDs and dates are replaced alike in all films of one key. A film with text burnt in, or that may have
    some, and a photograph on which a face may be are refused with the reason; the exit code is then 3. Keep the key
    apart from the films, or destroy it.

    Example: lucency deid films/*.dcm --out given-away --key deid.key --new-key
    """
    from lucency.dicom.deid import make_key, read_key
    from lucency.errors import FilmError
    from lucency.progress import track

    if new_key:
        make_key(key)
    pseudonyms, refused = read_key(key), 0
    for path in track(films, "writing films anew"):
        try:
            place = str(_write_without_identity(path, out, pseudonyms, seen))
            print_json({"out": place}) if json else echo(place)
        except FilmError as error:
            refused += 1
            print_json({"film": str(path), "error": str(error)}) if json else echo(str(error), err=True)
    if refused:
        echo(f"\n{refused} of {len(films)} films were not written", err=True)
    return SOME_UNREADABLE if refused else 0


def _write_without_identity(path: Path, out: Path, pseudonyms: Pseudonyms, seen: bool) -> Path:
    from lucency.dicom.acceptance import conflict
    from lucency.dicom.deid import deidentify
    from lucency.files import write_bytes

    cleaned = deidentify(_content(path), pseudonyms, str(path), seen)
    place = out / cleaned.patient / f"{cleaned.uid}.dcm"
    for written in out.glob(f"*/{cleaned.uid}.dcm"):
        if written != place or written.read_bytes() != cleaned.content:
            raise conflict().prefixed(str(path))
    write_bytes(place, cleaned.content)
    return place


def _content(path: Path) -> bytes:
    from lucency.errors import FilmError
    from lucency.film.film import read_file

    try:
        return read_file(path)
    except FilmError as error:
        raise error.prefixed(str(path)) from None


pacs = typer.Typer(
    help="A DICOM node: films in, reports and overlays out.\n\n"
    "Example: lucency pacs serve --to dicom://ARCHIVE@pacs.example:104 --allow CR_ROOM_1",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)

SOME_DEAD = 1
"""Exit code where films were given up."""

QueueDir = Annotated[Path, typer.Option("--queue", help="Folder of the queue; only this node's user may look in.")]
To = Annotated[str, typer.Option(help="dicom://AET@host:port, dicoms://AET@host:port or https://host/dicom-web.")]
Title = Annotated[str, typer.Option(help="AE title of this node.")]
Certificate = Annotated[Path | None, typer.Option(help="PEM certificate of this node: it then speaks TLS only.")]
Key = Annotated[Path | None, typer.Option(help="PEM key of that certificate.")]
Authority = Annotated[Path | None, typer.Option(help="PEM certificates to trust; callers then show one, too.")]
Token = Annotated[Path | None, typer.Option(help="File with a bearer token for DICOMweb.")]


@pacs.command()
def serve(
    to: To,
    allow: Annotated[list[str], typer.Option(help="AE title that may send films; repeat for more.")],
    queue: QueueDir = Path("lucency-queue"),
    bundle: ShippedBundle = None,
    title: Title = "LUCENCY",
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 11112,
    associations: Annotated[int, typer.Option(min=1, help="Callers at once.")] = 8,
    largest: Annotated[int, typer.Option(min=1, max=256, help="MiB of an object at most.")] = 256,
    most_waiting: Annotated[int, typer.Option(min=1, help="Undelivered films at most.")] = 10_000,
    drop: Annotated[bool, typer.Option(help="Acknowledge what is not answered, too.")] = False,
    certificate: Certificate = None,
    key: Key = None,
    authority: Authority = None,
    token: Token = None,
) -> None:
    """Receive films by C-STORE, answer each with a report and an overlay, deliver them.

    Which films follows from the bundle: chest films as CR, DX and SC, slices as CT, MR and SC, photographs in colour.
    A film is acknowledged once it is on the disk, and answered exactly once whatever happens to this program. Stop it
    with Ctrl-C or SIGTERM; what waits goes on at the next start.

    Example: lucency pacs serve --to dicom://ARCHIVE@pacs.example:104 --allow CR_ROOM_1 --host 0.0.0.0
    """
    from threading import Event

    from lucency.dicom.deliver import Credentials, check_credentials, check_title, destination
    from lucency.dicom.node import NodeConfig
    from lucency.dicom.queue import Queue, lock
    from lucency.dicom.worker import IDLE_S, start
    from lucency.film.limits import limit_memory
    from lucency.reader import Reader

    credentials = Credentials(certificate, key, authority, token)
    check_credentials(credentials)
    for one in (title, *allow):
        check_title(one)
    send = destination(to, title, credentials)
    reader = Reader.open(bundle)
    limit_memory()
    waiting = Queue(queue)
    with closing(lock(queue)):
        stop = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        bounds = (associations, largest * 2**20, most_waiting, drop)
        config = NodeConfig(title, host, port, tuple(allow), *bounds, modality=reader.card.modality)
        close = _listen(config, waiting, reader.bundle.digest, credentials)
        threads = start(waiting, reader, send, stop)
        echo(f"{title} listens on {host}:{port}, answers to {_without_secret(to)}. {NOTICE}", err=True)
        while not stop.is_set():  # never stop.wait(): a signal that comes as it begins to block would not wake it
            time.sleep(IDLE_S)
        close()
        for thread in threads:
            thread.join()


def _listen(config: NodeConfig, waiting: Queue, digest: str, credentials: Credentials) -> Callable[[], None]:
    from lucency.dicom.node import start_scp
    from lucency.errors import UsageError

    try:
        return start_scp(config, waiting, digest, credentials)
    except OSError as error:
        address, why = f"{config.host}:{config.port}", error.strerror or type(error).__name__
        raise UsageError(f"expected a free port, {address} cannot be used ({why}); choose another --port") from error


@pacs.command()
def pull(
    source: Annotated[str, typer.Argument(help="DICOMweb server, https://host/dicom-web.", metavar="URL")],
    to: To,
    where: Annotated[list[str], typer.Option(help="What to look for, as StudyDate=20240101-20240131; repeat.")],
    queue: QueueDir = Path("lucency-queue"),
    bundle: ShippedBundle = None,
    title: Title = "LUCENCY",
    certificate: Certificate = None,
    key: Key = None,
    authority: Authority = None,
    token: Token = None,
) -> int:
    """Fetch films of the bundle's kind from a DICOMweb server, answer them, deliver the answers, and stop.

    Films answered before are not fetched again. Exit code 1 if a film was given up or not returned by the server.

    Example: lucency pacs pull https://pacs.example/dicom-web --where StudyDate=20240105 --to https://pacs.example/dicom-web
    """
    from lucency.dicom.deliver import Credentials, check_credentials, check_title, destination, web_client
    from lucency.dicom.node import fetch_all
    from lucency.dicom.queue import Queue, lock
    from lucency.dicom.worker import working
    from lucency.reader import Reader

    credentials = Credentials(certificate, key, authority, token)
    check_credentials(credentials)
    check_title(title)
    query = dict(_pair(word) for word in where)
    send, client = destination(to, title, credentials), web_client(source, credentials)
    reader = Reader.open(bundle)
    waiting = Queue(queue)
    with closing(lock(queue)), working(waiting, reader, send):
        missed = fetch_all(client, query, waiting, reader.bundle.digest, modality=reader.card.modality)
    if missed:
        echo(f"{missed} films were not given by the server; the same command asks for them again", err=True)
    return _tell(waiting, json=False) or (SOME_DEAD if missed else 0)


def _pair(word: str) -> tuple[str, str]:
    from pydicom.datadict import tag_for_keyword

    from lucency.errors import UsageError

    keyword, _, value = word.partition("=")
    if not value or tag_for_keyword(keyword) is None:
        raise UsageError(
            f"expected --where KEYWORD=VALUE with a keyword of DICOM, got '{word}'; for example StudyDate=20240105"
        )
    return keyword, value


def _without_secret(address: str) -> str:
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2] if scheme.startswith('http') else rest}"


@pacs.command("list")
def show(
    queue: QueueDir = Path("lucency-queue"),
    json: Annotated[bool, typer.Option("--json", help="As JSON, for machines.")] = False,
) -> int:
    """Count films waiting, answered, delivered and given up, and say why these were. Exit code 1 if there are any.

    Example: lucency pacs list --queue lucency-queue
    """
    return _tell(_existing(queue, look=True), json)


@pacs.command()
def retry(queue: QueueDir = Path("lucency-queue")) -> None:
    """Retry films that were given up.

    Example: lucency pacs retry --queue lucency-queue
    """
    echo(f"{_existing(queue).retry()} films are tried again")


@pacs.command()
def forget(queue: QueueDir = Path("lucency-queue")) -> None:
    """Remove films that were given up and everything kept about them.

    Example: lucency pacs forget --queue lucency-queue
    """
    echo(f"{_existing(queue).forget_dead()} films forgotten")


def _tell(waiting: Queue, json: bool) -> int:
    """Print how many films are in which state, and why some were given up; the exit code."""
    from datetime import datetime
    from json import dumps

    counts, dead = waiting.counts(), waiting.dead()
    if json:
        given_up = [{"film": one.key, "received": one.received, "reason": one.reason} for one in dead]
        echo(dumps({**counts, "given_up": given_up}))
    else:
        echo("  ".join(f"{state} {count}" for state, count in counts.items()))
        for one in dead:
            when = datetime.fromtimestamp(one.received).isoformat(timespec="seconds")
            echo(f"  {one.key[:12]}  received {when}  {one.reason}")
    return SOME_DEAD if dead else 0


def _existing(folder: Path, look: bool = False) -> Queue:
    from lucency.dicom.queue import Queue
    from lucency.errors import UsageError

    if not (folder / "queue.sqlite").is_file():
        raise UsageError(f"{folder}: expected the folder of a queue, found none; name it with --queue")
    return Queue(folder, look)
