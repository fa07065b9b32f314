"""The network of `benchmarks/read.py` in Keras, read by `predict`; started by it in an environment of its own.

The same layers, weights, padding and normalisation as lucency's mobilenet_v2 with a linear head; two outputs, logit
and class activation map. Answers the lines "single" and "batch" on stdin; see `benchmarks/read_peers.py`.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from read_peers import Answer, serve, square

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
EPS = 1e-5
THREADS = int(sys.argv[2])


def unit(x: object, outputs: int | None, kernel: int, stride: int, active: bool = True) -> object:
    """Convolution (depthwise where `outputs` is None) → batch norm → ReLU6, padded alike on both sides."""
    if kernel > 1:
        x = layers.ZeroPadding2D(1)(x)
    if outputs is None:
        x = layers.DepthwiseConv2D(kernel, stride, use_bias=False)(x)
    else:
        x = layers.Conv2D(outputs, kernel, stride, use_bias=False)(x)
    x = layers.BatchNormalization(epsilon=EPS)(x)
    return layers.ReLU(6.0)(x) if active else x


def network(weights: dict[str, np.ndarray]) -> keras.Model:
    film = keras.Input((224, 224, 1))
    scale, shift = weights["scale"].reshape(1, 1, 1, 3), weights["shift"].reshape(1, 1, 1, 3)
    x = layers.Lambda(lambda gray: gray * scale + shift, output_shape=(224, 224, 3))(film)
    x = unit(x, 32, 3, 2)
    channels = 32
    for factor, outputs, count, first in STAGES:
        for number in range(count):
            stride, before = first if number == 0 else 1, x
            y = unit(x, channels * factor, 1, 1) if factor > 1 else x
            y = unit(unit(y, None, 3, stride), outputs, 1, 1, active=False)
            x = layers.Add()([before, y]) if stride == 1 and channels == outputs else y
            channels = outputs
    features = unit(x, 1280, 1, 1)
    logit = layers.Dense(1, name="logit")(layers.GlobalAveragePooling2D()(features))
    cells = layers.Conv2D(1, 1, use_bias=False, name="map")(features)
    model = keras.Model(film, [logit, cells])
    _fill(model, weights)
    return model


def _fill(model: keras.Model, weights: dict[str, np.ndarray]) -> None:
    """PyTorch's arrays, in the order of its layers, into Keras's."""
    given = iter(weights[name] for name in sorted(weights) if name[:4].isdigit())
    for layer in model.layers:
        if isinstance(layer, layers.DepthwiseConv2D):
            layer.set_weights([next(given).transpose(2, 3, 0, 1)])
        elif isinstance(layer, layers.BatchNormalization):
            layer.set_weights([next(given) for _ in range(4)])
        elif isinstance(layer, layers.Conv2D) and layer.name != "map":
            layer.set_weights([next(given).transpose(2, 3, 1, 0)])
    dense = weights["dense"]  # (1, 1280)
    model.get_layer("logit").set_weights([dense.T, weights["bias"]])
    model.get_layer("map").set_weights([dense.T[None, None]])


def main() -> None:
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    with np.load(sys.argv[3]) as stored:
        model = network(dict(stored))

    def answer(squares: np.ndarray) -> Answer:
        logits, cells = model.predict(squares[..., None].astype(np.float32), batch_size=len(squares), verbose=0)
        return logits[:, 0], cells[..., 0]

    serve(answer, square, THREADS)


if __name__ == "__main__":
    main()
