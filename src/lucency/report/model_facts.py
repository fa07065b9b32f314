"""The Model Facts label (Sendak et al. 2020): what a clinician should know of a model on one page."""

from __future__ import annotations

from lucency.report import answers as known
from lucency.report import use
from lucency.report.checklist import Guideline, Item, author

SUMMARY, MECHANISM, VALIDATION = "Summary", "Mechanism", "Validation and performance"
USES, WARNINGS, OTHER = "Uses and directions", "Warnings", "Other information"

MODEL_FACTS = Guideline(
    name="Model Facts label",
    about="What clinical end users should know of a model.",
    citation="Sendak MP, Gao M, Brajer N, Balu S. npj Digit Med 2020;3:41, doi 10.1038/s41746-020-0253-3 (CC BY 4.0).",
    file="model-facts.md",
    items=(
        Item("1", SUMMARY, "Name, version, developer, date", use.availability),
        Item("2", SUMMARY, "What the model is for", known.task),
        Item("3", MECHANISM, "Outcome", known.outcome),
        Item("4", MECHANISM, "Output", known.output),
        Item("5", MECHANISM, "Target population", author),
        Item("6", MECHANISM, "Time of prediction", known.task),
        Item("7", MECHANISM, "Input data: source and type", known.predictors),
        Item("8", MECHANISM, "Training data: place and time", known.sources),
        Item("9", MECHANISM, "Type of model", known.network),
        Item("10", VALIDATION, "Performance with intervals, and on whom", known.performance),
        Item("11", VALIDATION, "Performance in subgroups", known.by_subgroup),
        Item("12", USES, "Benefits", author),
        Item("13", USES, "Target population and use case", author),
        Item("14", USES, "Appropriate decision support", author),
        Item("15", USES, "What to do before use at a site", use.before_use),
        Item("16", USES, "Evaluation of safety and efficacy", author),
        Item("17", WARNINGS, "Risks", use.limits),
        Item("18", WARNINGS, "Inappropriate settings and decisions", use.bad_input),
        Item("19", WARNINGS, "Clinical rationale and how to read the output", use.maps),
        Item("20", WARNINGS, "Generalisability", known.differences),
        Item("21", WARNINGS, "When to stop using it", author),
        Item("22", OTHER, "How it was developed", known.training),
        Item("23", OTHER, "Trials and evaluation of clinical impact", author),
        Item("24", OTHER, "Whom to ask", author),
    ),
)
"""The label's fields, 24 of them, in its order."""
