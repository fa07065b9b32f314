"""What means of networks would gain: `python benchmarks/weight_means.py RUN RUN --data skin`.

Runs of the same fold, of several classes, answer for the pictures that none of them met: with the weights of the last
epoch, of the one before, and with the mean of both (as in stochastic weight averaging, Izmailov et al. 2018,
arXiv:1803.05407); then by the mean of the logits of the last epochs of all runs, which costs a network each. All read a
picture in the views of the last run (`model.tta_flip`, `model.tta_zoom`). Printed: balanced accuracy, AUROC (mean over
classes) and log loss.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lucency.data import read_dataset
from lucency.data.dataset import decode_squares, preprocess_of
from lucency.models.classifier import Classifier, fuse_batchnorm
from lucency.models.run import open_run
from lucency.progress import track
from lucency.recipe import Recipe
from lucency.shift.conditions import held_out
from lucency.train.augment import planes_of
from lucency.train.checkpoints import LAST, PREVIOUS, read_checkpoint
from lucency.train.metrics import epoch_metrics
from lucency.train.run import stack, trained_part

BATCH = 16
Weights = dict[str, torch.Tensor]


def main() -> int:
    """Load, average, answer, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--data", required=True)
    options = parser.parse_args()
    runs = [open_run(path) for path in options.runs]
    every = read_dataset(options.data)
    films, *others = [held_out(run.card, every)[0] for run in runs]
    assert all(found.samples == films.samples for found in others), "expected runs of one fold"
    labels, last = films.label_array(), list[NDArray[np.float32]]()
    print(f"{len(films)} pictures\n{'network':40} balanced accuracy  AUROC  log loss")
    for path, run in zip(options.runs, runs, strict=True):
        recipe = Recipe.model_validate(run.card.training.recipe)
        pixels = planes_of(stack(decode_squares(films, preprocess_of(recipe.data)).pixels)).float()
        for name, weights in kept(path / "checkpoints" / "finetune").items():
            trained_part(run.classifier, recipe).load_state_dict(weights)
            run.classifier.tta = runs[-1].classifier.tta
            logits = answers(run.classifier, pixels, f"{path.name}, {name}")
            line(f"{path.name}, {name}", logits, labels)
            last += [logits] if name == "last" else []
    if len(runs) > 1:
        line("mean of the logits of all", np.mean(last, axis=0), labels)
    return 0


def kept(folder: Path) -> dict[str, Weights]:
    """The weights of the last epoch, of the one before, and their mean."""
    last, before = (
        {key.removeprefix("network."): value for key, value in read_checkpoint(folder / name)["state_dict"].items()}
        for name in (LAST, PREVIOUS)
    )
    both = {key: (last[key] + before[key]) / 2 if last[key].is_floating_point() else last[key] for key in last}
    return {"last": last, "before": before, "mean of both": both}


@torch.inference_mode()
def answers(classifier: Classifier, pixels: torch.Tensor, doing: str) -> NDArray[np.float32]:
    """Logits (n, classes) of pictures (n, channels, s, s)."""
    network = fuse_batchnorm(classifier).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    starts = track(range(0, len(pixels), BATCH), doing)
    logits: NDArray[np.float32] = torch.cat([network(pixels[start : start + BATCH]) for start in starts]).numpy()
    return logits


def line(name: str, logits: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    """Print what these logits give."""
    found = epoch_metrics(logits, labels)
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels))
    print(f"{name:40} {found['recall']:17.3f}  {found['auroc']:.3f}  {loss:8.3f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
