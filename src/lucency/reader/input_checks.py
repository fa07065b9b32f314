"""Reasons to doubt a reading that show before the network is asked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lucency.bundle import Card
from lucency.film import Film
from lucency.film.codestream import DAMAGE
from lucency.film.limits import NEAR_GRAY
from lucency.modality import MODALITIES, Modality, Sight

NARROW, WIDE = 0.5, 2.0
"""Width over height beyond which a film is hardly a whole chest."""
MIN_LEVELS = 32
"""Of 256 gray levels that all but a hundredth of the pixels lie within; sound films use more than twice as many."""

COLOURED = 0.1
"""Share of the pixels in colour above which a picture is no gray film with a coloured mark on it."""
UNCOLOURED = 0.01
"""Share below which it is no photograph in colour."""

CELLS = 32
CENTRE = slice(8, 24)
CORNER = (slice(0, 3), slice(-3, None))
"""Rows or columns of the thumbnail."""
LESION = 20.0
"""Distance from the median colour, in levels."""
TEXTURE = (0.12, 0.5)
"""Mean step from a cell to the mean of its four neighbours, of the mean level, between which a picture is as varied as
a head; white letters on black vary more."""
BODY = 190.0
"""Mean level of the bright cells from which they may be a body in a lung window."""
BETWEEN = 0.16
"""Share of the cells, at most, that are neither air nor body: within the middle half from one level to the other."""
LUNG_ROWS = 4
"""Rows, at least, with two stretches of air that body encloses left and right."""
LUNG_TEXTURE = 0.14
"""Mean step, of the distance from air to body, up to which both lie in large parts, unlike paper and letters."""

GATE_WORDS = {
    "layout": "this may be no frontal chest film: another view or part, turned, inverted, or unlike those learned from",
    "unlike": "this film may be laid out unlike those learned from: other patients, another position, part of a chest",
    "upside_down": "this film looks upside down",
    "lungs_missing": "two lungs were not found: they may be dense or cut off, or this is another part",
    "lungs_cut": "the lungs reach beyond the edge of this film",
    "lungs_flat": "the lungs show no detail: painted over, or exposed so that nothing can be seen in them",
    "mirrored": "is this film mirrored? If not, the heart may lie on the right, or it is unlike those learned from",
    "features": "this is unlike the films the network learned from: another machine, very blurred, or other patients",
}
"""What a failed check of the card's gate means; `unlike` is `layout` failed by a film that is plainly upright."""
NO_RESCALE = "the CT states no rescale to Hounsfield units; its window may be another than the one learned from"
NO_SUCH_FILM = frozenset({"layout", "blank", "levels", "modality", "view", "part", "colour"})
"""Codes that mean that this is no film of the kind learned from: it gets no probability. The others are soft."""


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
KNOWN_MODALITIES = _words(
    "CR DX RG OT SC DR XR CT MG MR NM PT RF US XA BMD BDUS DOC DMS ECG EPS ES GM IO IVUS IVOCT KER LEN OP OPM OPT OPV "
    "PX RTIMAGE SM SEG SR PR TG XC"
)
"""What people and machines write into a header, in several languages. Any other word decides nothing."""


@dataclass(frozen=True)
class Doubt:
    """One reason."""

    words: str
    """A sentence for people."""
    code: str = ""
    """The same for machines: `small`, `shape`, `blank`, `levels`, `damage`, `modality`, `view`, `part`, `rescale`,
    `colour`, `profile`, `round_field`, `lesion`, `head_slice` or `lung_slice`."""
    refuses: bool = True
    """Whether it makes the verdict `uncertain`."""
    explains: bool = False
    """Whether it stands for what the card's gate might say of such a film."""


