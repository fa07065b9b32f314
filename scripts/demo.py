"""The main job on drawn films, from nothing to a page: `make demo`.

Each step is a lucency command, printed before it runs, so that it can be repeated on other films.
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

from lucency.cli import run
from lucency.files import write_text

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "phantom.toml"
SHOWN = 6
"""Films on the page."""


def main() -> int:
    """Run every step; the first that fails ends the demo with its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    out = parser.parse_args().out
    shutil.rmtree(out, ignore_errors=True)
    start = time.monotonic()
    for arguments in steps(out):
        print(f"\n$ lucency {shlex.join(arguments)}", flush=True)
        code = run(arguments)
        if code:
            return code
    write_text(out / "index.html", page(out))
    print(f"\nDone in {time.monotonic() - start:.0f} s. Open {out / 'index.html'}")
    return 0


def steps(out: Path) -> list[list[str]]:
    """The commands, in order. The films that are judged are of other patients than those learned from."""
    films, trained = str(out / "films"), str(out / "run")
    shown = [str(out / "films" / name) for name in ("phantom-0000-0.png", "phantom-0001-0.png", "phantom-0003-0.png")]
    return [
        ["train", str(RECIPE), "--data", "phantom:800", "--out", trained],
        ["phantom", "--out", films, "--films", "200", "--seed", "1"],
        ["evaluate", trained, "--data", films, "--out", str(out / "judged")],
        ["read", *shown, "--bundle", trained, "--map", str(out / "maps")],
    ]


def page(out: Path) -> str:
    """One self-contained page: the course of training, the judgement, films with their maps."""
    report = json.loads((out / "judged" / "report.json").read_text())
    figures = "".join(
        f"<tr><td>{html.escape(row['name'].replace('_', ' '))}</td><td>{row['value']:.3f}</td>"
        f"<td>{row['low']:.3f} to {row['high']:.3f}</td></tr>"
        for row in report["metrics"]
        if row["value"] is not None and row["low"] is not None
    )
    pictures = [out / "run" / "history.png", *sorted((out / "judged").glob("*.png"))]
    maps = sorted((out / "maps").glob("*.png"))[:SHOWN]
    return PAGE.format(
        figures=figures,
        films=report["films"],
        patients=report["patients"],
        pictures="".join(map(picture, pictures)),
        maps="".join(map(picture, maps)),
    )


def picture(path: Path) -> str:
    """An image that travels inside the page."""
    content = base64.b64encode(path.read_bytes()).decode()
    return f'<figure><img alt="{path.stem}" src="data:image/png;base64,{content}"><figcaption>{path.stem}</figcaption></figure>'


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>lucency: demo</title>
<style>
 body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
   background: #14171a; color: #e8e6e3; }}
 h1, h2 {{ font-weight: 600; }} td {{ padding: .15rem 1.5rem .15rem 0; }}
 section {{ display: flex; flex-wrap: wrap; gap: 1rem; }} figure {{ margin: 0; }}
 img {{ max-width: min(100%, 30rem); background: #fff; border-radius: 4px; }} .maps img {{ max-width: 100%; }}
 figcaption {{ color: #a9a49c; font-size: .85rem; }} .notice {{ color: #f0b429; }}
</style>
<h1>lucency, on drawn films</h1>
<p class="notice">Research use only, not a medical device. Every film here is drawn, no one was X-rayed.</p>
<h2>Judged on {films} films of {patients} other patients</h2>
<table><tr><th align="left">figure</th><th align="left">value</th><th align="left">95 % interval, by patient</th></tr>
{figures}</table>
<section>{pictures}</section>
<h2>Where it looked</h2>
<section class="maps">{maps}</section>
</html>
"""


if __name__ == "__main__":
    sys.exit(main())
