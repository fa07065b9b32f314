"""What is true of each kind of picture: a row of MODALITIES. A recipe names one, and the card keeps it.

Augmentation, input checks, audit, report and words follow the row. docs/adding-a-modality.md shows how to add one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Name = Literal["chest_xray", "ct_slice", "mri_slice", "slice", "fundus", "skin", "photograph"]
NAMES: tuple[Name, ...] = get_args(Name)
Sight = Literal["round_field", "lesion", "head_slice", "lung_slice"]
"""What must be seen: the lit disc of a retinal camera on black; a spot that differs from the skin around it; a bright
head on black; dark lungs in a bright body."""


@dataclass(frozen=True)
class Modality:
    """One kind of picture."""

    noun: str
    """One of them, in messages, on the page and in reports."""
    channels: Literal[1, 3]
    """1: gray. 3: red, green, blue."""
    flips: tuple[Literal["horizontal", "vertical"], ...]
    """Mirror images that could be pictures of this kind: what training may draw, and audit need not name."""
    rotate: float
    """Degrees that such a picture may be turned either way and still be one."""
    dicom: frozenset[str]
    """Values of Modality (0008,0060) that it comes with."""
    tags: tuple[str, ...]
    """Words by which a model hub finds readers of them."""
    shortcuts: tuple[str, ...]
    """What often gives a label away here without being disease; the audit's page says to look for it."""
    lungs: bool = False
    """Whether lungs are looked for and outlined."""
    window: tuple[float, float] | None = None
    """Centre and width in Hounsfield units where a CT states no window."""
    sight: Sight | None = None
    limit: str = ""
    """A sentence for the card: what a reader of such pictures is not made for."""

    @property
    def word(self) -> str:
        """`noun`, shorter where it comes often: a chest film is a film."""
        return "film" if self.lungs else self.noun


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODALITIES: dict[str, Modality] = {
    "chest_xray": Modality(
        noun="chest film",
        channels=1,
        flips=(),
        rotate=45,
        dicom=_codes("CR DX RG OT SC DR XR"),
        tags=("chest-x-ray", "radiology"),
        shortcuts=("side letters and other burnt-in text", "borders", "aspect ratio", "the hospital"),
        lungs=True,
    ),
    "ct_slice": Modality(
        noun="CT slice",
        channels=1,
        flips=(),
        rotate=20,
        dicom=_codes("CT OT SC"),
        tags=("ct", "radiology"),
        shortcuts=("the window", "the field of view", "burnt-in text", "the level of the slice", "the collection"),
        window=(-600.0, 1500.0),
        sight="lung_slice",
        limit="It reads one axial slice at a time, shown in one window; it never sees the whole scan.",
    ),
    "mri_slice": Modality(
        noun="MRI slice",
        channels=1,
        flips=("horizontal",),
        rotate=30,
        dicom=_codes("MR OT SC"),
        tags=("mri", "radiology"),
        shortcuts=("the sequence", "the plane", "the field of view", "burnt-in text", "the collection"),
        sight="head_slice",
        limit="It reads one slice at a time; another sequence or plane than it learned from is not covered.",
    ),
    "slice": Modality(
        noun="slice",
        channels=1,
        flips=(),
        rotate=20,
        dicom=_codes("CT MR OT SC"),
        tags=("radiology",),
        shortcuts=("the window or the sequence", "the field of view", "burnt-in text", "the collection"),
        limit="It reads one slice at a time, of the part and in the window or sequence that it learned from.",
    ),
    "fundus": Modality(
        noun="retinal photograph",
        channels=3,
        flips=("horizontal",),
        rotate=20,
        dicom=_codes("OP OT SC XC"),
        tags=("fundus", "ophthalmology"),
        shortcuts=("the camera", "the shape of the field", "black borders", "the colour cast", "the collection"),
        sight="round_field",
        limit="It knows colour photographs of the back of the eye, from the cameras it learned from.",
    ),
    "skin": Modality(
        noun="skin photograph",
        channels=3,
        flips=("horizontal", "vertical"),
        rotate=180,
        dicom=_codes("XC ES GM DMS OT SC"),
        tags=("dermatoscopy", "dermatology"),
        shortcuts=("rulers", "hair", "ink", "the dark ring of the dermatoscope", "the zoom", "the collection"),
        sight="lesion",
        limit="It knows dermatoscopic photographs of one lesion; plain photographs and dark skin are hardly covered.",
    ),
    "photograph": Modality(
        noun="picture",
        channels=3,
        flips=("horizontal", "vertical"),
        rotate=180,
        dicom=_codes("XC ES GM SM OP DMS OT SC"),
        tags=(),
        shortcuts=("the camera", "the light", "the collection"),
    ),
}
"""By the name that a recipe gives as `data.modality`."""
