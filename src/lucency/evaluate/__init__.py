"""Arrays in, report out: how good the answers are, and how sure one can be of it. No network is run here."""

from lucency.evaluate.judge import Measure, Report, judge
from lucency.evaluate.predictions import Predictions, read_predictions
from lucency.evaluate.report import open_predictions, write_report

__all__ = ["Measure", "Predictions", "Report", "judge", "open_predictions", "read_predictions", "write_report"]
