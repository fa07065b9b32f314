"""Drawn chest films whose lesions are known to the pixel: what tests, the demo and the explainers' truth run on.

Population: nobody. Frontal chests from small child to lean adult, drawn structure by structure as the opacity that
the beam meets, then exposed like a film. A pneumonia takes air away from the lungs and changes nothing else: drawn
from the same seed, the ill and the well film differ by the lesion alone, so no shortcut tells them apart.
Films: as many as asked for; three patients in five are ill (1 : 1.5), 1.3 films a patient.
Citation: none; lesion appearances after Franquet 2001, Eur Radiol 11:196 (lobar, round, patchy, interstitial, basal).
Licence: that of this project.
"""

from lucency.data.phantom.drawing import Phantom, draw
from lucency.data.phantom.lesions import KINDS, SEEN
from lucency.data.phantom.source import read, recognises, write_phantoms

__all__ = ["KINDS", "SEEN", "Phantom", "draw", "read", "recognises", "write_phantoms"]
