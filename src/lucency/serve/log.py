"""One line for each request and each event: what happened, never with which film."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

Log = Callable[..., None]
"""(event, **facts); facts are numbers and words of ours, never a client's."""


def plain(event: str, **facts: Any) -> None:
    """`12:03:11 request: route=/v1/read status=200 ms=12` on stderr."""
    told = " ".join(f"{name}={value}" for name, value in facts.items())
    _tell(f"{time.strftime('%H:%M:%S')} {event}{': ' if told else ''}{told}")


def as_json(event: str, **facts: Any) -> None:
    """The same as one JSON object a line."""
    _tell(json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": event, **facts}))


def place_of(error: BaseException) -> str:
    """What kind of error, and where: all that may be told of it, since a message may quote a film's header."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at " + " < ".join(f"{Path(at.filename).name}:{at.lineno}" for at in frames[::-1])


def _tell(line: str) -> None:
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):  # nobody reads the log any more: that must not cost a film
        return
