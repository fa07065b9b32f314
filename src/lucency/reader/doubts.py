"""Reasons to doubt a reading that show before the network is asked."""

from __future__ import annotations

from lucency.bundle import Card
from lucency.film import Film

CHESTS = {"CHEST", "THORAX", "LUNG", "RIBCAGE"}
FRONTAL = {"AP", "PA"}
NARROW, WIDE = 0.5, 2.0
"""Width over height beyond which a film is hardly a whole chest."""


def doubts(film: Film, card: Card) -> tuple[str, ...]:
    """What is unusual about a film, a sentence each; empty for a usual one."""
    found = []
    if min(film.shape) < card.preprocess.side:
        found.append(
            f"the film has {film.width}×{film.height} pixels, fewer than the {card.preprocess.side} the network sees"
        )
    if not NARROW <= film.width / film.height <= WIDE:
        found.append(f"the film is {film.width}×{film.height}, too narrow or too wide for a whole chest")
    if film.pixels.min() == film.pixels.max():
        found.append("the film shows nothing: every pixel is the same")
    view = film.facts.get("view", "").upper()
    if view and view not in FRONTAL:
        found.append(f"the view is {view}; the network knows frontal films only")
    part = film.facts.get("body_part", "").upper()
    if part and part not in CHESTS:
        found.append(f"the film states body part {part}, not a chest")
    return tuple(found)
