"""`lucency bundle`: show a bundle, verify it, sign it, pack it, push it to a hub, pull it from there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency.cli import echo
from lucency.cli.inputs import Json, print_json

if TYPE_CHECKING:
    from lucency.bundle import Bundle, Card, Metric
    from lucency.bundle.sharing import Signature

FIRST = ("sensitivity", "specificity")
"""Figures that a person asks for first."""

bundle = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Show a bundle, verify it, sign it, pack it, share it.\n\nExample: lucency bundle verify bundles/lecture",
)

Where = Annotated[Path, typer.Argument(help="A bundle or run: a directory, or a .zip of one.", metavar="BUNDLE")]
OrShipped = Annotated[
    Path | None, typer.Argument(help="A bundle or run. [default: the shipped bundle]", metavar="BUNDLE")
]


@bundle.command()
def verify(
    bundle: OrShipped = None,
    key: Annotated[Path | None, typer.Option(help="Public key (PEM) that must have signed the bundle.")] = None,
    json: Json = False,
) -> None:
    """Check hashes, golden outputs and the signature.

    Hashes show damage, but can be recomputed after an alteration. Only a signature by a key that you got from its
    owner shows who made the bundle.

    Example: lucency bundle verify bundles/lecture --key maker.pub.pem
    """
    from dataclasses import asdict

    from lucency.bundle import DEFAULT, open_bundle
    from lucency.reader.reader import verify_golden

    path = bundle or DEFAULT
    golden = verify_golden(path)
    opened = open_bundle(path)
    signature = _signature(opened, key)
    if json:
        found = {"golden": golden and asdict(golden), "signature": signature and asdict(signature)}
        print_json({"bundle": str(path), "files": len(opened.card.files), **found})
        return
    echo(f"{path}: nothing wrong found")
    echo(f"hashes     {len(opened.card.files)} files match card.json, and card.json matches card.sha256")
    if golden is None:
        echo("golden     no golden films: the network's outputs were not checked")
    else:
        away = f"logits within {golden.logit:.2g}, probabilities {golden.probability:.2g}, maps {golden.map:.2g}"
        echo(f"golden     {golden.films} films with the recorded outputs: {away}")
    if signature is None:
        echo("signature  none: hashes show damage, not who made the bundle")
    elif signature.trusted:
        echo(f"signature  matches the key {key}")
    else:
        echo(f"signature  by the key {signature.fingerprint[:16]}…; --key checks that it is the maker's")


def _signature(opened: Bundle, key: Path | None) -> Signature | None:
    if key is None and not opened.signature:
        return None
    from lucency.bundle.sharing import check_signature

    return check_signature(opened, key)


@bundle.command()
def sign(
    path: Annotated[Path, typer.Argument(help="A bundle in a folder.", metavar="BUNDLE")],
    key: Annotated[Path, typer.Option(help="Private Ed25519 key (PEM).")],
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Create the key first, and the public key beside it.")
    ] = False,
) -> None:
    """Sign a bundle by Ed25519, so that others can check who made it: lucency bundle verify --key. Needs lucency[sign].

    Give the public key (NAME.pub.pem) to the bundle's users, separately from the bundle.

    Example: lucency bundle sign bundles/lecture --key maker.pem --new-key
    """
    from lucency.bundle.sharing import make_keys
    from lucency.bundle.sharing import sign as sign_bundle

    if new_key:
        echo(f"public key: {make_keys(key)}")
    signature = sign_bundle(path, key)
    echo(f"{path}: signed by the key {signature.fingerprint[:16]}…")


@bundle.command("zip")
def pack(
    path: Where,
    out: Annotated[Path, typer.Argument(help="The .zip to write.", metavar="OUT.zip")],
) -> None:
    """Pack a bundle into one file, reproducibly. Bundles are read from the zip; it need not be unpacked.

    Example: lucency bundle zip bundles/lecture lecture.zip
    """
    from lucency.bundle import write_zip

    write_zip(path, out)
    echo(f"{out}: {out.stat().st_size / 1e6:.2f} MB")


Repo = Annotated[str, typer.Argument(help="Model repository on the Hugging Face Hub.", metavar="OWNER/NAME")]


@bundle.command()
def push(
    path: Where,
    repo: Repo,
    card: Annotated[Path | None, typer.Option(help="Model card, as `lucency report` writes it; shown there.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public; private otherwise.")] = False,
) -> None:
    """Upload a bundle to a model repository on the Hugging Face Hub, or at HF_ENDPOINT. Needs lucency[hub].

    Every byte is checked before. The token is read from HF_TOKEN, or from where `hf auth login` put it.

    Example: lucency bundle push bundles/lecture me/lecture --card report/model-card.md
    """
    from lucency.bundle.sharing import push as upload

    echo(f"{repo}: commit {upload(path, repo, card, private=not public)}")


@bundle.command()
def pull(
    repo: Repo,
    out: Annotated[Path, typer.Argument(help="Folder for the bundle; new.", metavar="OUT")],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit. [default: main]")] = None,
    key: Annotated[Path | None, typer.Option(help="Public key (PEM) that must have signed the bundle.")] = None,
) -> None:
    """Download a bundle from the Hugging Face Hub, or from HF_ENDPOINT, and check it before it is put in place.

    Hashes, golden outputs and, with --key, the signature are checked. Needs lucency[hub].

    Example: lucency bundle pull me/lecture bundles/lecture --key maker.pub.pem
    """
    from lucency.bundle import open_bundle
    from lucency.bundle.sharing import pull as download
    from lucency.reader.reader import verify_golden

    def check(draft: Path) -> None:
        verify_golden(draft)
        _signature(open_bundle(draft), key)

    place, commit = download(repo, out, revision, check)
    echo(f"{place}: commit {commit} of {repo}; every byte checked")


@bundle.command()
def show(
    bundle: OrShipped = None,
    json: Annotated[bool, typer.Option("--json", help="Print the whole card as JSON.")] = False,
) -> None:
    """Print a bundle's card: network, labels, threshold, calibration, data, figures, limits.

    Example: lucency bundle show bundles/lecture
    """
    from lucency.bundle import DEFAULT, read_card

    card = read_card(bundle or DEFAULT)
    echo(card.model_dump_json(indent=2) if json else summary(card))


def summary(card: Card) -> str:
    """The card in a dozen lines: how well it does, on whom, then the rest."""
    from lucency.evaluate.predictions import threshold_words
    from lucency.reader.outputs import bands_line, calling

    model, point, training = card.model, card.operating_point, card.training
    called_at = f"{threshold_words(point.threshold, card.labels)} ({point.chosen_by})"
    rows = [
        *_first_figures(card),
        ("population", card.population.words or "not stated"),
        (
            "network",
            f"{model.backbone} × {model.width:g}, head {model.head}, {model.parameters:,} parameters, "
            f"{card.preprocess.image_size}² {card.preprocess.resize_mode}",
        ),
        ("file", f"{model.file} ({model.format}, quantize {model.quantize})"),
        ("called at", called_at if card.task != "multiclass" else calling(card)),
        ("bands", bands_line(card) or "none: several probabilities decide"),
        ("calibration", f"{card.calibration.method}, fitted on {card.calibration.fitted_on or 'nothing'}"),
        ("trained on", str(training)),
        ("licence", card.licence or "not stated"),
        *(_figure(item) for item in card.metrics if item.name not in FIRST),
        *_parity(card),
        *(("limit", limit) for limit in card.limits),
    ]
    wide = 1 + max(12, *(len(name) for name, _ in rows))
    return "\n".join([f"{card.name}: {card.task}, {', '.join(card.labels)}", *(f"{n:{wide}}{v}" for n, v in rows)])


def _parity(card: Card) -> list[tuple[str, str]]:
    if card.parity is None:
        return []
    said = f"{card.parity.flips} of {card.parity.films:,} films called differently by the run; "
    return [("parity", f"{said}logits within {card.parity.logit_max:.2g} ({card.parity.data})")]


def _first_figures(card: Card) -> list[tuple[str, str]]:
    """Sensitivity and specificity, before anything else."""
    found = {item.name: item for item in card.metrics}
    return [_figure(found[name]) for name in FIRST if name in found]


def _figure(item: Metric) -> tuple[str, str]:
    return item.name.replace("_", " "), f"{item.value:.4f}{_interval(item.low, item.high)}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({low:.4f} to {high:.4f})"
