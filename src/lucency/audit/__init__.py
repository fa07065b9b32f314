"""The audit: what is wrong with a data set before anything is learned from it."""

from lucency.audit.findings import Concern
from lucency.audit.report import Audit, audit

__all__ = ["Audit", "Concern", "audit"]
