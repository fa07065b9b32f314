"""`lucency pacs`: a DICOM node that answers films, and the state of its queue."""

from __future__ import annotations

import signal
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency import NOTICE
from lucency.cli.inputs import ShippedBundle
from lucency.cli.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Callable

    from lucency.dicom.deliver import Credentials
    from lucency.dicom.node import NodeConfig
    from lucency.dicom.queue import Queue


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
    from lucency.dicom.pull import fetch_all
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
