"""What a reader says of one film: in numbers, in words, as HTML for a notebook and as a matplotlib figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lucency import NOTICE
from lucency.bundle import Card
from lucency.errors import UsageError, name_extra
from lucency.evaluate.predictions import UNCERTAIN, Costs, expected_costs, refers
from lucency.evaluate.selective_prediction import prediction_sets
from lucency.film import Film
from lucency.html import NOTEBOOK, data_url
from lucency.lungs import lung_outline
from lucency.modality import MODALITIES
from lucency.paint import Legend, overlay
from lucency.preprocess import Preprocess
from lucency.reader.input_checks import GATE_WORDS, NO_SUCH_FILM, Doubt
from lucency.reader.outputs import (
    REFER,
    Band,
    Floats,
    Outputs,
    accepted,
    bands,
    called_label,
    calls,
    failed_names,
    ranked,
    why,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


LEADING = 3
NAMED = 5
"""Classes that are named where more than one remains possible; more are counted."""
"""Labels named of several."""

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Reading:
    """What a reader says of one film. In a notebook it shows the film, the map, the verdict and the doubts."""

    name: str
    """Of the film, for its user."""
    verdict: str
    """The label called, or `uncertain`: refer. For a multilabel task every label called, joined by `|`, or nothing."""
    called: str
    """The label at the card's threshold, sure or not."""
    finding: str
    """The label that `probability`, `logit` and `map` speak of: of several findings the most probable of those called,
    of all where none is."""
    index: int
    """Which of the answers that is."""
    probabilities: Floats
    """float32 (f,), calibrated; they mean nothing where `withheld`."""
    logits: Floats
    """float32 (f,), before calibration."""
    maps: Floats
    """float32 (f, h, w), signed, in logits."""
    warnings: tuple[str, ...] = ()
    """Reasons to doubt this reading, a sentence each; among them those for `uncertain`."""
    doubts: tuple[str, ...] = ()
    """The same reasons as codes: of `Doubt`, names of the gate's checks, `unlike`, and `several` or `neither` where the
    prediction set does not hold the called label alone, `costs` where referring costs less. Every port gives the same
    ones (ports/contract/)."""
    withheld: str = ""
    """Why there is no probability: this is no film of the kind that the reader learned from. Empty where there is."""
    card: Card | None = field(default=None, compare=False)
    """Of the reader."""
    film: Film | None = field(default=None, compare=False)
    """What was read; None where many are read, so that their pixels need not be kept."""

    @property
    def probability(self) -> float | None:
        """Of `finding`; None where `withheld` says why there is none."""
        return None if self.withheld else float(self.probabilities[self.index])

    @property
    def logit(self) -> float | None:
        """Of `finding`, before calibration; None where `withheld`."""
        return None if self.withheld else float(self.logits[self.index])

    @property
    def map(self) -> Floats:
        """float32 (h, w): where the evidence for `finding` (above zero) and against it (below) lies, in logits.

        Zero where `withheld`.
        """
        found: Floats = self.maps[self.index]
        return np.zeros_like(found) if self.withheld else found

    @property
    def leading(self) -> dict[int, str]:
        """The three most probable of several labels, best first: number → label; empty where `withheld`.

        Of several findings those called come first, all of them.
        """
        if self.withheld or self.card is None:
            return {}
        labels, called = self.card.labels[-self.card.findings :], self.called.split("|")
        shown = max(LEADING, len(called)) if self.card.task == "multilabel" else LEADING
        return {int(index): labels[index] for index in ranked(self.card, self.probabilities)[:shown]}

    @property
    def shares(self) -> str:
        """`mel 0.612, nv 0.301, bkl 0.051`: the leading labels with their probabilities."""
        return ", ".join(f"{label} {self.probabilities[index]:.3f}" for index, label in self.leading.items())

    @property
    def bands(self) -> tuple[Band, ...]:
        """What each stretch of the probability is called, from 0 to 1; empty for a task of several findings."""
        return bands(self.card) if self.card else ()

    @property
    def prediction_set(self) -> tuple[str, ...]:
        """The classes that the evidence does not rule out; empty for two labels, several findings, or without sets."""
        if self.card is None or self.card.task != "multiclass" or not self.card.abstention.least or self.withheld:
            return ()
        return _held(self.card, self.probabilities)

    @property
    def answer(self) -> str:
        """The reading in words, without the film's name.

        `pneumonia 0.990: pneumonia (0.89 or more)`, `pneumonia 0.450: refer (between 0.16 and 0.89)`,
        `mel 0.570, nv 0.390, bkl 0.020: refer (mel or nv)`, or `no probability:` and why.
        """
        if self.probability is None:
            return f"no probability: {self.withheld}"
        shown = REFER if self.verdict == UNCERTAIN else self.verdict or "nothing found"
        reason = why(self.bands, self.probability, self.verdict)
        if self.card is not None and self.card.costs is not None and self.verdict != UNCERTAIN:
            reason = "least expected cost"
        if "several" in self.doubts and self.prediction_set:
            held = self.prediction_set
            reason = " or ".join(held) if len(held) <= len(self.leading) else f"one of {len(held)} classes"
        return f"{self.shares or f'{self.finding} {self.probability:.3f}'}: {shown}{f' ({reason})' if reason else ''}"

    @property
    def further_doubts(self) -> tuple[str, ...]:
        """The warnings that `answer` does not state already."""
        return tuple(warning for warning in self.warnings if warning != self.withheld)

    def to_json(self) -> dict[str, Any]:
        """What `lucency read --json` prints; the maps are left out."""
        facts: dict[str, Any] = {
            "film": self.name,
            "verdict": self.verdict,
            "called": None if self.withheld else self.called,
            "finding": self.finding,
            "probability": self.probability,
            "logit": self.logit,
            "reason": self.withheld or None,
        }
        if len(self.probabilities) > 1:
            facts["probabilities"] = None if self.withheld else [float(value) for value in self.probabilities]
            facts["leading"] = [
                {"label": label, "probability": float(self.probabilities[index])}
                for index, label in self.leading.items()
            ]
        if self.card is not None and self.card.task == "multiclass" and self.card.abstention.least:
            facts["prediction_set"] = None if self.withheld else list(self.prediction_set)
        if self.card is not None and self.card.costs is not None:
            facts["expected_costs"] = None if self.withheld else self._expected_costs(self.card.costs)
        return {**facts, "warnings": list(self.warnings)}

    def _expected_costs(self, costs: Costs) -> dict[str, float]:
        """What each call costs on average, and referring, where that has a cost."""
        assert self.card is not None
        each = expected_costs(costs, self.probabilities[None])[0].tolist()
        referring = {"refer": float(self.probabilities.astype(np.float64) @ np.array(costs.refer))}
        return {**dict(zip(self.card.labels, each, strict=True)), **(referring if costs.refer else {})}

    def __repr__(self) -> str:
        # A repr ends up in logs and tracebacks, so the film's name is not in it.
        doubts = {0: "", 1: ", 1 doubt"}.get(len(self.warnings), f", {len(self.warnings)} doubts")
        return f"<Reading {self.answer}{doubts}>"

    def _repr_html_(self) -> str:

        return _html(self)

    def plot(self) -> Figure:
        """Film and map side by side under the answer, as a matplotlib figure.

        Raises:
            UsageError: a reading without its film, as `read_many` gives.
            ExtraError: matplotlib is not installed.
        """
        return _figure(self)


