"""The DICOM node: C-ECHO and C-STORE from those who may, within bounds; and films fetched from a DICOMweb server."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydicom import Dataset, dcmwrite
from pydicom.uid import (
    AllTransferSyntaxes,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from lucency.dicom.acceptance import accept, kind_of
from lucency.dicom.common_attributes import IMPLEMENTATION
from lucency.dicom.deliver import DUPLICATE, Credentials, server_tls
from lucency.dicom.queue import Queue, key_of
from lucency.dicom.worker import IDLE_S, Log, log_line
from lucency.errors import FILM_CONFLICT, FILM_DAMAGED, FilmError, SourceError
from lucency.film.dicom import is_decodable
from lucency.film.limits import MAX_BYTES
from lucency.progress import track

if TYPE_CHECKING:
    from dicomweb_client.api import DICOMwebClient


SUCCESS, FULL, NOT_OURS = 0x0000, 0xA700, 0xA900
STATUS = {FILM_DAMAGED: 0xC000, FILM_CONFLICT: DUPLICATE}
"""C-STORE statuses, PS3.4 table B.2-1 and PS3.7 C: success, out of resources, data set does not match SOP class;
by the error's code, cannot understand and duplicate SOP instance."""
LARGEST_PDU = 2**20
"""Bytes that one unit of the protocol may claim. We ask for 16 KiB; an association request may be longer."""
CLOSED, UNNAMED = "Sta1", "Sta2"
"""States of a connection, PS3.8 table 9-10: none, and waiting for the request of an association."""
MAX_UNNAMED, NAMING_S = 64, 10.0
"""Connections that have not named themselves, a quarter of them from one host; seconds that each has for it."""
HANG_UP_S = 1.0
"""For which callers that have said nothing are waited for when the node closes."""
PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)


@dataclass(frozen=True)
class NodeConfig:
    """Who may send what to the node."""

    title: str = "LUCENCY"
    """Its AE title; a caller must know it."""
    host: str = "127.0.0.1"
    port: int = 11112
    callers: tuple[str, ...] = ()
    """AE titles that may call; all others are rejected."""
    associations: int = 8
    """Callers at once."""
    largest: int = MAX_BYTES
    """Bytes of an object."""
    most_waiting: int = 10_000
    """Films that are not delivered yet; at more, senders are asked to try again later."""
    drop: bool = False
    """Acknowledge what is not answered, instead of refusing it."""
    patience_s: float = 60.0
    """How long a caller may be silent."""
    modality: str = "chest_xray"
    """The kind of picture that is answered."""


def start_scp(
    config: NodeConfig, queue: Queue, digest: str, credentials: Credentials, log: Log = log_line
) -> Callable[[], None]:
    """Listen; what it gives back closes the node.

    Args:
        config: who may send what.
        queue: where films go before they are acknowledged.
        digest: of the bundle that will answer.
        credentials: with a certificate, TLS; with an authority too, callers must show one that it signed.
        log: gets a line for each film.

    Raises:
        OSError: the port is taken.
    """
    node = _Node(ae_title=config.title)
    node.implementation_class_uid = IMPLEMENTATION
    node.maximum_associations = config.associations
    node.require_called_aet = True
    node.require_calling_aet = list(config.callers)
    node.dimse_timeout = node.network_timeout = config.patience_s
    node.acse_timeout = min(NAMING_S, config.patience_s)
    node.add_supported_context(Verification)
    for kind in kind_of(config.modality).classes:
        node.add_supported_context(kind, readable_syntaxes())
    handlers: list[Any] = [
        (evt.EVT_CONN_OPEN, _bound, [config]),
        (evt.EVT_CONN_CLOSE, _give_place_back),
        (evt.EVT_DIMSE_RECV, _count_anew),
        (evt.EVT_C_STORE, _store, [config, queue, digest, log]),
    ]
    tls = server_tls(credentials) if credentials.certificate else None
    server = node.start_server((config.host, config.port), block=False, ssl_context=tls, evt_handlers=handlers)
    if server is None:
        raise OSError("the node could not be started")
    server.verify_request = lambda _, address: _has_place(server.active_associations, address[0])  # type: ignore[method-assign,assignment]

    def close() -> None:
        server.shutdown()
        _hang_up(server.active_associations)
        node.shutdown()

    return close


class _Node(AE):
    """An AE that counts as associations only those who have named themselves and are still there.

    pynetdicom counts every connection for as long as it waits for a first word, closed ones too.
    """

    @property
    def maximum_associations(self) -> int:
        """As pynetdicom compares it with all connections."""
        others = [one for one in self.active_associations if one.is_acceptor and _state(one) in (CLOSED, UNNAMED)]
        return int(self._maximum_associations) + len(others)

    @maximum_associations.setter
    def maximum_associations(self, value: int) -> None:
        self._maximum_associations = value


def _state(caller: Any) -> str:
    return str(caller.dul.state_machine.current_state)


