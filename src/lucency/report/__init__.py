"""A reader's report: a page for clinicians, a model card, and the reporting guidelines' checklists."""

from lucency.report.known import Known, know
from lucency.report.write import write

__all__ = ["Known", "know", "write"]
