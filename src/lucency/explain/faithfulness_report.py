"""The results of all explainers as JSON, as a table for a terminal, and as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lucency.evaluate.confidence_intervals import LEVEL, METHOD
from lucency.evaluate.predictions import patient_words
from lucency.explain.faithfulness import RANDOM, Estimate, ExplainerResult

SCHEMA_VERSION = 1

LABELS: dict[str, str] = {
    "pointing": "hit rate: maximum inside",
    "pointing_near": "pointing game, 3 % of the side",
    "energy_in_lesion": "energy in the lesion",
    "lesion_share": "  chance: lesion's share of film",
    "energy_over_chance": "  times chance",
    "precision": "average precision of pixels",
    "iou": "intersection over union",
    "energy_in_lungs": "energy in the lungs",
    "lungs_share": "  chance: lungs' share of film",
    "energy_in_outlined_lungs": "energy in lungs outlined by hand",
    "outlined_lungs_share": "  chance: their share of film",
    "energy_in_lungs_untrained": "  of random weights",
    "deletion": "deletion area (small is good)",
    "insertion": "insertion area (large is good)",
    "occlusion": "agreement with occlusion",
    "labels_rank": "like shuffled labels', rank",
    "labels_structure": "like shuffled labels', structure",
    "seeds_rank": "like other seeds', rank",
    "seeds_structure": "like other seeds', structure",
}
"""Figure → its name in the table, in order."""
CAUSES: dict[str, str] = {
    "auroc": "AUROC of the films as they are",
    "uncertain": "  uncertain",
    "painted_auroc": "lungs painted over: AUROC",
    "painted_uncertain": "  uncertain",
    "exchanged_auroc": "outside exchanged: AUROC",
    "exchanged_uncertain": "  uncertain",
    "exchanged_flipped": "  verdicts flipped",
    "exchanged_logit_moved": "  median |logit moved|",
}
"""The same for interventions."""


def to_json(
    results: Sequence[ExplainerResult], about: Mapping[str, Any], causes: Sequence[Estimate] = ()
) -> dict[str, Any]:
    """The content of faith.json."""
    return {
        "schema_version": SCHEMA_VERSION,
        **about,
        "intervals": {"level": LEVEL, "method": METHOD, "drawn": "patients"},
        "methods": [_one(row) for row in results],
        "causes": [asdict(figure) for figure in causes],
    }


def table(results: Sequence[ExplainerResult], about: Mapping[str, Any], causes: Sequence[Estimate] = ()) -> str:
    """The results as a table for a terminal."""
    chance = {f.name: f for row in results if row.method == RANDOM for f in row.figures}
    patients = patient_words(about["patients"] if about["patients_known"] else None)
    lines = [f"{about['films']} films with {about['finding']}, {patients}; {about['data']}"]
    for row in results:
        if row.method == RANDOM and len(results) > 1:
            continue
        lines += ["", row.method + (f"   ✗ {row.mark}" if row.mark else "")]
        named = {f.name: f for f in row.figures}
        for name, label in LABELS.items():
            if name in named:
                beside = f"random map {chance[name]}" if name in chance and not label.startswith("  ") else ""
                lines.append(f"  {label:34}{named[name]!s:26}{beside}".rstrip())
        lines += _cascade_lines(row)
    lines += _cause_lines(causes)
    lines += ["", f"In brackets: {LEVEL:.0%} intervals, resampling patients."]
    return "\n".join(lines)


def curves_picture(results: Sequence[ExplainerResult]) -> bytes:
    """Deletion, insertion and the cascade of every explainer, as PNG."""
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(12, 4), layout="constrained")
    deletion, insertion, cascade = canvas.subplots(1, 3)
    for row in results:
        style = {"color": "gray", "linestyle": ":"} if row.method == RANDOM else {}
        for panel, curve in ((deletion, row.deletion), (insertion, row.insertion)):
            panel.plot([step / (len(curve) - 1) for step in range(len(curve))], curve, label=row.method, **style)
        if row.cascade:
            values = [figure.value for figure in row.cascade.figures]
            cascade.plot(row.cascade.blocks, values, marker="o", label=row.method + (" ✗" if row.failed else ""))
    deletion.set(title="Deletion: evidence covered first", xlabel="share of the film covered", ylabel="probability")
    insertion.set(title="Insertion: evidence uncovered first", xlabel="share of the film uncovered")
    cascade.set(title="Random weights", xlabel="random blocks, from the last", ylabel="similarity of the map")
    for panel in (deletion, insertion, cascade):
        panel.set_ylim(-0.05, 1.05)
        panel.grid(alpha=0.3)
    deletion.legend(fontsize=8)
    stream = io.BytesIO()
    canvas.savefig(stream, format="png", dpi=110, metadata={"Software": "lucency"})
    return stream.getvalue()


def _one(row: ExplainerResult) -> dict[str, Any]:
    cascade = None
    if row.cascade:
        cascade = {"blocks": list(row.cascade.blocks), "similarity": [asdict(f) for f in row.cascade.figures]}
    return {
        "method": row.method,
        "mark": row.mark,
        "fails_randomisation": row.failed,
        "figures": [asdict(figure) for figure in row.figures],
        "cascade": cascade,
        "curves": {"deletion": row.deletion.tolist(), "insertion": row.insertion.tolist()},
    }


def _cause_lines(causes: Sequence[Estimate]) -> list[str]:
    if not causes:
        return []
    named = {figure.name: figure for figure in causes}
    rows = [f"  {label:34}{named[name]!s}" for name, label in CAUSES.items()]
    return ["", f"cause: {causes[0].films} films changed and read again", *rows]


def _cascade_lines(row: ExplainerResult) -> list[str]:
    if row.cascade is None:
        return []
    stops = zip(row.cascade.blocks, row.cascade.figures, strict=True)
    found = "  ".join(f"{blocks}: {figure.value:.2f}" for blocks, figure in stops)
    verdict = "FAILS: the map shows the film, not the network" if row.failed else "passes"
    return [
        f"  similarity with random blocks       {found}",
        f"  {'the later half random':34}{row.cascade.half!s:26}{verdict}",
    ]
