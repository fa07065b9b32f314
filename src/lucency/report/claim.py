"""CLAIM, 2024 (Tejani et al.): how a study of artificial intelligence in medical imaging is to be reported."""

from __future__ import annotations

from lucency.report import answers as known
from lucency.report import use
from lucency.report.checklist import Guideline, Item, author

DATA, STANDARD, PARTITION, MODEL = "Data", "Reference standard", "Partitions", "Model"
TRAINING, EVALUATION, RESULTS = "Training", "Evaluation", "Results"

CLAIM = Guideline(
    name="CLAIM 2024 checklist",
    about="Reporting of artificial intelligence in medical imaging.",
    citation="Tejani AS, Klontzas ME, Gatti AA, et al. Radiol Artif Intell 2024;6(4):e240300, doi 10.1148/ryai.240300.",
    file="claim-2024.md",
    items=(
        Item("1", "Title", "Names the use of AI and its category", known.study_title),
        Item("2", "Abstract", "Structured summary", author),
        Item("3", "Introduction", "Background, intended use and clinical role", author),
        Item("4", "Introduction", "Aims and hypotheses", author),
        Item("5", "Study design", "Prospective or retrospective", author),
        Item("6", "Study design", "Goal of the study", known.task),
        Item("7", DATA, "Data sources", known.sources),
        Item("8", DATA, "Inclusion and exclusion criteria", author),
        Item("9", DATA, "Preprocessing", known.preparation),
        Item("10", DATA, "Selection of data subsets", known.flow),
        Item("11", DATA, "De-identification", author),
        Item("12", DATA, "Missing data", known.missing),
        Item("13", DATA, "Image acquisition protocol", author),
        Item("14", STANDARD, "Definition of the methods used to obtain the reference standard", known.outcome),
        Item("15", STANDARD, "Why this reference standard", author),
        Item("16", STANDARD, "Source of the annotations: annotators and their qualification", known.labelled_by),
        Item("17", STANDARD, "How the test set was annotated", author),
        Item("18", STANDARD, "Variability between and within annotators of what they described", author),
        Item("19", PARTITION, "How data were assigned to partitions; imbalance", known.partition),
        Item("20", PARTITION, "Level at which partitions are disjoint", known.disjoint),
        Item("21", "Testing data", "Intended sample size of the test set", known.size),
        Item("22", MODEL, "Architecture, inputs, outputs", known.network),
        Item("23", MODEL, "Software with versions", known.software),
        Item("24", MODEL, "Initialisation of parameters", known.weights),
        Item("25", TRAINING, "Training, augmentation, hyper-parameters", known.training),
        Item("26", TRAINING, "How the final model was selected", known.selection),
        Item("27", TRAINING, "Ensembling", known.ensemble),
        Item("28", EVALUATION, "Metrics of performance", known.measures),
        Item("29", EVALUATION, "Statistical measures of significance and uncertainty", known.measures),
        Item("30", EVALUATION, "Robustness or sensitivity analysis", known.robustness),
        Item("31", EVALUATION, "Explainability and its validation", use.maps),
        Item("32", EVALUATION, "Evaluation on internal data", known.performance),
        Item("33", EVALUATION, "Testing on external data", known.differences),
        Item("34", EVALUATION, "Registration of a clinical trial", author),
        Item("35", RESULTS, "Numbers of patients or examinations included and excluded", known.flow),
        Item("36", RESULTS, "Demographic and clinical characteristics in each partition", known.characteristics),
        Item("37", RESULTS, "Metrics of performance and their statistical uncertainty", known.performance),
        Item("38", RESULTS, "Estimates of diagnostic performance and their precision", known.performance),
        Item("39", RESULTS, "Failure analysis of incorrect results", known.confusion),
        Item("40", "Discussion", "Limitations", use.limits),
        Item("41", "Discussion", "Implications for practice, with intended use and clinical role", author),
        Item("42", "Other", "Where the full protocol or further technical details are", author),
        Item("43", "Other", "Availability of software, model and data", use.availability),
        Item("44", "Other", "Funding and the funders' role", author),
    ),
)
"""44 items."""
