"""`lucency audit` and `phantom`: check a data set, or draw one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency.cli.inputs import AllowMissing, DataOptions, Json, Source, read_films
from lucency.cli.terminal import echo

if TYPE_CHECKING:
    from lucency.audit import Finding as AuditFinding


SHOWN = 12
"""Lines printed for a finding that has no pictures."""


def audit(
    data: Annotated[Path, typer.Argument(help="Folder, table or archive of films with labels, or phantom:N.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for audit.html and audit.json.")] = Path("audit"),
    source: Source = "auto",
    allow_missing: AllowMissing = False,
    modality: Annotated[str, typer.Option(help="Kind of picture, as data.modality of a recipe.")] = "chest_xray",
    as_json: Json = False,
) -> None:
    """Check every film of a data set: leaks, duplicates, odd films, shortcuts.

    The exit code is 4 if anything makes results invalid: patients or films on both sides of a split, one film with two
    labels, films that cannot be read. Dangers are reported but do not change the exit code.

    Example: lucency audit chest_xray --out audits/chest_xray
    """
    import json

    from lucency.audit import audit as audit_films
    from lucency.audit.report import page
    from lucency.errors import SourceError, UsageError
    from lucency.files import write_text
    from lucency.modality import MODALITIES

    options = DataOptions(source, allow_missing=allow_missing)

    if modality not in MODALITIES:
        raise UsageError(f"--modality {modality}: expected one of {', '.join(MODALITIES)}")
    found = audit_films(read_films(data, options, depends=False), modality)
    content = json.dumps(found.to_json(), indent=2, ensure_ascii=False)
    write_text(out / "audit.json", content + "\n")
    write_text(out / "audit.html", page(found, str(data)))
    echo(content if as_json else _summary(found.findings, out))
    if found.invalid:
        what = "; ".join(finding.title.lower() for finding in found.invalid)
        raise SourceError(f"{data}: results would be wrong: {what}; see {out / 'audit.html'}")


def _summary(findings: tuple[AuditFinding, ...], out: Path) -> str:
    lines = []
    for finding in findings:
        lines.append(f"{finding.severity:8}{finding.title}: {finding.line}")
        lines += [f"{'':10}{word}" for word in finding.details[:SHOWN] if not finding.groups]
    return "\n".join([*(lines or ["nothing found"]), f"written: {out / 'audit.html'}, {out / 'audit.json'}"])


def phantom(
    out: Annotated[Path, typer.Option(help="Folder for films, masks and labels; new.", show_default=False)],
    films: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the patients.")] = 0,
) -> None:
    """Write drawn chest films with exact lesion masks, to try everything without patient data.

    Example: lucency phantom --out phantoms --films 200
    """
    from lucency.data.phantom import write_phantoms

    write_phantoms(out, films, seed)
    echo(f"{out}: {films} drawn films with their lesion masks; train on them with lucency train --data {out}")
