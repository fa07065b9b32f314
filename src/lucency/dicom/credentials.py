"""Who we are and whom we believe: certificates, keys and tokens, each checked before anything is sent or received."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from lucency.errors import UsageError

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
