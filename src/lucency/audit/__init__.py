"""The audit: what is wrong with a data set before anything is learned from it."""

from lucency.audit.concern import Concern
from lucency.audit.run import Audit, audit

__all__ = ["Audit", "Concern", "audit"]
