"""Whether films of now still look, and are read, as those of the reference: tests that hold their false-alarm rate."""

from lucency.drift.compare import Drift, Shift, compare
from lucency.drift.sample import Sample, sample

__all__ = ["Drift", "Sample", "Shift", "compare", "sample"]
