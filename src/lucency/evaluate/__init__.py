"""Predictions in, metrics and their uncertainty out. No network runs here."""

from lucency.evaluate.predictions import Predictions, read_predictions
from lucency.evaluate.report import Measure, Report, evaluate_predictions, open_predictions, write_report

__all__ = [
    "Measure",
    "Predictions",
    "Report",
    "evaluate_predictions",
    "open_predictions",
    "read_predictions",
    "write_report",
]
