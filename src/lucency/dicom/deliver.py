"""Ways to deliver an answer: C-STORE to a DICOM node, or STOW-RS to a DICOMweb server."""

from __future__ import annotations

import functools
import io
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pydicom import Dataset, dcmread
from pydicom.uid import ComprehensiveSRStorage, SecondaryCaptureImageStorage

from lucency.dicom.answer import Part
from lucency.dicom.credentials import Credentials, check_title, client_tls
from lucency.errors import OutputError, UsageError

if TYPE_CHECKING:
    from dicomweb_client.api import DICOMwebClient

TIMEOUT_S = 60
DUPLICATE = 0x0111
"""What some archives answer to an object that they hold already: delivered, then."""


class Unreachable(OutputError):
    """Nobody answered, or not now: worth trying for as long as it takes."""


class Refused(OutputError):
    """The destination has the object and does not want it."""


Destination = Callable[[tuple[Part, ...]], None]
"""Delivers the parts of an answer. Raises Unreachable or Refused, in words without a patient."""


def destination(address: str, calling: str, credentials: Credentials) -> Destination:
    """The destination of `dicom://AET@host:port`, `dicoms://…` (TLS) or `http(s)://host/dicom-web`.

    A space in an AE title is written %20.

    Raises:
        UsageError: none of these.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise _no_destination(address) from None
    if parts.scheme in ("http", "https") and parts.hostname:
        return functools.partial(_stow, address.rstrip("/"), credentials)
    if parts.scheme not in ("dicom", "dicoms") or not parts.hostname or not port or not parts.username:
        raise _no_destination(address)
    title = unquote(parts.username)
    check_title(title)
    tls = client_tls(credentials) if parts.scheme == "dicoms" else None
    return functools.partial(_c_store, parts.hostname, port, title, calling, tls)


def _no_destination(address: str) -> UsageError:
    expected = "dicom://AET@host:port, dicoms://AET@host:port or https://host/dicom-web"
    return UsageError(f"expected a destination like {expected}, got '{address}'")


def _c_store(
    host: str, port: int, called: str, calling: str, tls: ssl.SSLContext | None, parts: tuple[Part, ...]
) -> None:
    from pynetdicom import AE

    node = AE(ae_title=calling)
    node.acse_timeout = node.dimse_timeout = node.network_timeout = node.connection_timeout = TIMEOUT_S
    for kind in (ComprehensiveSRStorage, SecondaryCaptureImageStorage):
        node.add_requested_context(kind)
    association = node.associate(host, port, ae_title=called, tls_args=(tls, host) if tls else None)
    if not association.is_established:
        raise Unreachable("the destination took no association")
    try:
        for part in parts:
            try:
                status = association.send_c_store(_dataset(part))
            except (ValueError, RuntimeError) as error:  # no context was accepted, or the association has gone
                raise (Refused if isinstance(error, ValueError) else Unreachable)(
                    f"the destination does not take the {part.what}"
                ) from error
            _check_status(status, part.what)
    finally:
        association.release()


def _check_status(status: Dataset, what: str) -> None:
    code = status.get("Status")
    if code is None:
        raise Unreachable(f"the destination did not acknowledge the {what}")
    if code in (0, DUPLICATE) or code >> 12 == 0xB:  # 0xBxxx: stored, with a remark
        return
    # 0xA7xx: out of resources, which passes.
    raise (Unreachable if code >> 8 == 0xA7 else Refused)(f"the destination answered the {what} with 0x{code:04X}")


def _stow(address: str, credentials: Credentials, parts: tuple[Part, ...]) -> None:
    import requests

    client = web_client(address, credentials)
    try:
        stored = client.store_instances([_dataset(part) for part in parts])
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        later = code >= 500 or code in (401, 403, 404, 408, 429)  # a server in trouble, or settings to be mended
        raise (Unreachable if later else Refused)(f"the destination answered HTTP {code}") from error
    except (requests.RequestException, OSError) as error:
        raise Unreachable(f"the destination does not answer ({type(error).__name__})") from error
    for failure in stored.get("FailedSOPSequence", []):
        if failure.get("FailureReason") != DUPLICATE:
            raise Refused(f"the destination answered with 0x{int(failure.get('FailureReason') or 0):04X}")


def web_client(address: str, credentials: Credentials) -> DICOMwebClient:
    """A client of a DICOMweb server that neither waits for ever nor tries again by itself.

    Raises:
        UsageError: no address of one.
    """
    from dicomweb_client.api import DICOMwebClient
    from dicomweb_client.session_utils import create_session

    session = create_session()
    session.request = functools.partial(session.request, timeout=TIMEOUT_S)  # type: ignore[method-assign]
    if credentials.authority:
        session.verify = str(credentials.authority)
    if credentials.certificate:
        session.cert = (str(credentials.certificate), str(credentials.key or credentials.certificate))
    if credentials.token:
        session.headers["Authorization"] = f"Bearer {credentials.bearer()}"
    try:
        client = DICOMwebClient(address, session=session)
    except ValueError as error:
        raise UsageError(f"expected a DICOMweb server like https://host/dicom-web, got '{address}'") from error
    client.set_http_retry_params(retry=False)
    return client


def _dataset(part: Part) -> Dataset:
    return dcmread(io.BytesIO(part.content))
