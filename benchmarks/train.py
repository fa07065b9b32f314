"""Films per second of training, beside the classic Keras notebook on the same films, side and batch, in one run.

    python benchmarks/train.py --data FOLDER [--weights FILE] [--films 640] [--keras .venv-keras/bin/python]

The notebook's interpreter comes from an environment of its own:
    python -m venv .venv-keras && .venv-keras/bin/pip install tensorflow-cpu pillow

Rounds alternate lucency and the notebook, so that a machine whose speed drifts slows both; medians are printed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from lucency.data import read_dataset
from lucency.data.dataset import Dataset, decode_squares
from lucency.models import build
from lucency.models.run import keep_freed_memory
from lucency.preprocess import Preprocess
from lucency.recipe import DataSettings, FinetuneSettings, FitSettings, ModelSettings
from lucency.train.dataloader import Examples, train_loader
from lucency.train.features import pooled_features
from lucency.train.losses import MeanLoss, Objective
from lucency.train.module import ClassifierModule
from lucency.train.run import labels_of, stack, unfreeze

NOTEBOOK = Path(__file__).with_name("notebook_keras.py")


def seconds(work: object) -> float:
    start = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - start


def one_epoch(step: ClassifierModule, most: int | None = None) -> None:
    """The arithmetic of one epoch, or of its first batches: forward, loss, backward, Adam."""
    moving = [parameter for parameter in step.network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(moving, step.settings.lr, weight_decay=0.0, fused=True)
    step.network.train()
    step.keep_frozen()
    for inputs, labels, _ in itertools.islice(step.train_batches(0), most):
        optimizer.zero_grad(set_to_none=True)
        step.loss.objective(step.network(inputs), labels).backward()
        optimizer.step()


def measure_lucency(films: Dataset, options: argparse.Namespace) -> dict[str, float]:
    """Seconds of phase 1's first epoch (features computed, cached), of a later one, and of an epoch of fine-tuning."""
    classifier = build(ModelSettings(head="dense128", weights=options.weights))
    preprocess = Preprocess(image_size=options.side)
    settings = DataSettings(image_size=options.side)
    with tempfile.TemporaryDirectory() as cache:
        features = seconds(lambda: pooled_features(classifier, films, preprocess, Path(cache)))
        again = pooled_features(classifier, films, preprocess, Path(cache))
    loss = MeanLoss(Objective("binary"))
    vectors = Examples(torch.from_numpy(again.vectors), labels_of(films))
    head = ClassifierModule(
        classifier.head,
        loss,
        FitSettings(batch=options.batch),
        0,
        lambda epoch: train_loader(vectors, settings, options.batch, 0, epoch),
        None,  # type: ignore[arg-type]
    )
    later = seconds(lambda: one_epoch(head))
    squares = Examples(stack(decode_squares(films, preprocess).pixels), labels_of(films))
    network = classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    tune = FinetuneSettings(batch=options.batch, batch_norm="train")
    whole = ClassifierModule(
        network,
        loss,
        tune,
        0,
        lambda epoch: train_loader(squares, settings, options.batch, 0, epoch),
        None,  # type: ignore[arg-type]
        keep_frozen=unfreeze(classifier, tune),
    )
    one_epoch(whole, most=2)  # the notebook, too, has two batches to compile in
    return {"features": features, "later": later, "finetune": seconds(lambda: one_epoch(whole))}


def measure_notebook(listing: Path, options: argparse.Namespace) -> dict[str, float]:
    command = [options.keras, str(NOTEBOOK), str(listing), "--side", str(options.side), "--batch", str(options.batch)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    return {"frozen": median(found["frozen_s"]), "finetune": median(found["tuned_s"]), "peak_mib": found["peak_mib"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", default="none")
    parser.add_argument("--films", type=int, default=640)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keras", help="interpreter of an environment with tensorflow-cpu")
    options = parser.parse_args()
    torch.set_num_threads(2)
    keep_freed_memory()
    everything = read_dataset(options.data)
    chosen = np.random.default_rng(0).choice(len(everything), min(options.films, len(everything)), replace=False)
    films = everything.subset(np.sort(chosen))
    listing = Path(tempfile.mkstemp(suffix=".txt")[1])
    listing.write_text("\n".join(str(record.path) for record in films.samples))
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    for _ in range(options.rounds):
        ours.append(measure_lucency(films, options))
        if options.keras:
            theirs.append(measure_notebook(listing, options))
    listing.unlink()
    report(len(films), ours, theirs)


def report(n: int, ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> None:
    mid = {key: median(row[key] for row in ours) for key in ours[0]}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{n} films, medians of {len(ours)} rounds, {torch.get_num_threads()} threads")
    print(f"lucency  phase 1, first epoch      {n / (mid['features'] + mid['later']):9.1f} films/s")
    print(f"lucency  phase 1, from the second  {n / mid['later']:9.1f} films/s")
    print(f"lucency  full fine-tuning          {n / mid['tune']:9.1f} films/s")
    print(f"lucency  peak memory               {peak:9.0f} MiB")
    if not theirs:
        sys.exit(0)
    other = {key: median(row[key] for row in theirs) for key in theirs[0]}
    print(f"notebook frozen backbone, an epoch {n / other['frozen']:9.1f} films/s")
    print(f"notebook full fine-tuning          {n / other['tune']:9.1f} films/s")
    print(f"notebook peak memory               {other['peak_mib']:9.0f} MiB")
    ten = [10 * b["frozen"] / (a["features"] + 10 * a["later"]) for a, b in zip(ours, theirs, strict=True)]
    tune = [b["tune"] / a["tune"] for a, b in zip(ours, theirs, strict=True)]
    print(f"ratio    phase 1 over ten epochs   {median(ten):9.1f} ×  ({min(ten):.1f} to {max(ten):.1f}; bar 10)")
    print(f"ratio    full fine-tuning          {median(tune):9.2f} ×  ({min(tune):.2f} to {max(tune):.2f}; bar 2)")


if __name__ == "__main__":
    main()
