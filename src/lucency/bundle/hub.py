"""Bundles on the Hugging Face Hub, or whatever serves its API at HF_ENDPOINT: push one, pull one. Needs lucency[hub].

Only files that the card lists are taken, each checked against its hash; a bundle is put in place whole and checked.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lucency import __version__
from lucency.bundle.store import CARD, MAX_BYTES, SIGNATURE, SUM, open_bundle, verify
from lucency.errors import BundleError, LucencyError, OutputError
from lucency.files import scratch, unwritable, write_bytes

if TYPE_CHECKING:
    from huggingface_hub import HfApi

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
