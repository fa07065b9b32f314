"""lucency reads chest films for pneumonia. Research use only; not a medical device."""

__version__ = "0.1.0"

NOTICE = "Research use only. Not for diagnosis."
"""Stands on every page, picture, table and file of readings."""
