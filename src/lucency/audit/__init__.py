"""What is wrong with a data set, before anything is learned from it."""

from lucency.audit.findings import Finding
from lucency.audit.report import Audit, audit

__all__ = ["Audit", "Finding", "audit"]
