"""Films: PNG, JPEG, TIFF and DICOM, recognised by content, become faithful gray in which bright is dense.

Films are personal data. Nothing here logs, prints or keeps a copy; an error names the file to its caller.
"""

from lucency.film.film import Film, as_film, open_film, open_films

__all__ = ["Film", "as_film", "open_film", "open_films"]
