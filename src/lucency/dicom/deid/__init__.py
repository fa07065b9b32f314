"""De-identification of films that leave the house."""

from lucency.dicom.deid.clean import Cleaned, deidentify
from lucency.dicom.deid.pseudonyms import Pseudonyms, make_key, read_key

__all__ = ["Cleaned", "Pseudonyms", "deidentify", "make_key", "read_key"]