def check_input(film: Film, card: Card, refused: bool = False) -> tuple[Doubt, ...]:
    """What is unusual about a film; empty for a usual one. `refused`: the card's gate does not take it for its kind."""
    size, facts = f"{film.width}×{film.height}", film.facts
    seen = card.preprocess.image_size
    kind = MODALITIES[card.modality]
    whole, kinds = ("chest", "X-ray films") if kind.lungs else (kind.noun, f"{kind.noun}s")
    it = f"the {kind.word}"
    view, part, modality = view_said(facts), part_said(facts), modality_said(facts, kind)
    blank = is_blank(film)
    levels = gray_levels(film) if refused and not blank else 256
    rows = (
        (
            min(film.shape) < seen,
            Doubt(f"{it} has {size} pixels: its shorter side is below the {seen} the network sees", "small", False),
        ),
        (
            not NARROW <= film.width / film.height <= WIDE,
            Doubt(f"{it} is {size}, unusually narrow or wide: it may not be a whole {whole}", "shape"),
        ),
        (blank, Doubt(f"{it} shows nothing: every pixel is the same", "blank", explains=True)),
        (
            levels < MIN_LEVELS,
            Doubt(
                f"{it} uses {levels} of 256 gray levels; set its window and export it again",
                "levels",
                explains=True,
            ),
        ),
        (
            facts.get("damage") in DAMAGE,
            Doubt(f"the file looks damaged: {DAMAGE.get(facts.get('damage', ''))}", "damage"),
        ),
        (modality[0] == "no", Doubt(f"the modality is {modality[1]}; the network knows {kinds} only", "modality")),
        (kind.lungs and view[0] == "no", Doubt(f"the view is {view[1]}; the network knows frontal films only", "view")),
        (kind.lungs and part[0] == "no", Doubt(f"the film states body part {part[1]}, not a chest", "part")),
        (other_age(facts, card), Doubt(f"the age stated lies outside the {_ages(card)} learned from", "age")),
        (kind.window is not None and "rescale" in facts, Doubt(NO_RESCALE, "rescale")),
        *_colour_doubts(film, kind),
        *(_sight_doubts(film, kind.sight) if kind.sight and not blank else ()),
    )
    return tuple(doubt for applies, doubt in rows if applies)


def _colour_doubts(film: Film, kind: Modality) -> tuple[tuple[bool, Doubt], ...]:
    """A picture in colour given to a network that knows gray, and the reverse; a colour space that is not applied."""
    share = coloured_share(film)
    if kind.channels == 1:
        words = f"the picture is in colour; the network knows {kind.noun}s in gray"
        return ((share > COLOURED, Doubt(words, "colour")),)
    return (
        (share < UNCOLOURED, Doubt(f"the picture has no colour; the network knows {kind.noun}s in colour", "colour")),
        ("profile" in film.facts, Doubt("the file's colour profile is not sRGB; it is not applied", "profile", False)),
    )


def _sight_doubts(film: Film, sight: Sight) -> tuple[tuple[bool, Doubt], ...]:
    is_there, words = SIGHTS[sight]
    return ((not is_there(film), Doubt(words, sight)),)


def coloured_share(film: Film) -> float:
    """Share of a film's pixels whose channels differ by more than NEAR_GRAY levels."""
    if film.colour is None:
        return 0.0
    step = max(1, int((film.pixels.size / 65536) ** 0.5))
    some = film.colour[::step, ::step]
    return float((some.max(axis=2) - some.min(axis=2) > NEAR_GRAY).mean())


def has_round_field(film: Film) -> bool:
    """Whether at least two corners are less than half as bright as the centre, as around the field of a retinal camera.

    496 of 500 retinas and 49 of 500 dermatoscopies have it (the sets of docs/organs.md).
    """
    return _dark_corners(_thumbnail(film).mean(axis=2)) >= 2


def _dark_corners(cells: NDArray[np.float64]) -> int:
    """How many corners are less than half as bright as the centre."""
    corners = [cells[rows, columns].mean() for rows in CORNER for columns in CORNER]
    return int(sum(corner < 0.5 * cells[CENTRE, CENTRE].mean() for corner in corners))


def has_lesion(film: Film) -> bool:
    """Whether a twentieth of the picture lies LESION levels from its median colour; of 500 dermatoscopies all do."""
    cells = _thumbnail(film).reshape(-1, 3)
    return bool(np.percentile(np.linalg.norm(cells - np.median(cells, axis=0), axis=1), 95) >= LESION)


