"""The program `lucency`, and `python -m lucency`."""

import os
import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; Ctrl-C ends it while it is still being imported, too."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # nothing has begun that must be undone
    from lucency.cli import run
    from lucency.cli.terminal import run_program

    run_program(lambda: run(sys.argv[1:]))


if __name__ == "__main__":
    main()
