"""Signatures of bundles: Ed25519 (RFC 8032) over card.json, which holds the hash of every other file.

Hashes show damage, but can be recomputed after an alteration; a signature cannot be made without the key.
Needs lucency[sign].
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lucency.bundle.store import CARD, SIGNATURE, Bundle, open_bundle
from lucency.errors import BundleError, UsageError
from lucency.files import beside, sha256_bytes, write_bytes, write_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

CONTEXT = b"lucency bundle 1\n"
"""Prefix of the signed bytes, so that the signature is valid for bundles only."""


@dataclass(frozen=True)
class Signature:
    """A signature that matches its bundle's card."""

    fingerprint: str
    """SHA-256 of the public key, hexadecimal."""
    trusted: bool
    """Whether the caller gave this key; otherwise anyone may have signed."""


def make_keys(private: Path) -> Path:
    """Write a new private key, for its owner alone, and the public one beside it; return the public one's path.

    Raises:
        UsageError: there is a file already.
        OutputError: it cannot be written.
    """
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = private.with_name(f"{private.stem}.pub.pem")
    for path in (private, public):
        if path.exists():
            raise UsageError(f"{path}: expected no file, found one; a key is never replaced")
    key = Ed25519PrivateKey.generate()
    with beside(private, mode=0o600) as draft:
        draft.write_bytes(key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()))
    write_bytes(public, key.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo))
    return public


def sign(folder: Path, key: Path) -> Signature:
    """Sign the bundle in a folder, replacing an earlier signature.

    Raises:
        BundleError: no bundle, or an altered one.
        UsageError: a .zip, or no private Ed25519 key.
        OutputError: it cannot be written.
    """
    if not folder.is_dir():
        raise UsageError(
            f"{folder}: expected a bundle in a folder; sign it there, then pack it with lucency bundle zip"
        )
    bundle = open_bundle(folder)
    private = _private(key)
    public = private.public_key()
    made = private.sign(CONTEXT + bundle.load(CARD))
    words = (base64.b64encode(content).decode() for content in (public.public_bytes_raw(), made))
    write_text(folder / SIGNATURE, f"ed25519 {' '.join(words)}\n")
    return Signature(_fingerprint(public), trusted=True)


def check_signature(bundle: Bundle, key: Path | None = None) -> Signature | None:
    """The signature of a bundle; None if it has none and no key is given.

    Args:
        bundle: an open one.
        key: the public key, PEM, that must have signed it.

    Raises:
        BundleError: the signature does not match the card, is by another key, or is missing though a key is given.
        UsageError: `key` is no public Ed25519 key.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    wanted = None if key is None else _public(key)
    if not bundle.signature:
        if wanted is None:
            return None
        raise BundleError(f"{bundle.path}: expected a signature by {key}, found none; do not use it")
    try:
        method, public, made = bundle.signature.decode("ascii").split()
        signer = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
        if method != "ed25519":
            raise ValueError(method)
        signer.verify(base64.b64decode(made, validate=True), CONTEXT + bundle.load(CARD))
    except (ValueError, InvalidSignature) as error:
        raise BundleError(f"{bundle.path}: {SIGNATURE} does not match {CARD}; do not use it") from error
    found = Signature(_fingerprint(signer), trusted=wanted is not None)
    if wanted is not None and _fingerprint(wanted) != found.fingerprint:
        raise BundleError(f"{bundle.path}: expected a signature by {key}, found one by {found.fingerprint[:16]}…")
    return found


def _fingerprint(public: Ed25519PublicKey) -> str:
    return sha256_bytes(public.public_bytes_raw())


def _private(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{path}: expected a private Ed25519 key (PEM), cannot read one; --new-key makes it"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path}: expected a private Ed25519 key, found another kind")
    return key


def _public(path: Path) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: expected a public Ed25519 key (PEM), cannot read one") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path}: expected a public Ed25519 key, found another kind")
    return key
