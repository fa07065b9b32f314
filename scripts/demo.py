"""The main job, from nothing to a page: `make demo`.

First the reader that ships reads a real film; then the whole way on drawn films. Each step is a lucency command,
printed before it runs, so that it can be repeated on other films.
"""

from __future__ import annotations

import argparse
import base64
import html
import json
import shlex
import shutil
import sys
import time
from pathlib import Path

from pydicom.data import get_testdata_file

from lucency.cli import run
from lucency.files import write_text
from lucency.film import open_film
from lucency.reader import Reader

RECIPE = "phantom"
LEARNED = "phantom:800"
ADULT = "RG1_J2KI.dcm"
"""A chest CR of an adult, from the package pydicom-data (MIT)."""
DRAWN = ("phantom-0000-0.png", "phantom-0001-0.png", "phantom-0003-0.png")


def main() -> int:
    """Run every step; the first that fails ends the demo with its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    out = parser.parse_args().out
    shutil.rmtree(out, ignore_errors=True)
    start = time.monotonic()
    for arguments in steps(out, adult_film()):
        print(f"\n$ lucency {shlex.join(arguments)}", flush=True)
        code = run(arguments)
        if code:
            return code
    write_text(out / "index.html", page(out))
    print(f"\nDone in {time.monotonic() - start:.0f} s. Open {out / 'index.html'}")
    return 0


def adult_film() -> str:
    """The real film, where pydicom-data put it."""
    found = get_testdata_file(ADULT, download=False)
    if found is None:
        raise SystemExit(f"{ADULT} is missing: install pydicom-data")
    return str(found)


def steps(out: Path, adult: str) -> list[list[str]]:
    """The commands, in order. Evaluation films and training films are of different patients."""
    films, trained, exported = str(out / "films"), str(out / "run"), str(out / "bundle")
    drawn = [str(out / "films" / "films" / name) for name in DRAWN]
    return [
        ["read", adult, "--map", str(out / "real")],
        ["phantom", "--out", films, "--films", "200", "--seed", "1"],
        ["audit", films, "--out", str(out / "audit")],
        ["train", RECIPE, "--data", LEARNED, "--out", trained],
        ["evaluate", trained, "--data", films, "--out", str(out / "evaluation")],
        ["report", trained, "--data", films, "--out", str(out / "report")],
        ["explain", *drawn, "--bundle", trained, "--out", str(out / "maps")],
        ["export", trained, "--quantize", "int8", "--data", LEARNED, "--out", exported],
        ["parity", trained, exported, "--data", films],
        ["bundle", "verify", exported],
        ["read", *drawn, "--bundle", exported],
    ]


def page(out: Path) -> str:
    """One self-contained page: the real film, the course of training, the judgement, films with their maps."""
    report = json.loads((out / "evaluation" / "report.json").read_text())
    parity = json.loads((out / "bundle" / "card.json").read_text())["parity"]
    figures = "".join(
        f"<tr><td>{html.escape(row['name'].replace('_', ' '))}</td><td>{row['value']:.3f}</td>"
        f"<td>{row['low']:.3f} to {row['high']:.3f}</td></tr>"
        for row in report["metrics"]
        if row["value"] is not None and row["low"] is not None
    )
    return PAGE.format(
        answer=html.escape(answer(adult_film())),
        real=pictures(out / "real"),
        figures=figures,
        films=report["films"],
        patients=report["patients"],
        evaluation=picture(out / "run" / "history.png") + pictures(out / "evaluation"),
        maps=pictures(out / "maps"),
        flips=parity["flips"],
        compared=parity["films"],
        logit=parity["logit_max"],
    )


def answer(film: str) -> str:
    """The shipped reader's reading of a film, with its warnings."""
    reading = Reader.open(None).read(open_film(film))
    return f"{reading.finding} {reading.probability:.3f}: {reading.verdict}. {'; '.join(reading.warnings)}"


def pictures(folder: Path) -> str:
    """Every PNG of a folder."""
    return "".join(map(picture, sorted(folder.glob("*.png"))))


def picture(path: Path) -> str:
    """An image that travels inside the page."""
    content = base64.b64encode(path.read_bytes()).decode()
    image = f'<img alt="{path.stem}" src="data:image/png;base64,{content}">'
    return f"<figure>{image}<figcaption>{path.stem}</figcaption></figure>"


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>lucency: demo</title>
<style>
 body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
   background: #14171a; color: #e8e6e3; }}
 h1, h2 {{ font-weight: 600; }} td {{ padding: .15rem 1.5rem .15rem 0; }} a {{ color: #7fb4e8; }}
 section {{ display: flex; flex-wrap: wrap; gap: 1rem; }} figure {{ margin: 0; max-width: 33rem; }}
 img {{ max-width: 100%; background: #fff; border-radius: 4px; }} .maps figure {{ max-width: 100%; }}
 figcaption {{ color: #a9a49c; font-size: .85rem; }} .notice {{ color: #f0b429; }}
</style>
<h1>lucency: the demo</h1>
<p class="notice">Research use only, not a medical device.</p>
<h2>A real film, read by the shipped reader</h2>
<p>An adult's chest film (pydicom-data). The reader was trained on films of children aged 1 to 5, and warns about films
 that are unlike those.</p>
<p><strong>{answer}</strong></p>
<section>{real}</section>
<h2>A reader trained just now, on drawn films</h2>
<p>Evaluated on {films} drawn films of {patients} patients not used in training. The
 <a href="audit/audit.html">audit</a> of these films;
 a <a href="report/report.html">report</a> with the worst errors.</p>
<table><tr><th align="left">figure</th><th align="left">value</th><th align="left">95 % interval, by patient</th></tr>
{figures}</table>
<section>{evaluation}</section>
<h2>Where it looked</h2>
<section class="maps">{maps}</section>
<h2>The same reader in int8, for the phone</h2>
<p>{flips} of {compared} films called differently; logits differ by at most {logit:.3f}.</p>
</html>
"""


if __name__ == "__main__":
    sys.exit(main())
