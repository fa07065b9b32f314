"""What several looks at a film would gain: `python benchmarks/looks.py RUN --data mixed --aspects kermany_aspect`.

A run whose network reads the middle of a film answers for the films that it never met, plain and re-acquired like the
other class, by several cuts of each film; then by the mean logit of two or three of them. Every look costs a pass of
the network. Printed: AUROC plain and re-acquired; specificity and sensitivity re-acquired, at the threshold where that
way of looking finds 98 % of the plain films; milliseconds a film of a pass, on one thread.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

from lucency.data import read_dataset
from lucency.data.acquisition_pairs import known_aspects, squares_of
from lucency.models.classifier import fuse_batchnorm
from lucency.models.run import open_run
from lucency.progress import track
from lucency.shift.conditions import CONDITIONS, PLAIN, TOGETHER, Scores, condition_metrics, held_out, reacquire_films

CUTS = {
    "middle": (0.0, 0.05, 1.0, 0.95),
    "whole": (0.0, 0.0, 1.0, 1.0),
    "eight tenths": (0.0, 0.1, 1.0, 0.9),
    "narrow": (0.05, 0.1, 0.95, 0.9),
    "top": (0.0, 0.0, 1.0, 0.9),
    "bottom": (0.0, 0.1, 1.0, 1.0),
}
"""Name -> left, top, right and bottom as shares of the film; `middle` is what ships."""
LOOKS = (
    *((name,) for name in CUTS),
    ("middle", "whole"),
    ("middle", "narrow"),
    ("top", "bottom"),
    ("whole", "eight tenths"),
    ("middle", "top", "bottom"),
    ("whole", "middle", "narrow"),
)
BATCH = 32


def main() -> int:
    """Cut, answer, average, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--aspects", type=Path)
    parser.add_argument("--every", type=int, default=1, help="every so many of the held-out films")
    options = parser.parse_args()
    torch.set_num_threads(1)
    run = open_run(options.run)
    held, how = held_out(run.card, read_dataset(options.data))
    held = held.subset(range(0, len(held), options.every))
    squares = squares_of(held, known_aspects(options.aspects) if options.aspects else {})
    assert run.classifier.crop is not None
    assert run.preprocess.image_size == squares.pixels.shape[1]
    frame, network = run.classifier.crop, fuse_batchnorm(run.classifier.without_crop())

    outputs: dict[str, dict[str, np.ndarray]] = {condition: {} for condition in (PLAIN, TOGETHER)}
    spent = 0.0
    for condition, parts in outputs.items():
        films = [film for film, _ in reacquire_films(squares, range(len(squares)), CONDITIONS[condition], "other", 0)]
        for name, cut in track(CUTS.items(), f"reading, {condition}"):
            logits = []
            for start in range(0, len(films), BATCH):
                gray = torch.from_numpy(np.stack(films[start : start + BATCH]))[:, None].float()
                begun = time.perf_counter()
                with torch.inference_mode():
                    logits.append(network(frame(gray, torch.tensor([cut])))[:, 0].numpy())
                spent += time.perf_counter() - begun
            parts[name] = np.concatenate(logits).astype(np.float64)
    pass_ms = 1000 * spent / (len(outputs) * len(CUTS) * len(squares))

    print(f"{options.run}: {how}; {len(squares)} read; a pass takes {pass_ms:.1f} ms a film")
    print(f"{'':28}{'passes':>7}{'plain':>9}{'all':>9}{'spec.':>8}{'sens.':>8}")
    for look in LOOKS:
        answers = {condition: _mean([parts[name] for name in look]) for condition, parts in outputs.items()}
        plain, moved = condition_metrics(answers, squares.films.label_array(), 0.5)
        areas = f"{plain.auroc:>9.4f}{moved.auroc:>9.4f}"
        print(f"{' + '.join(look):28}{len(look):>7}{areas}{moved.specificity:>8.3f}{moved.sensitivity:>8.3f}")
    return 0


def _mean(logits: list[np.ndarray]) -> Scores:
    mean = np.mean(logits, axis=0)
    return Scores(mean, 1 / (1 + np.exp(-mean)))


if __name__ == "__main__":
    sys.exit(main())