def reading(
    card: Card, name: str, answers: Outputs, row: int, doubts: Sequence[Doubt], film: Film | None = None
) -> Reading:
    """One row of `answers` as a reading, with the verdict at the card's operating point.

    Args:
        card: of the bundle that answered.
        name: of the film.
        answers: an engine's.
        row: which film of them.
        doubts: what was noticed about the film before the network was asked.
        film: to be kept with the reading.
    """
    rows = slice(row, row + 1)
    one = Outputs(answers.logits[rows], answers.probabilities[rows], answers.maps[rows], answers.doubts[rows])
    chances = one.probabilities[0]
    best = int(ranked(card, chances)[0] if card.costs is None else called_label(card, one.probabilities)[0])
    called = _word(card, chances)
    reasons = failed_names(card, one.doubts[0])
    explained = any(doubt.explains for doubt in doubts)
    said = [(doubt.code, doubt.words) for doubt in doubts]
    said += [(reason, _gate_words(card, reason)) for reason in reasons if not explained]
    stands = bool(accepted(card, one)[0])
    if not stands and not reasons:
        said.append(_undecided(card, chances))
    return Reading(
        name=name,
        verdict=called if stands and not any(doubt.refuses for doubt in doubts) else UNCERTAIN,
        called=called,
        finding=card.labels[1] if card.task == "binary" else card.labels[best],
        index=best,
        probabilities=chances,
        logits=one.logits[0],
        maps=one.maps[0],
        warnings=tuple(words for _, words in said),
        doubts=tuple(code for code, _ in said),
        withheld=next((words for code, words in said if code in NO_SUCH_FILM), ""),
        card=card,
        film=film,
    )


