"""A header without who the film is of: the basic profile of PS3.15, annex E, by a list of what may stay."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydicom import Dataset
from pydicom.sequence import Sequence

from lucency.dicom.deid import rules
from lucency.dicom.deid.pseudonyms import Pseudonyms


def cleaned(source: Dataset, pseudonyms: Pseudonyms) -> Dataset:
    """The header alone, made of nothing but what `rules` lets through."""
    identity = str(source.get("PatientID") or "").strip() or f"study {source.StudyInstanceUID}"
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 100"
    made.PatientID = made.PatientName = pseudonyms.patient(identity)
    for keyword in rules.UIDS:
        setattr(made, keyword, pseudonyms.uid(str(source.get(keyword))))
    for keyword in rules.EMPTY:
        setattr(made, keyword, "")
    for keyword in rules.DATES:
        if source.get(keyword) or keyword == "StudyDate":
            setattr(made, keyword, pseudonyms.date(identity, str(source.get(keyword) or "")))
    _copy_words(source, made)
    _copy_numbers(source, made)
    _copy_sequences(source, made)
    _state_method(made)
    return made


def _copy_words(source: Dataset, made: Dataset) -> None:
    for keyword, allowed in rules.WORDS.items():
        word = str(source.get(keyword) or "").strip().upper()
        if word in allowed:
            setattr(made, keyword, word)
    for keyword, allowed in rules.LISTS.items():
        words = [word for word in map(str, _values(source.get(keyword))) if word in allowed]
        if words:
            setattr(made, keyword, words)
    for keyword in rules.STATED:
        setattr(made, keyword, made.get(keyword, ""))
    made.PatientAge = _age(str(source.get("PatientAge") or "").strip())
    made.Manufacturer = _vendor(str(source.get("Manufacturer") or ""))


def _copy_numbers(source: Dataset, made: Dataset) -> None:
    for keyword, (low, high) in rules.NUMBERS.items():
        numbers = _values(source.get(keyword))
        if numbers and all(_is_between(number, low, high) for number in numbers):
            plain = [float(number) for number in numbers]
            whole = [int(number) if number.is_integer() else float(f"{number:.8g}") for number in plain]
            setattr(made, keyword, whole if len(whole) > 1 else whole[0])
    made.InstanceNumber = made.get("InstanceNumber", 1)
    made.SeriesNumber = made.get("SeriesNumber", 1)


def _copy_sequences(source: Dataset, made: Dataset) -> None:
    for keyword in rules.TABLES:
        if source.get(keyword):
            setattr(made, keyword, Sequence([_table(item) for item in source.get(keyword)]))
    for keyword, known in rules.CODES.items():
        for item in source.get(keyword) or ():
            code = str(item.get("CodeValue") or ""), str(item.get("CodingSchemeDesignator") or "")
            if code in known:
                setattr(made, keyword, Sequence([_code(*code, known[code])]))


def _table(item: Dataset) -> Dataset:
    """Descriptor and as many entries as it announces: what lies behind them could be anything."""
    made = Dataset()
    made["LUTDescriptor"] = item["LUTDescriptor"]
    entries, data = int(item.LUTDescriptor[0]) or 65536, item.LUTData
    kept = data[: 2 * entries] if isinstance(data, bytes) else list(data)[:entries]
    made.add_new("LUTData", "OW" if isinstance(data, bytes) else "US", kept)
    return made


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, scheme, meaning
    return made


def _values(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else [value]


def _is_between(number: Any, low: float, high: float) -> bool:
    try:
        return low <= float(number) <= high
    except (TypeError, ValueError):
        return False


def _age(age: str) -> str:
    if not rules.AGE.fullmatch(age):
        return ""
    return "090Y" if age.endswith("Y") and int(age[:3]) > rules.OLDEST else age


def _vendor(stated: str) -> str:
    words = set(re.findall(r"[a-z]+", stated.lower()))
    return next((vendor for vendor in rules.VENDORS if vendor.lower() in words), "")


def _state_method(made: Dataset) -> None:
    """PS3.3 C.7.1.1: that, how, and that dates were moved."""
    made.PatientIdentityRemoved = "YES"
    made.DeidentificationMethod = "lucency deid: allow-list, keyed hash"
    made.DeidentificationMethodCodeSequence = Sequence(
        [_code(value, "DCM", meaning) for value, meaning in rules.PROFILE]
    )
    made.LongitudinalTemporalInformationModified = "MODIFIED"
