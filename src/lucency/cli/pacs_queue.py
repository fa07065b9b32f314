"""lucency pacs list, retry, forget: what became of the films that a node was sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lucency.dicom.queue import Queue

SOME_DEAD = 1
QueueDir = Annotated[Path, typer.Option("--queue", help="Folder of the queue; only this node's user may look in.")]


def show(
    queue: QueueDir = Path("lucency-queue"),
    json: Annotated[bool, typer.Option("--json", help="As JSON, for machines.")] = False,
) -> int:
    """How many films wait, are answered, delivered or given up; and of these, why. Exit code 1 where there are any.

    Example: lucency pacs list --queue lucency-queue
    """
    return tell(_existing(queue), json)


def retry(queue: QueueDir = Path("lucency-queue")) -> None:
    """Send films that were given up round again.

    Example: lucency pacs retry --queue lucency-queue
    """
    typer.echo(f"{_existing(queue).retry()} films go round again")


def forget(queue: QueueDir = Path("lucency-queue")) -> None:
    """Remove films that were given up, and all that is kept of them.

    Example: lucency pacs forget --queue lucency-queue
    """
    typer.echo(f"{_existing(queue).forget_dead()} films forgotten")


def tell(waiting: Queue, json: bool) -> int:
    """Print how many films are in which state, and why some were given up; the exit code."""
    from datetime import datetime
    from json import dumps

    counts, dead = waiting.counts(), waiting.dead()
    if json:
        given_up = [{"film": one.key, "received": one.received, "reason": one.reason} for one in dead]
        typer.echo(dumps({**counts, "given_up": given_up}))
    else:
        typer.echo("  ".join(f"{state} {count}" for state, count in counts.items()))
        for one in dead:
            when = datetime.fromtimestamp(one.received).isoformat(timespec="seconds")
            typer.echo(f"  {one.key[:12]}  received {when}  {one.reason}")
    return SOME_DEAD if dead else 0


def _existing(folder: Path) -> Queue:
    from lucency.dicom.queue import Queue
    from lucency.errors import UsageError

    if not (folder / "queue.sqlite").is_file():
        raise UsageError(f"{folder}: expected the folder of a queue, found none; name it with --queue")
    return Queue(folder)
