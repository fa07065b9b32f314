"""Reasons to doubt a reading that show before the network is asked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lucency.bundle import Card
from lucency.film import Film
from lucency.film.codestream import DAMAGE

NARROW, WIDE = 0.5, 2.0
"""Width over height beyond which a film is hardly a whole chest."""
MIN_LEVELS = 32
"""Of 256 gray levels that all but a hundredth of the pixels lie within; sound films use more than twice as many."""

GATE_WORDS = {
    "layout": "this does not look like a frontal chest film: another view or part, turned, inverted, or no film at all",
    "upside_down": "this film looks upside down",
    "lungs_missing": "two lungs were not found on this film",
    "lungs_cut": "the lungs reach beyond the edge of this film",
    "lungs_flat": "the lungs show no detail: painted over, or exposed so that nothing can be seen in them",
    "mirrored": "this film looks mirrored: turn it, or the heart lies on the right",
    "features": "this is unlike the films the network learned from: another machine, very blurred, or other patients",
}
"""What a failed check of the card's gate means."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


Said = Literal["yes", "no", "unknown"]
FRONTAL = _words(
    "AP PA PAAP APPA POSTEROANTERIOR ANTEROPOSTERIOR ANTERIOR POSTERIOR FRONTAL FRONTALE FACE FRENTE FRENTAL "
    "DORSOVENTRAL VENTRODORSAL PREDOZADNI 正位 后前位 後前位 正面"
)
OTHER_VIEWS = _words(
    "LL RL LLD RLD LLO RLO LAT LATERAL LATERALE LATERALIS LATERALES LATERAAL SEITLICH SEITE PROFIL PROFILE PERFIL "
    "BOCZNE OBLIQUE OBL OBLICUA OBLIQUA SCHRAG AX AXIAL TANGENTIAL CROSSTABLE 侧位 側位 側面 斜位"
)
CHEST = _words(
    "CHEST THORAX TORAX TORACE TORAKS THORACE LUNG LUNGS LUNGE LUNGEN LUNGOR RIBCAGE CXR POUMON POUMONS PULMON "
    "PULMONES PULMAO PULMOES POLMONE POLMONI BRUSTKORB BRUSTRAUM PECHO PEITO BORSTKAS BRYSTKASSE BROSTKORG KLATKA "
    "HRUDNIK MELLKAS AKCIGER 胸部 胸 흉부 ГРУДНАЯ ЛЕГКИЕ"
)
OTHER_PARTS = _words(
    "ABDOMEN ABDOMINAL ABD BAUCH ANKLE ARM ARMS FOREARM HUMERUS BREAST MAMMA MAMA CSPINE TSPINE LSPINE SPINE COLUMNA "
    "COLUNA COLONNE RACHIS WIRBELSAULE BWS HWS LWS ELBOW EXTREMITY FOOT FEET FUSS PIED HAND HANDS MANO MAIN FINGER "
    "TOE HEAD KOPF SKULL SCHADEL CRANIO CRANEO SINUS HIP HUFTE CADERA ANCA KNEE KNIE RODILLA GENOU GINOCCHIO JOELHO "
    "LEG FEMUR TIBIA NECK HALS PELVIS BECKEN BASSIN BACINO SHOULDER SCHULTER HOMBRO CLAVICLE SCAPULA WRIST JAW "
    "WHOLEBODY"
)
CHEST_MODALITIES = _words("CR DX RG OT SC DR XR")
OTHER_MODALITIES = _words(
    "CT MG MR NM PT RF US XA BMD BDUS DOC DMS ECG EPS ES GM IO IVUS IVOCT KER LEN OP OPM OPT OPV PX RTIMAGE SM "
    "SEG SR PR TG XC"
)
"""What people and machines write into a header, in several languages. Any other word decides nothing."""


@dataclass(frozen=True)
class Doubt:
    """One reason."""

    words: str
    """A sentence for people."""
    code: str = ""
    """The same for machines: `small`, `shape`, `blank`, `levels`, `damage`, `modality`, `view` or `part`."""
    refuses: bool = True
    """Whether it makes the verdict `uncertain`."""
    explains: bool = False
    """Whether it stands for what the card's gate might say of such a film."""


def check_input(film: Film, card: Card, refused: bool = False) -> tuple[Doubt, ...]:
    """What is unusual about a film; empty for a usual one. `refused`: the card's gate does not take it for its kind."""
    size, facts = f"{film.width}×{film.height}", film.facts
    seen = card.preprocess.image_size
    view, part, modality = view_said(facts), part_said(facts), modality_said(facts)
    blank = is_blank(film)
    levels = gray_levels(film) if refused and not blank else 256
    rows = (
        (
            min(film.shape) < seen,
            Doubt(f"the film has {size} pixels, fewer than the {seen} the network sees", "small", False),
        ),
        (
            not NARROW <= film.width / film.height <= WIDE,
            Doubt(f"the film is {size}, too narrow or too wide for a whole chest", "shape"),
        ),
        (blank, Doubt("the film shows nothing: every pixel is the same", "blank", explains=True)),
        (
            levels < MIN_LEVELS,
            Doubt(
                f"the film uses {levels} of 256 gray levels; set its window and export it again",
                "levels",
                explains=True,
            ),
        ),
        (
            facts.get("damage") in DAMAGE,
            Doubt(f"the file looks damaged: {DAMAGE.get(facts.get('damage', ''))}", "damage"),
        ),
        (modality[0] == "no", Doubt(f"the modality is {modality[1]}; the network knows X-ray films only", "modality")),
        (view[0] == "no", Doubt(f"the view is {view[1]}; the network knows frontal films only", "view")),
        (part[0] == "no", Doubt(f"the film states body part {part[1]}, not a chest", "part")),
    )
    return tuple(doubt for applies, doubt in rows if applies)


def view_said(facts: Mapping[str, str]) -> tuple[Said, str]:
    """Whether a film states a frontal view, and the words that deny it."""
    return _said(facts.get("view", ""), FRONTAL, OTHER_VIEWS)


def part_said(facts: Mapping[str, str]) -> tuple[Said, str]:
    """Whether a film states that it shows a chest, and the words that deny it."""
    return _said(facts.get("body_part", ""), CHEST, OTHER_PARTS)


def modality_said(facts: Mapping[str, str]) -> tuple[Said, str]:
    """Whether a film states an X-ray modality, and the words that deny it."""
    return _said(facts.get("modality", ""), CHEST_MODALITIES, OTHER_MODALITIES)


def _said(text: str, for_it: frozenset[str], against: frozenset[str]) -> tuple[Said, str]:
    """Only words of `against` are ever quoted: people type names into any field."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    words = re.findall(r"\w+", plain.upper().replace(".", "").replace("-", "").replace("_", " "))
    denied = [word for word in words if word in against]
    if any(word in for_it for word in words):
        return ("unknown" if denied else "yes"), ""
    return ("no", " ".join(denied)) if denied else ("unknown", "")


def gray_levels(film: Film) -> int:
    """Between the half-percentiles of the film, in levels of 256."""
    step = max(1, int((film.pixels.size / 65536) ** 0.5))
    full = 255 if film.pixels.dtype == np.uint8 else 65535
    low, high = np.percentile(film.pixels[::step, ::step], (0.5, 99.5))
    return round(float(high - low) * 255 / full) + 1


def is_blank(film: Film) -> bool:
    """Whether every pixel is the same; for a film that shows something, its first row tells."""
    first = film.pixels[0, 0]
    return bool((film.pixels[0] == first).all() and (film.pixels == first).all())