def _word(card: Card, chances: Floats) -> str:
    if card.task != "multilabel":
        return card.labels[int(called_label(card, chances[None])[0])]
    return "|".join(card.labels[i] for i in np.flatnonzero(calls(card, chances[None])[0]))


def _gate_words(card: Card, reason: str) -> str:
    """What a failed check of the gate means for pictures of the card's kind."""
    kind = MODALITIES[card.modality]
    if kind.lungs:
        return GATE_WORDS[reason]
    words = {
        "layout": f"this does not look like a {kind.noun}: another view or part, turned, inverted, or another picture",
        "upside_down": f"this {kind.noun} looks upside down",
        "mirrored": f"this {kind.noun} looks mirrored",
    }
    return words.get(reason, GATE_WORDS[reason].replace("film", "picture"))


def _undecided(card: Card, chances: Floats) -> tuple[str, str]:
    """Why no single label stands, though the gate takes the film: code and words."""
    if card.costs is not None and refers(card.costs, chances[None])[0]:
        return "costs", f"to refer this {MODALITIES[card.modality].word} costs less, on average, than any call"
    names = _held(card, chances)
    if card.task == "multiclass":
        return _undecided_classes(card, names)
    if not names:
        between = " and ".join(card.labels)
        such = f"{MODALITIES[card.modality].word}s"
        return "neither", f"the evidence lies between {between}, where such {such} are often read wrongly"
    return "several", f"the evidence does not rule out {' or '.join(names)}"


def _undecided_classes(card: Card, names: tuple[str, ...]) -> tuple[str, str]:
    """`_undecided` of several classes, of which the evidence leaves those of `names`."""
    if not names:
        such = f"{MODALITIES[card.modality].word}s"
        return "neither", f"no class is probable enough: such {such} are often read wrongly"
    some = f": {', '.join(names)}" if len(names) <= NAMED else ""
    return "several", f"{len(names)} of {len(card.labels)} classes remain possible{some}"


def _held(card: Card, chances: Floats) -> tuple[str, ...]:
    """The labels in the prediction set."""
    held = prediction_sets(chances[None], card.task, card.abstention.least)[0]
    return tuple(label for label, inside in zip(card.labels, held, strict=True) if inside)


HIGH = 280
"""Pixels along a picture's height in a notebook."""
INK, REFER_INK = ("#2e7d32", "#b3261e"), "#8a6d00"
"""The first label, the finding; refer. Each at least 4.5:1 on white."""


def _html(reading: Reading) -> str:
    """The reading as one self-contained block: film, map, answer, bands, doubts, notice."""
    ink = _ink(reading, reading.verdict)
    parts = [
        f'<div style="font-size:17px;font-weight:600;color:{ink}">{escape(reading.answer)}</div>',
        _scale(reading),
        "".join(f'<div style="color:#5c4a00">doubt: {escape(doubt)}</div>' for doubt in reading.further_doubts),
        f'<div style="color:#5a5a5a;font-size:12px;margin-top:6px">{escape(_footer(reading))}</div>',
    ]
    return f'<div style="{NOTEBOOK}">{_pictures_html(reading)}{"".join(parts)}</div>'


