"""Metrics and settings in words that a clinician uses."""

from __future__ import annotations

from dataclasses import dataclass

from lucency.evaluate import Measure
from lucency.evaluate.predictions import threshold_words
from lucency.evaluate.report import ALL, MACRO
from lucency.report.context import ReportContext

MEANINGS: dict[str, str] = {
    "sensitivity": "of the films with {finding}, the share called so",
    "specificity": "of the films without {finding}, the share called clear",
    "precision": "of the films called {finding}, the share that has it; depends on how common it is here",
    "npv": "of the films called clear, the share that is; depends on how common {finding} is here",
    "accuracy": "of all films, the share called rightly",
    "f1": "harmonic mean of precision and sensitivity",
    "auroc": "chance that a film with {finding} is ranked above one without",
    "average_precision": "mean precision over all thresholds",
    "brier": "mean squared distance of the probability from the truth; 0 is best",
    "ece": "how far probabilities are from the shares observed, on average; 0 is best",
    "answered": "of all films, the share that the reader answers; the others are ‘uncertain: refer’",
    "answered_accuracy": "of the films answered, the share called rightly",
    "answered_sensitivity": "of the films with {finding} that are answered, the share called so",
    "answered_specificity": "of the films without {finding} that are answered, the share called clear",
    "balanced_accuracy": "mean over the classes of the share of their films called rightly",
    "quadratic_kappa": "agreement of grades beyond chance, a far grade counting more than the next; 1 is best",
    "augrc": "chance that a film is answered wrongly, the share answered being drawn at random; 0 is best",
    "mean_cost": "what a film costs on average, by the card's costs of errors",
    "exact_match": "of all films, the share with every label right",
}
TITLES: dict[str, str] = {
    "auroc": "AUROC",
    "npv": "negative predictive value",
    "precision": "positive predictive value",
    "ece": "calibration error (ECE)",
    "brier": "Brier score",
    "augrc": "AUGRC",
    "f1": "F1",
}
CLASS_FIGURES = ("sensitivity", "specificity", "auroc", "ece")
"""Of each class, beside the means."""
NOT_CHOSEN = {"default": "the default", "given": "as given", "fixed beforehand": "fixed beforehand"}
"""Text of a threshold that was not chosen on films."""


def title(name: str) -> str:
    """The name of a figure.

    >>> title("answered_accuracy"), title("auroc")
    ('answered accuracy', 'AUROC')
    """
    return TITLES.get(name, name.replace("_", " "))


def meaning(measure: Measure) -> str:
    """The meaning of a figure."""
    return MEANINGS.get(measure.name, "").format(finding="a label" if measure.finding == MACRO else measure.finding)


def finding(context: ReportContext) -> str:
    """The finding or findings of the reader."""
    names = context.card.labels
    return names[1] if context.card.task == "binary" else ", ".join(names)


def in_a_hundred(context: ReportContext) -> tuple[str, ...]:
    """Sensitivity and specificity as natural frequencies, a sentence each; empty for more than one finding."""
    if context.report.task != "binary":
        return ()
    name = context.report.label_names[1]
    found, cleared = context.report.measure("sensitivity"), context.report.measure("specificity")
    sentences = []
    if found.value is not None:
        sentences.append(f"Of 100 films with {name}, it finds {_hundred(found)} and misses the others.")
    if cleared.value is not None:
        rest = "and raises a false alarm on the others"
        sentences.append(f"Of 100 films without {name}, it clears {_hundred(cleared)} {rest}.")
    return tuple(sentences)


def _hundred(measure: Measure) -> str:
    assert measure.value is not None
    interval = ""
    if measure.low is not None and measure.high is not None:
        interval = f" (95 % interval {100 * measure.low:.0f} to {100 * measure.high:.0f})"
    return f"{100 * measure.value:.0f}{interval}"


def threshold(context: ReportContext) -> str:
    """The threshold and how it was chosen."""
    if context.report.threshold is None:
        return (
            f"the {'most probable class' if context.card.costs is None else 'class of least expected cost'} is called"
        )
    by, point = str(context.about.get("threshold_chosen_by")), context.card.operating_point
    where = f", on {point.chosen_on}" if point.chosen_on and by == point.chosen_by else ""
    called_at = threshold_words(context.report.threshold, context.report.label_names)
    return f"called at or above {called_at}, {NOT_CHOSEN.get(by, f'chosen by {by}')}{where}"


def evaluated(context: ReportContext) -> str:
    """The evaluation films."""
    report = context.report
    labels = ", ".join(f"{name} {n:,}" for name, n in zip(report.label_names, report.films_per_label, strict=True))
    return f"{report.counted} ({labels}); split {context.about['split']} of {context.about['data']}"


def trained(context: ReportContext) -> str:
    """The training films."""
    training = context.card.training
    if not training.films:
        return "films not stated in the card"
    return str(training)


def calibrated(context: ReportContext) -> str:
    """How logits become probabilities."""
    calibration = context.card.calibration
    if calibration.method == "none":
        return "none: the network's own probability"
    return f"{calibration.method}, fitted on {calibration.fitted_on or 'films not stated'}"


def refers(context: ReportContext) -> str:
    """When the reader refers instead of answering."""
    abstention, gate = context.card.abstention, context.card.gate
    reasons = []
    if abstention.method != "none":
        reasons.append(f"{abstention.method} prediction sets with coverage {abstention.coverage:g}")
    if gate.checks:
        reasons.append("input gate: " + ", ".join(check.name for check in gate.checks))
    return "; ".join(reasons) or "never: it answers every film it can open"


def figures(context: ReportContext) -> tuple[Measure, ...]:
    """The figures to show: all of one finding, or those about all labels and their means."""
    if context.report.task == "binary":
        return context.report.measures
    return tuple(measure for measure in context.report.measures if measure.finding in (ALL, MACRO))


@dataclass(frozen=True)
class ClassRow:
    """One of several labels against the rest."""

    name: str
    films: int
    figures: tuple[Measure, ...]
    """Those of CLASS_FIGURES."""


def classes(context: ReportContext) -> tuple[ClassRow, ...]:
    """Each of several labels; none for one finding."""
    report = context.report
    if report.task == "binary":
        return ()
    named = {(measure.finding, measure.name): measure for measure in report.measures}
    return tuple(
        ClassRow(label, films, tuple(named[label, name] for name in CLASS_FIGURES))
        for label, films in zip(report.label_names, report.films_per_label, strict=True)
    )
