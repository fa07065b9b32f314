"""What came of a scoring: how many films, what they were called, why some have no score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lucency import NOTICE
from lucency.score.fetch import KINDS
from lucency.score.shards import Label


@dataclass(frozen=True)
class Summary:
    """Of all films of a manifest, or of one part of it."""

    out: str
    bundle: str
    digest: str
    films: int
    verdicts: dict[str, int]
    """Films by verdict."""
    failures: dict[str, int]
    """Films without a score, by cause."""
    scored_now: int
    """Films that this call scored; the others had been."""
    seconds: float
    """That it took, the start of its processes included."""

    @property
    def failed(self) -> int:
        """Films without a score."""
        return sum(self.failures.values())

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints and `_summary.json` holds."""
        rate = {"films_per_second": round(self.scored_now / self.seconds, 2)} if self.seconds else {}
        return {**vars(self), "seconds": round(self.seconds, 1), **rate, "failed": self.failed, "notice": NOTICE}

    def text(self) -> str:
        """For a person."""
        lines = [f"{self.out}: {self.films} films by {self.bundle} ({self.digest[:12]})"]
        lines += [f"  {count:>9}  {verdict or 'none'}" for verdict, count in self.verdicts.items()]
        if self.failures:
            lines.append(f"  {self.failed:>9}  without a score:")
            lines += [f"  {count:>11}  {kind}: {KINDS[kind]}" for kind, count in self.failures.items()]
        if self.scored_now:
            rate = self.scored_now / self.seconds if self.seconds else 0.0
            lines.append(f"{self.scored_now} scored now, {rate:.1f} films a second")
        else:
            lines.append("all had been scored before; nothing was left to do")
        return "\n".join([*lines, NOTICE])


def summed(out: str, labels: Iterable[Label], name: str, digest: str, scored_now: int, seconds: float) -> Summary:
    """The summary of shards, the most frequent first."""
    every = list(labels)
    verdicts: Counter[str] = sum((Counter(label.verdicts) for label in every), Counter())
    failures: Counter[str] = sum((Counter(label.failures) for label in every), Counter())
    films = sum(label.films for label in every)
    counts = dict(verdicts.most_common()), dict(failures.most_common())
    return Summary(out, name, digest, films, *counts, scored_now=scored_now, seconds=seconds)
