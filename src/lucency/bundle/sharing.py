"""What a bundle that is shared needs: a signature by its maker, and the Hugging Face Hub.

Signatures are Ed25519 (RFC 8032) over card.json, which holds the hash of every other file. Hashes show damage, but can
be recomputed after an alteration; a signature cannot be made without the key. Needs lucency[sign].
The Hub is whatever serves its API at HF_ENDPOINT: push a bundle, pull one. Only files that the card lists are taken,
each checked against its hash; a bundle is put in place whole and checked. Needs lucency[hub].
"""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lucency import __version__
from lucency.bundle.store import CARD, MAX_BYTES, SIGNATURE, SUM, Bundle, open_bundle, verify
from lucency.errors import BundleError, LucencyError, OutputError, UsageError
from lucency.files import beside, scratch, sha256_bytes, unwritable, write_bytes, write_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from huggingface_hub import HfApi


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


README = "README.md"
"""The model card, as the Hub names it."""


def push(path: Path, repo: str, model_card: Path | None = None, private: bool = True) -> str:
    """Upload the bundle at `path` to the model repository `repo`, made where missing, in one commit.

    Args:
        path: a directory or .zip; every byte is checked first.
        repo: OWNER/NAME.
        model_card: Markdown with the Hub's metadata, as `lucency report` writes it.
        private: of a repository that is made now.

    Returns:
        the commit.

    Raises:
        BundleError: no bundle, or one of its files has changed.
        OutputError: the Hub refuses it or cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd

    card = verify(path)
    bundle = open_bundle(path)
    contents = {name: bundle.load(name) for name in (*card.files, CARD, SUM)}
    if bundle.signature:
        contents[SIGNATURE] = bundle.signature
    if model_card is not None:
        contents[README] = model_card.read_bytes()
    adds = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in contents.items()]
    with _hub(repo, OutputError) as api:
        api.create_repo(repo, private=private, exist_ok=True)
        done = api.create_commit(repo, adds, commit_message=f"{card.name}, bundle {bundle.digest[:16]}")
    return str(done.oid)


def pull(
    repo: str, out: Path, revision: str | None = None, check: Callable[[Path], object] = verify
) -> tuple[Path, str]:
    """Download the bundle of the model repository `repo` to the new directory `out`.

    Args:
        repo: OWNER/NAME.
        out: appears whole, after `check`, or not at all.
        revision: a branch, tag or commit; the main branch by default.
        check: called with the downloaded bundle before it is put in place; raises where it is not to be used.

    Returns:
        `out`, and the commit that it came from.

    Raises:
        BundleError: no such repository, no bundle in it, or one whose bytes are not those of its card.
        OutputError: `out` is there already, or cannot be written.
    """
    if out.exists():
        raise OutputError(f"{out}: exists already; choose another place, or remove it first")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with scratch(out) as draft:
            with _hub(repo, BundleError) as api, scratch() as cache:
                commit = _download(api, repo, revision, draft, cache)
            check(draft)
            draft.chmod(0o755)
            draft.rename(out)
    except BundleError as error:
        raise BundleError(str(error).replace(str(draft), repo), code=error.code) from error
    except OSError as error:
        raise unwritable(out, error) from error
    return out, commit


def _download(api: HfApi, repo: str, revision: str | None, draft: Path, cache: Path) -> str:
    """The card, then the files it lists, of one commit."""
    found = api.model_info(repo, revision=revision, files_metadata=True)
    sizes = {one.rfilename: one.size or 0 for one in found.siblings or ()}

    def take(name: str) -> None:
        if name not in sizes:
            raise BundleError(
                f"{repo}: {name} is missing on the hub; {'not a bundle' if name == CARD else 'incomplete'}"
            )
        if sizes[name] > MAX_BYTES:
            raise BundleError(f"{repo}: {name} is larger than {MAX_BYTES >> 20} MB; not a bundle of this lucency")
        write_bytes(
            draft / name, Path(api.hf_hub_download(repo, name, revision=found.sha, cache_dir=cache)).read_bytes()
        )

    for name in (CARD, SUM, *([SIGNATURE] if SIGNATURE in sizes else [])):
        take(name)
    for name in open_bundle(draft).card.files:
        take(name)
    return str(found.sha)


@contextlib.contextmanager
def _hub(repo: str, failure: type[LucencyError]) -> Iterator[HfApi]:
    """The Hub's API; what goes wrong there is one line."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.errors import HTTPError as ClientError  # type: ignore[attr-defined]

    try:
        yield HfApi(os.environ.get("HF_ENDPOINT"), library_name="lucency", library_version=__version__)
    except HFValidationError as error:
        raise failure(f"{repo}: expected OWNER/NAME of a model repository") from error
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "no")
        raise failure(
            f"{repo}: the hub answers {status}; check the name, the revision and the token (HF_TOKEN)"
        ) from error
    except (ClientError, ConnectionError, LocalEntryNotFoundError) as error:
        raise failure(f"{repo}: the hub cannot be reached ({type(error).__name__})") from error
