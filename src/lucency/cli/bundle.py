"""`lucency bundle`: show a bundle, verify it, pack it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency.cli.inputs import Json
from lucency.cli.terminal import echo

if TYPE_CHECKING:
    from lucency.bundle import Card

bundle = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Show a bundle, verify it, pack it.\n\nExample: lucency bundle verify bundles/lecture",
)

Where = Annotated[Path, typer.Argument(help="A bundle or run: a directory, or a .zip of one.", metavar="BUNDLE")]


@bundle.command()
def verify(
    path: Where,
    json: Json = False,
) -> None:
    """Check every byte against the card, and the outputs for the golden films against those recorded.

    Example: lucency bundle verify bundles/lecture
    """
    from dataclasses import asdict
    from json import dumps

    from lucency.reader.golden import verify_golden

    found = verify_golden(path)
    if json:
        echo(dumps({"bundle": str(path), "golden": None if found is None else asdict(found)}))
    elif found is None:
        echo(f"{path}: every byte matches the card; no golden films in it")
    else:
        echo(
            f"{path}: every byte matches the card; {found.films} golden films, "
            f"logits within {found.logit:.2g}, probabilities {found.probability:.2g}, maps {found.map:.2g}"
        )


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


@bundle.command()
def show(
    path: Where,
    json: Annotated[bool, typer.Option("--json", help="The whole card.")] = False,
) -> None:
    """Print a bundle's card: network, labels, threshold, calibration, data, figures, limits.

    Example: lucency bundle show bundles/lecture
    """
    from lucency.bundle import read_card

    card = read_card(path)
    echo(card.model_dump_json(indent=2) if json else summary(card))


def summary(card: Card) -> str:
    """The card in a dozen lines."""
    model, point, training = card.model, card.operating_point, card.training
    lines = [
        f"{card.name}: {card.task}, {', '.join(card.labels)}",
        f"network      {model.backbone} × {model.width:g}, head {model.head}, {model.parameters:,} parameters, "
        f"{card.preprocess.image_size}² {card.preprocess.resize_mode}",
        f"file         {model.file} ({model.format}, quantize {model.quantize})",
        f"called at    {point.threshold:g} ({point.chosen_by})",
        f"calibration  {card.calibration.method}",
        f"trained on   {training.films:,} films of {training.patients:,} patients, {training.source}",
        f"licence      {card.licence or 'not stated'}",
    ]
    lines += [f"{_metric(item.name)} {item.value:.4f}{_interval(item.low, item.high)}" for item in card.metrics]
    if card.parity:
        parity = card.parity
        lines.append(
            f"parity       {parity.flips} of {parity.films:,} films called differently by the run; "
            f"logits within {parity.logit_max:.2g} ({parity.data})"
        )
    return "\n".join([*lines, *(f"limit        {limit}" for limit in card.limits)])


def _metric(name: str) -> str:
    return f"{name.replace('_', ' '):12}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({low:.4f} to {high:.4f})"