def _has_place(callers: list[Any], host: str) -> bool:
    """Whether another connection that has not named itself is taken, in all and of one host."""

    def unnamed() -> list[str]:
        return [one.requestor.address for one in callers if one.is_alive() and _state(one) == UNNAMED]

    until = time.monotonic() + HANG_UP_S
    while len(unnamed()) >= MAX_UNNAMED or unnamed().count(host) >= MAX_UNNAMED // 4:
        if time.monotonic() > until:
            return False
        time.sleep(0.01)  # those that closed meanwhile are noticed by their own threads
    return True


def _give_place_back(event: Any) -> None:
    if event.assoc.requestor.primitive is None:
        event.assoc.dul.to_user_queue.put(None)  # the thread that waits for its first word ends at once


def _hang_up(callers: list[Any]) -> None:
    """Close the connections of callers who have said nothing yet.

    They have no association to abort: pynetdicom would end with a traceback (PS3.8 table 9-10: no event 15 in state 2).
    """

    def silent() -> list[Any]:
        return [caller for caller in callers if caller.is_alive() and _state(caller) == UNNAMED]

    for caller in silent():
        caller.dul.socket.close()
    until = time.monotonic() + HANG_UP_S
    while silent() and time.monotonic() < until:
        time.sleep(0.01)


def readable_syntaxes() -> list[str]:
    """The transfer syntaxes that the film reader decodes; none of a whole deflated data set."""
    packed = [uid for uid in AllTransferSyntaxes if uid.is_compressed and not uid.is_deflated]
    return [*PLAIN, *(uid for uid in packed if is_decodable(uid))]


def _bound(event: Any, config: NodeConfig) -> None:
    """Let no caller make us hold more than `largest` bytes: what is claimed is checked before it is received."""
    largest, connection = config.largest, event.assoc.dul.socket
    connection.socket.settimeout(config.patience_s)  # for a caller that stops in the middle of a unit
    receive = connection.recv
    connection.since_message = 0

    def bounded(wanted: int) -> bytearray:
        connection.since_message += wanted
        if wanted > LARGEST_PDU or connection.since_message > largest + LARGEST_PDU:
            raise OSError("the caller sends more than is taken")  # pynetdicom closes the connection for it
        received: bytearray = receive(wanted)
        return received

    connection.recv = bounded


def _count_anew(event: Any) -> None:
    event.assoc.dul.socket.since_message = 0


def _store(event: Any, config: NodeConfig, queue: Queue, digest: str, log: Log) -> int | Dataset:
    uid = str(event.request.AffectedSOPInstanceUID)
    try:
        enqueue(event.encoded_dataset(), queue, digest, config.most_waiting, uid, config.modality)
    except FilmError as error:
        drop = config.drop and error.code != FILM_CONFLICT
        log("dropped" if drop else "refused", key_of(uid), str(error))
        return SUCCESS if drop else _refusal(error)
    except Exception as error:  # of the disk, for example; the sender keeps the film and tries again
        log("busy", key_of(uid), type(error).__name__)
        return FULL
    log("received", key_of(uid), "")
    return SUCCESS


def enqueue(
    data: bytes, queue: Queue, digest: str, most_waiting: int, uid: str | None = None, modality: str = "chest_xray"
) -> bool:
    """Put a film on the queue if it is one that will be answered; False for a repeat.

    Raises:
        FilmError: it is not; or it is not the instance `uid` that it was announced as; or another film has its UID.
        OverflowError: too many wait already, or the disk is nearly full.
    """
    accepted = accept(data, modality=modality)
    if uid is not None and accepted.uid != uid:
        found = "another instance than was announced"
        raise FilmError(f"film: found {found}; expected one UID in both; send again", found=found)
    if queue.unfinished() >= most_waiting or not queue.has_room(len(data)):
        raise OverflowError
    return queue.put(accepted.uid, data, digest, accepted.content, accepted)


def _refusal(error: FilmError) -> Dataset:
    status = Dataset()
    status.Status = STATUS.get(error.code, NOT_OURS)
    status.ErrorComment = error.found.encode("ascii", "replace").decode()[:64]  # an LO of 64 characters
    return status


PAGE = 100
"""Instances asked for at a time."""
MAX_UNFINISHED = 100
"""Films fetched and not delivered yet, at most: a year of them does not lie on our disk at once."""


def fetch_all(
    client: DICOMwebClient,
    query: dict[str, str],
    queue: Queue,
    digest: str,
    max_unfinished: int = MAX_UNFINISHED,
    log: Log = log_line,
    modality: str = "chest_xray",
) -> int:
    """Put every film that matches on the queue, no faster than it is worked off; how many the server did not give.

    Args:
        client: of the server.
        query: as of `find`.
        queue: something must work it off meanwhile.
        digest: of the bundle that answers; a film that it has answered is not fetched.
        max_unfinished: films that may be unfinished.
        log: called with each refusal.
        modality: the kind of picture that is answered.

    Raises:
        SourceError: the server does not answer the query.
    """
    missed = 0
    for study, series, instance in track(find(client, query, kind_of(modality).asked), "fetching films"):
        if queue.knows(instance, digest):
            continue
        while queue.unfinished() >= max_unfinished:
            time.sleep(IDLE_S)
        try:
            enqueue(fetch(client, study, series, instance), queue, digest, max_unfinished, modality=modality)
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
