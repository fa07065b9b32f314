"""A reader's report: a page for clinicians, a model card, and the reporting guidelines' checklists."""

from lucency.report.folds import folds_of
from lucency.report.known import Known, know
from lucency.report.write import write

__all__ = ["Known", "folds_of", "know", "write"]
