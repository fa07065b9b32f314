"""Ways in which a coded film is damaged, from byte `start` on, where its coded data begin."""

from __future__ import annotations

import random


def flipped(data: bytes, start: int, rng: random.Random) -> bytes:
    broken = bytearray(data)
    for _ in range(20):
        broken[rng.randrange(start, len(data) - 2)] ^= 1 << rng.randrange(8)
    return bytes(broken)


def zeroed(data: bytes, start: int, rng: random.Random) -> bytes:
    at = rng.randrange(start, len(data) - 1002)
    return data[:at] + bytes(1000) + data[at + 1000 :]


def dropped(data: bytes, start: int, rng: random.Random) -> bytes:
    at = rng.randrange(start, len(data) - 702)
    return data[:at] + data[at + 700 :]


def cut(data: bytes, start: int, rng: random.Random) -> bytes:
    return data[: rng.randrange(start, len(data) - 2)] + b"\xff\xd9"
