"""Film → Reading(probability, verdict, map, warnings), from a bundle. No PyTorch in the process."""

from lucency.reader.outputs import Outputs, Reading
from lucency.reader.reader import ENGINES, Reader

__all__ = ["ENGINES", "Outputs", "Reader", "Reading"]
