"""`lucency report`: a page for clinicians, a model card, and the guidelines' checklists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    bundle: Annotated[Path, typer.Argument(help="The run or bundle to report on.", metavar="RUN|BUNDLE")],
    data: Annotated[str, typer.Option(help="Labelled films: the folder with the classes, or the one above.")],
    out: Annotated[Path, typer.Option(help="Folder for report.html, model-card.md, checklists and figures.")],
    source: Annotated[str, typer.Option(help="How to read the data: auto, or a row of SOURCES.")] = "auto",
    split: Annotated[
        str | None, typer.Option(help="train, val, test or all. [default: test if there, else all]")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Call at or above. [default: the card's]")
    ] = None,
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap draws for the intervals.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Films read side by side.")] = 1,
) -> int:
    """Report on a run or bundle: one page with every figure and the worst errors, a model card, three checklists.

    TRIPOD+AI, CLAIM 2024 and the Model Facts label are filled from what is known; what is not known stays the
    author's to fill. A film that cannot be read is gone past; the exit code is then 3.

    Example: lucency report runs/lecture --data chest_xray --out reports/lecture
    """
    from lucency.cli.answers import Asked, about_judging, report_unread
    from lucency.cli.films import labelled_films
    from lucency.reader import Reader
    from lucency.reader.predict import as_labelled, predict
    from lucency.report import know, write

    films, used = labelled_films(data, source, split)
    reader = Reader.open(bundle, threads)
    point = reader.card.operating_point.threshold if threshold is None else threshold
    predicted = predict(reader, films)
    unreadable = tuple(map(str, predicted.unreadable))
    about = about_judging(reader, bundle, data, films, used, threshold, unreadable)
    known = know(reader.card, reader.bundle.digest, predicted.predictions, point, about, resamples, seed)
    written = write(known, reader, as_labelled(films, reader.card.labels), out)
    typer.echo(_summary(written))
    return report_unread(Asked(predicted.predictions, point, about, unreadable))


def _summary(written: tuple[Path, ...]) -> str:
    page, card, *rest = written
    lists = ", ".join(path.name for path in rest if path.suffix == ".md")
    return "\n".join(
        [
            f"{page}: the page to read",
            f"{card}: the model card",
            f"{lists}: what is marked ‘the author's to fill’ is yours",
            "Research use only. Not a medical device.",
        ]
    )
