"""A trained run, and its curves as they come."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lucency.reader import Reader

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from lucency.data import Dataset
    from lucency.evaluate import Report
    from lucency.explain.explanation import Explanation
    from lucency.film.accept import FilmLike

    Row = dict[str, float]


class Run(Reader):
    """A trained run: a reader that can also be evaluated, explained and exported. A notebook shows its curves."""

    @property
    def history(self) -> dict[str, list[Row]]:
        """Phase -> metrics, a row per epoch."""
        from lucency.train.metrics import read_history

        return read_history(self.bundle.path)

    def evaluate(self, data: Dataset | Path | str, **options: Any) -> Report:
        """`lucency.evaluate` of this run."""
        from lucency.api.functions import evaluate

        return evaluate(self, data, **options)

    def explain(self, film: FilmLike, method: str = "grad_cam", **options: Any) -> Explanation:
        """`lucency.explain` by this run."""
        from lucency.api.functions import explain

        return explain(self, film, method, **options)

    def export(self, out: Path | str, **options: Any) -> Reader:
        """`lucency.export` of this run."""
        from lucency.api.functions import export

        return export(self, out, **options)

    def plot(self) -> Figure:
        """The curves of training: loss, accuracy, AUROC and recall by epoch."""
        from lucency.train.metrics import draw_history

        return draw_history(self.history)

    def to_pandas(self) -> DataFrame:
        """The history, a row per epoch.

        Raises:
            ExtraError: pandas is not installed.
        """
        from lucency.tables import data_frame

        return data_frame([{"phase": phase, **row} for phase, rows in self.history.items() for row in rows])

    def __repr__(self) -> str:
        return f"<Run {self.bundle.path}: {self.card.name}, {self.card.training.films:,} films learned from>"

    def _repr_html_(self) -> str:
        from lucency.html import figure_html, notebook_block

        return notebook_block(repr(self).strip("<>"), figure_html(self.plot()) if self.history else "")


def live_curves() -> Callable[[str, list[Row]], None] | None:
    """A function that redraws the curves after each epoch; None outside a notebook."""
    ipython = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
        return None
    from IPython.display import HTML, display

    from lucency.html import figure_html
    from lucency.train.metrics import draw_history

    phases: dict[str, list[Row]] = {}
    shown = display(HTML(""), display_id=True)  # type: ignore[no-untyped-call]

    def draw(phase: str, rows: list[Row]) -> None:
        phases[phase] = rows
        shown.update(HTML(figure_html(draw_history(phases))))  # type: ignore[no-untyped-call]

    return draw
