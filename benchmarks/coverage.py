"""How often 95 % intervals hold the truth: `python benchmarks/coverage.py [--studies 4000] [--bootstrap 300]`.

One setting of the table: `--area 0.99 --patients 430 --films "one to several"`; by default all of them.

Simulated studies with known true figures (tests/evaluate/samples.py: half of the patients positive, one to five films
each, scores of a patient's films correlated by 0.7, threshold in the middle). The share of studies, in per cent, whose
interval contains the truth. With --bootstrap N, also BCa's interval by patient, in N of the studies.
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path

import numpy as np
from scipy.stats import norm

from lucency.evaluate.confidence_intervals import bootstrap, metric_interval
from lucency.evaluate.metrics import METRICS, Finding, compute_metrics
from lucency.progress import track

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from evaluate.samples import FILMS, study

AREAS, PATIENTS = (0.9, 0.95, 0.99, 0.995), (200, 430, 1000)
NAMES = ("accuracy", "sensitivity", "specificity", "auroc")


def resampled(finding: Finding, groups: np.ndarray, seed: int) -> dict[str, tuple[float, float]]:
    """BCa's intervals, 1,000 draws."""
    found = bootstrap(lambda weights: compute_metrics(finding, weights), groups, 1000, seed)
    return {name: (found.low[METRICS.index(name)], found.high[METRICS.index(name)]) for name in NAMES}


def held(area: float, patients: int, films: str, studies: int, bootstrap: int) -> tuple[dict, dict]:
    """Per cent of studies whose interval holds the truth, by closed form and by resampling."""
    rng = np.random.default_rng(8)
    apart = norm.ppf(area) * np.sqrt(2)
    truth = dict.fromkeys(NAMES, norm.cdf(apart / 2)) | {"auroc": area}
    hits = [dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 0)]
    for number in range(studies):
        finding, groups = study(rng, patients, apart, films)
        found = [{name: metric_interval(name, finding, groups) for name in NAMES}]
        found += [resampled(finding, groups, number)] if number < bootstrap else []
        for count, bounds in zip(hits, found, strict=False):
            for name in NAMES:
                count[name] += bounds[name][0] <= truth[name] <= bounds[name][1]
    shares = [
        {name: 100 * n / max(1, of) for name, n in c.items()} for c, of in zip(hits, (studies, bootstrap), strict=True)
    ]
    return shares[0], shares[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=4000)
    parser.add_argument("--bootstrap", type=int, default=0)
    parser.add_argument("--area", type=float, nargs="+", default=AREAS)
    parser.add_argument("--patients", type=int, nargs="+", default=PATIENTS)
    parser.add_argument("--films", nargs="+", choices=list(FILMS), default=list(FILMS))
    options = parser.parse_args()
    print(f"| AUROC | patients | films a patient | {' | '.join(NAMES)} |\n|{'---|' * (3 + len(NAMES))}")
    settings = list(product(options.area, options.patients, options.films))
    for area, patients, films in track(settings, "simulating studies", total=len(settings)):
        closed, drawn = held(area, patients, films, options.studies, options.bootstrap)
        cells = [f"{closed[n]:.1f}" + (f" (BCa {drawn[n]:.1f})" if options.bootstrap else "") for n in NAMES]
        print(f"| {area} | {patients} | {films} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
