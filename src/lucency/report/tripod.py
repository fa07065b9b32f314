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
        Item(
            "5a", METHODS, "Sources of data for development and for evaluation, why, how representative", known.sources
        ),
        Item("5b", METHODS, "Dates of accrual and end of follow-up", author),
        Item("6a", METHODS, "Setting, number and location of centres", known.setting),
        Item("6b", METHODS, "Eligibility criteria", author),
        Item("6c", METHODS, "Treatments received, and how they were handled", author),
        Item("7", METHODS, "Pre-processing and quality checks, alike across groups", known.preparation),
        Item(
            "8a",
            METHODS,
            "Outcome, time horizon, how and when assessed, why this one, alike across groups",
            known.outcome,
        ),
        Item("8b", METHODS, "Qualifications and demographics of those who assessed the outcome", known.labelled_by),
        Item("8c", METHODS, "Blinding of outcome assessment", author),
        Item("9a", METHODS, "Choice and pre-selection of initial predictors", known.predictors),
        Item("9b", METHODS, "Definition and measurement of predictors, and its blinding", known.predictors),
        Item(
            "9c",
            METHODS,
            "Qualifications and demographics of those who assessed predictors that need interpretation",
            known.no_assessor,
        ),
        Item(
            "10",
            METHODS,
            "How the size for development and for evaluation was arrived at, and why it suffices",
            known.size,
        ),
        Item("11", METHODS, "Missing data, and why any were left out", known.missing),
        Item("12a", METHODS, "How the data were used and partitioned", known.partition),
        Item("12b", METHODS, "How predictors entered: scaling, transformation", known.scaling),
        Item("12c", METHODS, "Type of model and why, building steps, tuning, internal validation", known.training),
        Item("12d", METHODS, "How heterogeneity across clusters such as hospitals was handled and quantified", author),
        Item("12e", METHODS, "Measures and plots of performance, why these, and comparisons of models", known.measures),
        Item(
            "12f",
            METHODS,
            "Updating of the model, such as recalibration, overall or for groups and settings",
            known.updating,
        ),
        Item("12g", METHODS, "How predictions were computed", known.how_computed),
        Item("13", METHODS, "Methods for class imbalance, why, and recalibration afterwards", known.imbalance),
        Item("14", METHODS, "Approaches to fairness, and why", author),
        Item("15", METHODS, "Output, classification, how its thresholds were found and why", known.output),
        Item(
            "16",
            METHODS,
            "Differences between development and evaluation data in setting, eligibility, outcome, predictors",
            known.differences,
        ),
        Item("17", METHODS, "Ethical approval and consent", author),
        Item("18a", OPEN, "Funding and the funders' role", author),
        Item("18b", OPEN, "Conflicts of interest", author),
        Item("18c", OPEN, "Protocol, or that there is none", author),
        Item("18d", OPEN, "Registration, or that there is none", author),
        Item("18e", OPEN, "Availability of data", use.data_sharing),
        Item("18f", OPEN, "Availability of the code of the analysis", use.code_sharing),
        Item("19", "Patients and public", "Involvement of patients and the public, or that there was none", author),
        Item("20a", RESULTS, "Flow of participants, with and without the outcome; follow-up", known.flow),
        Item(
            "20b",
            RESULTS,
            "Characteristics by source and setting, missing data, differences between demographic groups",
            known.characteristics,
        ),
        Item("20c", RESULTS, "Evaluation data against development data", author),
        Item("21", RESULTS, "Participants and events in each analysis: development, tuning, evaluation", known.numbers),
        Item(
            "22",
            RESULTS,
            "The full model, so that others can use and evaluate it; restrictions to access",
            use.availability,
        ),
        Item("23a", RESULTS, "Performance with intervals, in subgroups too", known.performance),
        Item("23b", RESULTS, "Heterogeneity of performance across clusters, if examined", author),
        Item("24", RESULTS, "Results of updating: the updated model and its performance", known.updating),
        Item("25", DISCUSSION, "Interpretation, fairness included", author),
        Item("26", DISCUSSION, "Limitations, and their effect on bias, uncertainty and generalisability", use.limits),
        Item(
            "27a", DISCUSSION, "How poor or missing input is assessed and handled when the model is used", use.bad_input
        ),
        Item("27b", DISCUSSION, "Whether users handle the input or the model, and the expertise they need", author),
        Item("27c", DISCUSSION, "Next steps of research, for applicability and generalisability", author),
    ),
)
"""52 items."""