def pictures(reading: Reading) -> tuple[Image.Image, Image.Image]:
    """The film, and the film with its map; at their own size.

    Raises:
        UsageError: a reading without its film.
    """
    if reading.film is None or reading.card is None:
        raise UsageError("this reading was made without keeping its film; read it again with reader.read")
    film, preprocess = reading.film, Preprocess.from_json(reading.card.preprocess.model_dump())
    plain = Image.fromarray(film.rgb8())
    if reading.withheld:
        return plain, plain
    outline = lung_outline(film.gray8()) if MODALITIES[reading.card.modality].lungs else None
    return plain, overlay(film, reading.map, preprocess, lungs=outline)


def _figure(reading: Reading) -> Figure:
    """Film and map side by side; see `Reading.plot`."""
    with name_extra():
        from matplotlib.figure import Figure

    drawn = Figure(figsize=(8, 4.6), layout="constrained")
    for axes, picture, title in zip(drawn.subplots(1, 2), pictures(reading), ("film", "map"), strict=True):
        axes.imshow(picture)
        axes.set_title(title, fontsize=10)
        axes.axis("off")
    drawn.suptitle(reading.answer, fontsize=12)
    drawn.supxlabel("\n".join([*reading.further_doubts, _footer(reading)]), fontsize=8, wrap=True)
    return drawn


def _pictures_html(reading: Reading) -> str:
    if reading.film is None:
        return ""
    shown = pictures(reading)[: 1 if reading.withheld else 2]
    titles = ("the film", "the film with the strongest evidence marked")
    images = "".join(
        f'<img src="{data_url(_small(picture))}" alt="{title}" style="height:{HIGH}px;max-width:49%;'
        'object-fit:contain;background:#000;border-radius:4px">'
        for picture, title in zip(shown, titles, strict=False)
    )
    kind = MODALITIES[reading.card.modality if reading.card else "chest_xray"]
    key = "" if reading.withheld else Legend(finding=reading.finding, kind=kind).key
    return (
        f'<div style="display:flex;gap:2%">{images}</div>'
        f'<div style="color:#5a5a5a;font-size:12px;margin:4px 0 8px">{escape(key)}</div>'
    )


def _small(picture: Image.Image) -> Image.Image:
    """Twice the shown height, for dense displays; never enlarged."""
    small = picture.copy()
    small.thumbnail((4 * HIGH, 2 * HIGH))
    return small


def _scale(reading: Reading) -> str:
    """The bands as a bar with their names, and a needle at the probability."""
    if reading.withheld or not reading.bands:
        return ""
    stretches = "".join(
        f'<div title="{escape(str(band))}" style="width:{100 * (band.high - band.low):.2f}%;'
        f'background:{_ink(reading, band.verdict)}"></div>'
        for band in reading.bands
    )
    needle = (
        f'<div style="position:absolute;left:calc({100 * (reading.probability or 0):.2f}% - 2px);top:-4px;width:4px;'
        'height:18px;background:#1c1c1c;border:1px solid #fff;box-sizing:border-box"></div>'
    )
    words = ", ".join(map(str, reading.bands))
    return (
        f'<div style="position:relative;margin:8px 0 4px"><div style="display:flex;height:10px;gap:2px">{stretches}'
        f'</div>{needle}</div><div style="font-size:12px;color:#3c3c3c">{escape(words)}</div>'
    )


def _ink(reading: Reading, verdict: str) -> str:
    if verdict == UNCERTAIN or reading.withheld:
        return REFER_INK
    return INK[int(reading.card is not None and verdict != reading.card.labels[0])]


def _footer(reading: Reading) -> str:
    learned = reading.card.population.words if reading.card else ""
    return " ".join([f"Learned from: {learned}"] * bool(learned) + [NOTICE])
