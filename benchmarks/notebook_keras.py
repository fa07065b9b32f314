"""The classic notebook's way, in Keras: MobileNetV2 frozen and run again in every epoch, then everything tuned.

Called by `benchmarks/train.py` with the interpreter of an environment of its own. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from PIL import Image


def read(files: list[str], side: int) -> tuple[np.ndarray, np.ndarray]:
    squares = [np.asarray(Image.open(f).convert("L").resize((side, side), Image.Resampling.BILINEAR)) for f in files]
    labels = np.array(["PNEUMONIA" in Path(f).parts for f in files], dtype=np.float32)
    return np.repeat(np.stack(squares)[..., None], 3, axis=-1), labels


def network(side: int) -> tuple[keras.Model, keras.Model]:
    backbone = keras.applications.MobileNetV2(input_shape=(side, side, 3), include_top=False, weights=None)
    films = keras.Input((side, side, 3))
    x = backbone(keras.applications.mobilenet_v2.preprocess_input(films))
    x = keras.layers.Dense(128, activation="relu")(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(films, keras.layers.Dense(1, activation="sigmoid")(x)), backbone


def epoch_seconds(model: keras.Model, films: np.ndarray, labels: np.ndarray, batch: int, epochs: int) -> list[float]:
    """Seconds of each epoch after a first one that compiles."""
    model.compile("adam", "binary_crossentropy")
    model.fit(films[: 2 * batch], labels[: 2 * batch], batch_size=batch, verbose=0)
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        model.fit(films, labels, batch_size=batch, verbose=0)
        seconds.append(time.perf_counter() - start)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, help="text file that lists the films, one a line")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    films, labels = read(options.files.read_text().splitlines(), options.side)
    model, backbone = network(options.side)
    backbone.trainable = False
    frozen = epoch_seconds(model, films, labels, options.batch, options.epochs)
    backbone.trainable = True
    tuned = epoch_seconds(model, films, labels, options.batch, options.epochs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"films": len(films), "frozen_s": frozen, "tuned_s": tuned, "peak_mib": peak}))


if __name__ == "__main__":
    main()
