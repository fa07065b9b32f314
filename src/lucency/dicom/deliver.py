"""Delivery of answers, by C-STORE or STOW-RS, and the certificates, keys and tokens for it."""

from __future__ import annotations

import functools
import io
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pydicom import Dataset, dcmread
from pydicom.uid import ComprehensiveSRStorage, SecondaryCaptureImageStorage

from lucency.dicom.answer import Part
from lucency.errors import OutputError, UsageError

if TYPE_CHECKING:
    from dicomweb_client.api import DICOMwebClient

_AE_TITLE = re.compile(r"[\x21-\x5b\x5d-\x7e]([\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?")
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Credentials:
    """How we prove who we are, and what we believe of others; each a file, none of them needed."""

    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None
    """Certificates that are trusted instead of the system's."""
    token: Path | None = None
    """A bearer token for DICOMweb."""

    def bearer(self) -> str:
        """What the token's file holds."""
        return self.token.read_text(errors="replace").strip() if self.token else ""


def check_credentials(credentials: Credentials) -> None:
    """Refuse, before a film comes, what would fail with each of them.

    Raises:
        UsageError: a file is missing or does not hold what it should.
    """
    for path in (credentials.certificate, credentials.key, credentials.authority, credentials.token):
        if path is not None and not path.is_file():
            raise UsageError(f"{path}: expected a file, found none; check the path")
    if credentials.key and not credentials.certificate:
        raise UsageError("--key: expected --certificate with it, there is none; without one nothing would be encrypted")
    client_tls(credentials)
    if credentials.token and not _TOKEN.fullmatch(credentials.bearer()):
        raise UsageError(f"{credentials.token}: expected a bearer token, one word, found something else")


def check_title(title: str) -> None:
    """Refuse what is no AE title (PS3.5, VR AE).

    Raises:
        UsageError: empty, longer than 16 characters, or of others than ASCII; a backslash does not count.
    """
    if not _AE_TITLE.fullmatch(title):
        raise UsageError(f"expected an AE title of 1 to 16 ASCII characters, got '{title}'")


def client_tls(credentials: Credentials) -> ssl.SSLContext:
    """TLS 1.2 or later, the other side's certificate checked, ours shown if we have one.

    Raises:
        UsageError: a file holds no certificate, or the key is another one's.
    """
    return _tls(ssl.Purpose.SERVER_AUTH, credentials)


def server_tls(credentials: Credentials) -> ssl.SSLContext:
    """TLS 1.2 or later; with an authority, callers must show a certificate too.

    Raises:
        UsageError: a file holds no certificate, or the key is another one's.
    """
    context = _tls(ssl.Purpose.CLIENT_AUTH, credentials)
    if credentials.authority:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _tls(purpose: ssl.Purpose, credentials: Credentials) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(purpose, cafile=credentials.authority)
    except OSError as error:
        raise UsageError(f"{credentials.authority}: expected certificates in PEM, found none ({error})") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if credentials.certificate:
        try:  # without a password, OpenSSL would ask for one on the terminal of a program that has none
            context.load_cert_chain(credentials.certificate, credentials.key, password="")
        except OSError as error:
            files = f"{credentials.certificate} and {credentials.key}" if credentials.key else credentials.certificate
            raise UsageError(f"{files}: expected a certificate and its key, in PEM, not encrypted ({error})") from error
    return context


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
