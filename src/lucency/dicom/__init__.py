"""A DICOM node and the objects that it answers with."""