def has_head_slice(film: Film) -> bool:
    """Whether two corners are dark and what is bright is as varied as a head by MRI; shares in docs/organs.md."""
    cells = _thumbnail(film).mean(axis=2)
    least, most = (limit * cells.mean() for limit in TEXTURE)
    return bool(_dark_corners(cells) >= 2 and least <= _step(cells) <= most)


def has_lung_slice(film: Film) -> bool:
    """Whether cells are air or body, hardly between, with air left and right of a middle; shares in docs/organs.md."""
    cells = _thumbnail(film).mean(axis=2)
    air, body = _two_levels(cells)
    quarter, dark = (body - air) / 4, cells < (air + body) / 2
    between = ((cells > air + quarter) & (cells < body - quarter)).mean()
    enclosed = (dark[:, :-1] & ~dark[:, 1:]).sum(axis=1) - dark[:, 0]
    lungs = (enclosed >= 2).sum() >= LUNG_ROWS and _step(cells) <= LUNG_TEXTURE * (body - air)
    return bool(body >= BODY and between <= BETWEEN and lungs)


def _step(cells: NDArray[np.float64]) -> float:
    """The mean difference of a cell from the mean of its four neighbours."""
    around = (cells[:-2, 1:-1] + cells[2:, 1:-1] + cells[1:-1, :-2] + cells[1:-1, 2:]) / 4
    return float(np.abs(cells[1:-1, 1:-1] - around).mean())


def _two_levels(cells: NDArray[np.float64]) -> tuple[float, float]:
    """The mean levels of the dark and of the bright cells, split where these differ most (Otsu 1979)."""
    ordered = np.sort(cells, axis=None)
    below, n = np.arange(1, ordered.size), ordered.size
    dark, total = np.cumsum(ordered)[:-1], ordered.sum()
    split = int(np.argmax((total * below / n - dark) ** 2 / (below * (n - below))))
    return float(dark[split] / below[split]), float((total - dark[split]) / (n - below[split]))


SIGHTS: dict[Sight, tuple[Callable[[Film], bool], str]] = {
    "round_field": (has_round_field, "no round field on black is seen, as around a photograph of the retina"),
    "lesion": (has_lesion, "no spot that differs from the skin around it is seen"),
    "head_slice": (has_head_slice, "no bright head on black is seen, as on a slice of the brain by MRI"),
    "lung_slice": (has_lung_slice, "no dark lungs in a bright body are seen, as on a slice of the chest by CT"),
}
"""What a kind of picture must show → whether a film does, and the doubt where it does not."""


def _thumbnail(film: Film) -> NDArray[np.float64]:
    """The mean colour of 32 × 32 cells, (32, 32, 3)."""
    small = Image.fromarray(film.rgb8()).resize((CELLS, CELLS), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64)


AGE = re.compile(r"0*(\d+)([DWMY]?)")
"""An age as DICOM writes it (034Y; PS3.5, 6.2, value representation AS), or plain years."""
PER_YEAR = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0, "": 1.0}


def other_age(facts: Mapping[str, str], card: Card) -> bool:
    """Whether a film states an age outside those learned from. The age itself is never quoted: it is the patient's."""
    stated = AGE.fullmatch(facts.get("age", "").strip().upper())
    if stated is None or card.population.ages is None:
        return False
    years = int(int(stated[1]) / PER_YEAR[stated[2]])
    return not card.population.ages[0] <= years <= card.population.ages[1]


def _ages(card: Card) -> str:
    low, high = card.population.ages or (0, 0)
    return f"{low} to {high} years"


def view_said(facts: Mapping[str, str]) -> tuple[Said, str]:
    """Whether a film states a frontal view, and the words that deny it."""
    return _said(facts.get("view", ""), FRONTAL, OTHER_VIEWS)


def part_said(facts: Mapping[str, str]) -> tuple[Said, str]:
    """Whether a film states that it shows a chest, and the words that deny it."""
    return _said(facts.get("body_part", ""), CHEST, OTHER_PARTS)


def modality_said(facts: Mapping[str, str], kind: Modality = MODALITIES["chest_xray"]) -> tuple[Said, str]:
    """Whether a film states a DICOM modality of its kind, and the words that deny it."""
    return _said(facts.get("modality", ""), kind.dicom, KNOWN_MODALITIES - kind.dicom)


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
