"""Reasons to doubt a reading that show before the network is asked."""

from __future__ import annotations

from dataclasses import dataclass

from lucency.bundle import Card
from lucency.film import Film

CHESTS = {"CHEST", "THORAX", "LUNG", "RIBCAGE"}
FRONTAL = {"AP", "PA", "ANTERO-POSTERIOR", "POSTERO-ANTERIOR"}
"""As ViewPosition writes it, and as ViewCodeSequence does (PS3.16, CID 4010)."""
NARROW, WIDE = 0.5, 2.0
"""Width over height beyond which a film is hardly a whole chest."""

GATE_WORDS = {
    "layout": "this does not look like a frontal chest film: another view or part, turned, inverted, or no film at all",
    "upside_down": "this film looks upside down",
    "mirrored": "this film looks mirrored: turn it, or the heart lies on the right",
    "features": "this is unlike the films the network learned from: another machine, very blurred, or other patients",
}
"""What a failed check of the card's gate means."""


@dataclass(frozen=True)
class Doubt:
    """One reason."""

    words: str
    """A sentence for people."""
    refuses: bool = True
    """Whether the verdict is `uncertain` for it."""


def check_input(film: Film, card: Card) -> tuple[Doubt, ...]:
    """What is unusual about a film; empty for a usual one."""
    found = []
    if min(film.shape) < card.preprocess.image_size:
        size = f"{film.width}×{film.height} pixels, fewer than the {card.preprocess.image_size} the network sees"
        found.append(Doubt(f"the film has {size}", refuses=False))
    if not NARROW <= film.width / film.height <= WIDE:
        found.append(Doubt(f"the film is {film.width}×{film.height}, too narrow or too wide for a whole chest"))
    if is_blank(film):
        found.append(Doubt("the film shows nothing: every pixel is the same"))
    view = film.facts.get("view", "").upper()
    if view and view not in FRONTAL:
        found.append(Doubt(f"the view is {view}; the network knows frontal films only"))
    part = film.facts.get("body_part", "").upper()
    if part and part not in CHESTS:
        found.append(Doubt(f"the film states body part {part}, not a chest"))
    return tuple(found)


def is_blank(film: Film) -> bool:
    """Whether every pixel is the same; for a film that shows something, its first row tells."""
    first = film.pixels[0, 0]
    return bool((film.pixels[0] == first).all() and (film.pixels == first).all())
