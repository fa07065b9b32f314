"""Films whose labels mean nothing: what a network learns from them, its maps must not resemble."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lucency.data.record import Films


def shuffled_labels(films: Films, seed: int) -> Films:
    """The same films, their labels dealt out anew: as many of each as before (Adebayo et al. 2018, section 3.2)."""
    order = np.random.default_rng([seed, 5]).permutation(len(films))
    pairs = zip(films.records, order.tolist(), strict=True)
    records = tuple(replace(record, label=films.records[other].label) for record, other in pairs)
    return replace(films, records=records)
