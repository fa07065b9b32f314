"""SavedModels and what TensorFlow answers; run by a Python that has TensorFlow, and tf_keras for those of Keras 2.

python saved_models.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np

SIDE = 32


def alive(model):
    rng = np.random.default_rng(0)
    values = []
    for weight, value in zip(model.weights, model.get_weights(), strict=True):
        if "variance" in weight.name or "gamma" in weight.name:
            values.append(rng.uniform(0.5, 1.5, value.shape))
        elif value.ndim < 2:
            values.append(np.asarray(rng.normal(0, 0.2, value.shape), value.dtype))
        else:
            depthwise = "depthwise" in weight.name or (value.ndim == 4 and value.shape[3] == 1 < value.shape[0])
            fan = np.prod(value.shape[:2] if depthwise else value.shape[:-1])
            values.append(rng.normal(0, (1.5 / fan) ** 0.5, value.shape))
    model.set_weights(values)
    return model


def lecture(keras):
    base = keras.applications.MobileNetV2((SIDE, SIDE, 3), alpha=0.35, include_top=False, weights=None)
    base.trainable = False
    dense, pool = keras.layers.Dense, keras.layers.GlobalAveragePooling2D()
    return keras.Sequential([base, pool, dense(128, activation="relu"), dense(1, activation="sigmoid")])


def nested(keras):
    """Layers of one name in two models, a separable convolution, softmax of two."""
    layers = keras.layers
    film = keras.Input((SIDE, SIDE, 3))
    inner = keras.Model(film, layers.SeparableConv2D(6, 3, name="conv")(film), name="inner")
    film = keras.Input((SIDE, SIDE, 3))
    x = layers.BatchNormalization()(
        inner(layers.Conv2D(3, 3, padding="same", name="conv")(layers.Rescaling(1 / 255)(film)))
    )
    return keras.Model(film, layers.Dense(2, activation="softmax")(layers.Flatten()(layers.MaxPooling2D(4)(x))))


def write(name, model, save):
    squares = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)
    films = np.repeat(squares[..., None].astype(np.float32), 3, axis=-1)
    folder = Path(sys.argv[1])
    np.save(folder / f"{name}.npy", np.asarray(model(films if name == "nested" else films / 127.5 - 1, training=False)))
    save(str(folder / name))


def main():
    import keras

    graph = alive(lecture(keras))
    write("graph", graph, graph.export)
    try:
        import tf_keras
    except ImportError:
        return
    for name, build in (("lecture", lecture), ("nested", nested)):
        model = alive(build(tf_keras))
        model.compile("adam", "binary_crossentropy")
        write(name, model, lambda path, model=model: model.save(path, save_format="tf"))


if __name__ == "__main__":
    main()
