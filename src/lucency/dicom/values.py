"""Values that an answer takes over of a film's header: nonsense in one of them must not cost the film its answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydicom.multival import MultiValue

_UID = re.compile(r"[0-9.]{1,64}")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
_ORIENTATION = re.compile(r"[AFHLPR]{1,3}")
SEXES = ("F", "M", "O")


def is_uid(value: Any) -> bool:
    """Whether it can name an object: digits and points, one value. Leading zeros are wrong, and common."""
    return _UID.fullmatch(str(value)) is not None


def is_one(value: Any) -> bool:
    """Whether it is at most one value, as whom a film is of must be."""
    return not isinstance(value, MultiValue)


def fitting(keyword: str, value: Any) -> Any:
    """The value as an answer may state it; empty where it is none that the standard knows.

    >>> fitting("PatientSex", "f"), fitting("PatientSex", "unknown"), fitting("StudyDate", "2024.03.05")
    ('F', '', '20240305')
    """
    return _FITTED[keyword](value) if keyword in _FITTED and value else value


def _date(value: Any) -> str:
    text = str(value).strip().replace(".", "")  # with points, as ACR-NEMA wrote them
    try:
        return text if len(text) == 8 and datetime.strptime(text, "%Y%m%d") else ""
    except ValueError:
        return ""


def _time(value: Any) -> str:
    text = str(value).strip().replace(":", "")
    return text if _TIME.fullmatch(text) else ""


def _sex(value: Any) -> str:
    text = str(value).strip().upper()
    return text if text in SEXES else ""


def _orientation(value: Any) -> list[str] | str:
    sides = [str(side).strip() for side in value] if isinstance(value, MultiValue) else []
    return sides if len(sides) == 2 and all(map(_ORIENTATION.fullmatch, sides)) else ""


_FITTED: dict[str, Callable[[Any], Any]] = {
    "StudyDate": _date,
    "PatientBirthDate": _date,
    "StudyTime": _time,
    "PatientSex": _sex,
    "PatientOrientation": _orientation,
}
"""All of these may be empty (type 2)."""
