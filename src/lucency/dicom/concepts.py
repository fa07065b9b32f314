"""The coded words of a report: standard ones where there are any, else ours, in the scheme 99LUCENCY."""

from __future__ import annotations

import hashlib
import re

from pydicom.sr.coding import Code

PROBABILITY = Code("122157", "DCM", "Probability")
THRESHOLD = Code("122411", "DCM", "Threshold Value")
COMMENT = Code("121106", "DCM", "Comment")
NO_UNITS = Code("1", "UCUM", "no units")
CHEST_RADIOGRAPHY = Code("399208008", "SCT", "Plain chest X-ray")
LUNG = Code("39607008", "SCT", "Lung")
VERDICT = Code("VERDICT", "99LUCENCY", "Verdict")

PRESENT = Code("52101004", "SCT", "Present")
ABSENT = Code("272519000", "SCT", "Absent")
INDETERMINATE = Code("82334004", "SCT", "Indeterminate")

FINDINGS = {
    "pneumonia": Code("233604007", "SCT", "Pneumonia"),
}
"""A bundle's label → its code; any other label is coded in our own scheme."""


def finding(label: str) -> Code:
    """The code of a label. A code value has at most 16 characters, so that of a long label ends in its hash."""
    if label.lower() in FINDINGS:
        return FINDINGS[label.lower()]
    word = re.sub(r"[^A-Z0-9]+", "_", label.upper()).strip("_")
    tail = hashlib.sha256(label.encode()).hexdigest()[:6].upper()
    return Code(word if 0 < len(word) <= 16 else f"{word[:9]}_{tail}", "99LUCENCY", label[:64])
