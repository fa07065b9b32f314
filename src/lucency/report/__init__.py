"""A reader's report: a page for clinicians, a model card, and the reporting guidelines' checklists."""

from lucency.report.context import ReportContext, build_context, folds_of
from lucency.report.write import write

__all__ = ["ReportContext", "build_context", "folds_of", "write"]
