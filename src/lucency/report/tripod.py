"""TRIPOD+AI (Collins et al. 2024): how a prediction model is to be reported."""

from __future__ import annotations

from lucency.report import answers as known
from lucency.report import use
from lucency.report.checklist import Guideline, Item, author

INTRODUCTION, METHODS, OPEN, RESULTS, DISCUSSION = "Introduction", "Methods", "Open science", "Results", "Discussion"

TRIPOD = Guideline(
    name="TRIPOD+AI checklist",
    about="Reporting of clinical prediction models that use regression or machine learning.",
    citation="Collins GS, Moons KGM, Dhiman P, et al. BMJ 2024;385:e078378, doi 10.1136/bmj-2023-078378 (CC BY 4.0).",
    file="tripod-ai.md",
    items=(
        Item(
            "1", "Title", "Developing or evaluating a prediction model, target population, outcome", known.study_title
        ),
        Item("2", "Abstract", "By the TRIPOD+AI for Abstracts checklist", author),
        Item(
            "3a", INTRODUCTION, "Healthcare context, diagnostic or prognostic, rationale, existing models", known.task
        ),
        Item("3b", INTRODUCTION, "Target population, purpose in the care pathway, intended users", author),
        Item("3c", INTRODUCTION, "Known health inequalities between groups", author),
        Item("4", INTRODUCTION, "Objectives; development, evaluation or both", author),
        Item("5a", METHODS, "Sources of data, why, how representative", known.sources),
        Item("5b", METHODS, "Dates of accrual", author),
        Item("6a", METHODS, "Setting, number and location of centres", known.setting),
        Item("6b", METHODS, "Eligibility criteria", author),
        Item("6c", METHODS, "Treatments received", author),
        Item("7", METHODS, "Pre-processing and quality checks, alike across groups", known.preparation),
        Item("8a", METHODS, "Outcome, time horizon, how and when assessed", known.outcome),
        Item("8b", METHODS, "Who assessed the outcome", known.labelled_by),
        Item("8c", METHODS, "Blinding of outcome assessment", author),
        Item("9a", METHODS, "Choice of initial predictors", known.predictors),
        Item("9b", METHODS, "Definition and measurement of predictors", known.predictors),
        Item("9c", METHODS, "Who assessed predictors that need interpretation", known.no_assessor),
        Item("10", METHODS, "How the study size was arrived at and why it suffices", known.size),
        Item("11", METHODS, "Missing data", known.missing),
        Item("12a", METHODS, "How the data were used and partitioned", known.partition),
        Item("12b", METHODS, "How predictors entered: scaling, transformation", known.scaling),
        Item("12c", METHODS, "Type of model, building steps, tuning, internal validation", known.training),
        Item("12d", METHODS, "Heterogeneity across clusters such as hospitals", author),
        Item("12e", METHODS, "Measures and plots of performance", known.measures),
        Item("12f", METHODS, "Updating of the model, such as recalibration", known.updating),
        Item("12g", METHODS, "How predictions were computed", known.how_computed),
        Item("13", METHODS, "Class imbalance and recalibration afterwards", known.imbalance),
        Item("14", METHODS, "Approaches to fairness", author),
        Item("15", METHODS, "Output, classification and its thresholds", known.output),
        Item("16", METHODS, "Differences between development and evaluation data", known.differences),
        Item("17", METHODS, "Ethical approval and consent", author),
        Item("18a", OPEN, "Funding and the funders' role", author),
        Item("18b", OPEN, "Conflicts of interest", author),
        Item("18c", OPEN, "Protocol", author),
        Item("18d", OPEN, "Registration", author),
        Item("18e", OPEN, "Availability of data", use.data_sharing),
        Item("18f", OPEN, "Availability of code", use.code_sharing),
        Item("19", "Patients and public", "Involvement of patients and the public", author),
        Item("20a", RESULTS, "Flow of participants, with and without the outcome", known.flow),
        Item("20b", RESULTS, "Characteristics of participants", known.characteristics),
        Item("20c", RESULTS, "Evaluation data against development data", author),
        Item("21", RESULTS, "Participants and events in each analysis", known.numbers),
        Item("22", RESULTS, "The full model, and access to it", use.availability),
        Item("23a", RESULTS, "Performance with intervals, in subgroups too", known.performance),
        Item("23b", RESULTS, "Heterogeneity of performance across clusters", known.by_subgroup),
        Item("24", RESULTS, "Results of updating", known.updating),
        Item("25", DISCUSSION, "Interpretation", author),
        Item("26", DISCUSSION, "Limitations", use.limits),
        Item("27a", DISCUSSION, "Poor or missing input when the model is used", use.bad_input),
        Item("27b", DISCUSSION, "What users must do and know", author),
        Item("27c", DISCUSSION, "Next steps of research", author),
    ),
)
"""52 items."""
