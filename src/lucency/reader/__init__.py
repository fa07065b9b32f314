"""Film → Reading(probability, verdict, map, warnings), from a bundle. No PyTorch in the process."""

from lucency.reader.outputs import Band, Outputs, bands, model_info
from lucency.reader.reader import ENGINES, Reader
from lucency.reader.reading import Reading

__all__ = ["ENGINES", "Band", "Outputs", "Reader", "Reading", "bands", "model_info"]
