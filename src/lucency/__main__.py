"""The program `lucency`, and `python -m lucency`."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` imports others first, in which Ctrl-C ends in a traceback
import os
import sys

TYPE_CHECKING = False  # as typing's, which imports others as well
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; Ctrl-C ends it while it is still being imported, too."""
    if _signal.getsignal(_signal.SIGINT) != _signal.SIG_IGN:
        _signal.signal(_signal.SIGINT, lambda *_: os._exit(130))  # nothing has begun that must be undone
    from lucency.cli import run, run_program

    run_program(lambda: run(sys.argv[1:]))


if __name__ == "__main__":
    main()
