"""Films a second in each stage of a recipe, on this machine's GPU if there is one, else on its processor.

    python benchmarks/stages.py recipes/lucency-small.toml --data mixed --weights FILE [--films 1280] [--cpu]

Stages as `lucency train` runs them; the last three are one batch at a time, medians over --rounds of ten batches each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from lucency.data import read_dataset
from lucency.data.dataset import decode_squares
from lucency.models import build
from lucency.preprocess import Preprocess
from lucency.recipe import read_recipe
from lucency.train.dataloader import Examples, train_loader
from lucency.train.features import pooled_features
from lucency.train.run import labels_of, stack, unfreeze


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """How long work took, the device's part included, and what came of it."""
    start = time.perf_counter()
    came = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start, came


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--films", type=int, default=1280)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu", action="store_true", help="Leave the GPU alone.")
    options = parser.parse_args()
    if options.cpu:
        torch.cuda.is_available = lambda: False  # type: ignore[method-assign]
    recipe = read_recipe(options.recipe)
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"weights": options.weights})})
    everything = read_dataset(options.data)
    chosen = np.random.default_rng(0).choice(len(everything), min(options.films, len(everything)), replace=False)
    films = everything.subset(np.sort(chosen))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    side = recipe.model.frame or recipe.data.image_size
    about = f"{len(films)} films, {side} pixels, batch {recipe.finetune.batch}"
    print(f"{about}, {where}, torch {torch.__version__}")

    def show(stage: str, count: int, took: float) -> None:
        print(f"{stage:34}{count / took:10.0f} films/s", flush=True)

    took, decoded = seconds(
        lambda: decode_squares(
            films, Preprocess(recipe.augment.canvas or recipe.data.image_size, recipe.data.resize_mode)
        )
    )
    show("decoding", len(films), took)
    classifier = build(recipe.model, 1).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    preprocess = Preprocess(recipe.data.image_size, recipe.data.resize_mode)
    with tempfile.TemporaryDirectory() as cache:
        took, features = seconds(lambda: pooled_features(classifier, films, preprocess, Path(cache)))
    show("features, decoding included", len(films), took)
    pixels = stack(decoded.pixels).to(device)
    train = Examples(pixels, labels_of(decoded.films), size=side, augment=recipe.augment)

    head = classifier.head
    vectors = Examples(torch.from_numpy(features.vectors), labels_of(features.films))

    def train_steps(network: torch.nn.Module, examples: Examples, most: int, dtype: torch.dtype | None = None) -> None:
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
        for number, (inputs, targets, _) in enumerate(train_loader(examples, recipe.data, recipe.finetune.batch, 0, 0)):
            if number == most:
                return
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device.type, dtype, enabled=dtype is not None):
                logits = network(inputs.to(device))[:, 0]
            torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), targets.to(device).float()).backward()
            optimizer.step()

    train_steps(head, vectors, 10)
    show("head, a step", len(films), seconds(lambda: train_steps(head, vectors, len(films)))[0])
    network = classifier.without_crop().train()
    unfreeze(classifier, recipe.finetune)()
    batch = recipe.finetune.batch
    many = min(10, len(films) // batch)

    def look() -> None:
        for _, __ in zip(range(many), train_loader(train, recipe.data, batch, 0, 0), strict=False):
            pass

    def rate(stage: str, work: Callable[[], None]) -> None:
        work()
        show(stage, batch * many, median(seconds(work)[0] for _ in range(options.rounds)))

    rate("augmentation", look)
    rate("fine-tuning, augmentation included, 32 bit", lambda: train_steps(network, train, many))
    if device.type == "cuda":
        rate("the same, bf16", lambda: train_steps(network, train, many, torch.bfloat16))


if __name__ == "__main__":
    main()
