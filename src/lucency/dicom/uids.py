"""Unique identifiers that follow from what they name: the same film read by the same bundle has the same answer."""

from __future__ import annotations

import uuid

from pydicom.uid import UID

from lucency import __version__

_NAMESPACE = uuid.UUID("5f0a3c1e-7c4b-5d0e-9b57-6c7563656e63")
"""Ours, drawn once; it ends in the bytes of "lucenc"."""

IMPLEMENTATION = UID(f"2.25.{_NAMESPACE.int}")
"""Implementation Class UID (0002,0012) of the files and associations that are ours."""


def named(*parts: str) -> UID:
    """2.25 and the name-based UUID (RFC 9562, version 5) of `parts`, as PS3.5 B.2 makes a UID of a UUID."""
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, chr(10).join(parts)).int}")


def answer_uid(source: str, digest: str, what: str) -> UID:
    """The UID of one part of an answer.

    Args:
        source: SOP Instance UID of the film.
        digest: of the bundle that reads it.
        what: which part: the report, its series...
    """
    return named(source, digest, __version__, what)
