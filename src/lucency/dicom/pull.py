"""Fetches films from a DICOMweb server: QIDO-RS finds them, WADO-RS brings them."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydicom import dcmwrite

from lucency.dicom.kinds import kind_of
from lucency.dicom.node import enqueue
from lucency.dicom.queue import Queue, key_of
from lucency.dicom.worker import IDLE_S, Log, log_line
from lucency.errors import FilmError, SourceError
from lucency.progress import track

if TYPE_CHECKING:
    from dicomweb_client.api import DICOMwebClient

PAGE = 100
"""Instances asked for at a time."""
AHEAD = 100
"""Films fetched and not delivered yet, at most: a year of them does not lie on our disk at once."""


def fetch_all(
    client: DICOMwebClient,
    query: dict[str, str],
    queue: Queue,
    digest: str,
    ahead: int = AHEAD,
    log: Log = log_line,
    modality: str = "chest_xray",
) -> int:
    """Put every film that matches on the queue, no faster than it is worked off; how many the server did not give.

    Args:
        client: of the server.
        query: as of `find`.
        queue: something must work it off meanwhile.
        digest: of the bundle that answers; a film that it has answered is not fetched.
        ahead: films that may be unfinished.
        log: called with each refusal.
        modality: the kind of picture that is answered.

    Raises:
        SourceError: the server does not answer the query.
    """
    missed = 0
    for study, series, instance in track(find(client, query, kind_of(modality).asked), "fetching films"):
        if queue.knows(instance, digest):
            continue
        while queue.unfinished() >= ahead:
            time.sleep(IDLE_S)
        try:
            enqueue(fetch(client, study, series, instance), queue, digest, ahead, modality=modality)
        except SourceError as error:
            missed += 1
            log("missed", key_of(instance), str(error))
        except FilmError as error:
            log("refused", key_of(instance), str(error))
    return missed


def find(client: DICOMwebClient, query: dict[str, str], modalities: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Study, series and instance UID of each image that matches.

    Args:
        client: of the server.
        query: DICOM keywords and values, such as StudyDate 20240101-20240131.
        modalities: to ask for where the query names none.

    Raises:
        SourceError: the server does not answer.
    """
    for modality in (query["Modality"],) if "Modality" in query else modalities:
        known: set[tuple[str, ...]] = set()
        while new := [one for one in _page(client, {**query, "Modality": modality}, len(known)) if one not in known]:
            yield from new
            known.update(new)  # a server that ignores the offset returns the first page forever
            if len(new) < PAGE:
                break


def fetch(client: DICOMwebClient, study: str, series: str, instance: str) -> bytes:
    """One film as a DICOM file.

    Raises:
        SourceError: the server does not give it.
    """
    import requests

    try:
        dataset = client.retrieve_instance(study, series, instance, media_types=(("application/dicom", "*"),))
    except (requests.RequestException, OSError, ValueError) as error:
        raise SourceError(f"expected a film from the server, got {type(error).__name__}; pull again") from error
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def _page(client: DICOMwebClient, query: dict[str, str], offset: int) -> list[tuple[str, str, str]]:
    found = _searched(client, query, offset)
    return [(_value(item, "0020000D"), _value(item, "0020000E"), _value(item, "00080018")) for item in found]


def _searched(client: DICOMwebClient, query: dict[str, str], offset: int) -> list[dict[str, Any]]:
    import requests

    try:
        return list(client.search_for_instances(search_filters=query, limit=PAGE, offset=offset))
    except (requests.RequestException, OSError, ValueError) as error:
        raise SourceError(
            f"expected a DICOMweb server that answers a query, got {type(error).__name__}; check address and token"
        ) from error


def _value(item: dict[str, Any], tag: str) -> str:
    return str(item.get(tag, {}).get("Value", [""])[0])
