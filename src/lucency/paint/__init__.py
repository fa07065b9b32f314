"""Map → colours over the film; the only place that rescales a map.

The scale is fixed, in logits, and the same for every film: two films compare, and a film without evidence stays
gray instead of glowing with stretched noise. Colours and their order: `lucency.paint.colours`.
"""

from lucency.paint.colours import LIMIT, Map
from lucency.paint.page import CAPTION, Legend, contact_sheet, map_alone, overlay, png, scale_bar, side_by_side
from lucency.paint.place import window

__all__ = [
    "CAPTION",
    "LIMIT",
    "Legend",
    "Map",
    "contact_sheet",
    "map_alone",
    "overlay",
    "png",
    "scale_bar",
    "side_by_side",
    "window",
]
