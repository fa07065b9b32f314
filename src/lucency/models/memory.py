"""Memory that the process keeps instead of giving it back and asking again."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks for the next step of the same network.

    By default every block above 32 MiB is mapped anew and cleared page by page by the kernel, then given back: at
    224 pixels and 32 films most of a forward pass was spent there (docs/decisions.md). The process' peak is the same.

    Returns:
        whether it was done; on systems without glibc nothing changes.
    """
    if sys.platform != "linux":
        return False
    try:
        set_option = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(set_option(M_MMAP_THRESHOLD, 1 << 30) and set_option(M_TRIM_THRESHOLD, -1))  # -1: give nothing back
