"""Checks of a data set before training: leaks, duplicates, outliers, shortcuts."""

from lucency.audit.findings import Finding
from lucency.audit.report import Audit, audit

__all__ = ["Audit", "Finding", "audit"]
