"""Film → Reading(probability, verdict, map, warnings), from a bundle. No PyTorch in the process."""

from lucency.reader.answers import Answers, Reading
from lucency.reader.reader import ENGINES, Reader

__all__ = ["ENGINES", "Answers", "Reader", "Reading"]
