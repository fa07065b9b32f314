"""The report on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lucency.data import Dataset
from lucency.evaluate import write_report
from lucency.files import write_text
from lucency.progress import track
from lucency.reader import Reader
from lucency.report.checklist import Guideline, fill, markdown
from lucency.report.claim import CLAIM
from lucency.report.known import Known
from lucency.report.mistakes import Mistake, look, worst
from lucency.report.model_facts import MODEL_FACTS
from lucency.report.modelcard import model_card
from lucency.report.page import page
from lucency.report.tripod import TRIPOD

GUIDELINES: tuple[Guideline, ...] = (MODEL_FACTS, TRIPOD, CLAIM)
PAGE, CARD = "report.html", "model-card.md"


def write(known: Known, reader_of: Callable[[str], Reader], films: Dataset, out: Path) -> tuple[Path, ...]:
    """Write the page, the model card, the checklists, and all that `write_report` writes, into `out`.

    Args:
        known: the reader judged.
        reader_of: the name of a film -> the open reader that judged it: the maps of errors are painted anew.
        films: those it was judged on, as the predictions name them.
        out: a folder, made where missing.

    Returns:
        What was written, the page first.

    Raises:
        OutputError: `out` cannot be written.
    """
    done = [fill(guideline, known) for guideline in GUIDELINES]
    judged = write_report(known.report, known.predictions, out, known.about)
    for one in done:
        write_text(out / one.guideline.file, markdown(one))
    write_text(out / CARD, model_card(known, done))
    write_text(out / PAGE, page(known, mistakes(known, reader_of, films), done, out))
    return (out / PAGE, out / CARD, *(out / one.guideline.file for one in done), *judged)


def mistakes(known: Known, reader_of: Callable[[str], Reader], films: Dataset) -> dict[str, list[Mistake]]:
    """The worst errors of each kind, painted."""
    threshold = 0.5 if known.report.threshold is None else known.report.threshold
    chosen = worst(known.predictions, threshold)
    found: dict[str, list[Mistake]] = {kind: [] for kind in chosen}
    which = [(kind, index) for kind, indices in chosen.items() for index in indices]
    for kind, index in track(which, "painting maps"):
        reader = reader_of(known.predictions.names[index])
        if mistake := look(reader, films, known.predictions, threshold, index):
            found[kind].append(mistake)
    return found
