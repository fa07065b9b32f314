"""lucency reads chest films for pneumonia. Research use only; not a medical device."""

__version__ = "0.1.0"
