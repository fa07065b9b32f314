"""Small networks as people build them in Keras, with weights that keep their answers alive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers
from keras.src.applications.efficientnet import DEFAULT_BLOCKS_ARGS, EfficientNet

SIDE = 24


def alive(model: Any) -> Any:
    """Random weights, norms with moments of their own; the signal neither dies nor explodes."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        kind, shape = weight.path.rpartition("/")[2], tuple(weight.shape)
        if "seed" in kind or kind == "count":
            continue
        if "variance" in kind or kind == "gamma":
            weight.assign(rng.uniform(0.5, 1.5, shape))
        elif len(shape) < 2:
            weight.assign(rng.normal(0, 0.2, shape))
        else:
            depthwise = kind == "depthwise_kernel" or (len(shape) == 4 and shape[3] == 1 and shape[0] > 1)
            fan = np.prod(shape[:2] if depthwise else shape[:-1])
            weight.assign(rng.normal(0, (1.5 / fan) ** 0.5, shape))
    return model


def _end(x: Any, units: int = 1, activation: str | None = "sigmoid") -> Any:
    return layers.Dense(units, activation=activation)(x)


def _plain() -> Any:
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(6, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(5, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def _two_outputs() -> Any:
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.SeparableConv2D(8, 3, strides=2, padding="same", depth_multiplier=2, activation="elu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
            layers.Softmax(),
        ]
    )


def _gray() -> Any:
    normalization = layers.Normalization()
    normalization.adapt(np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1))
    return keras.Sequential(
        [
            keras.Input((SIDE + 1, SIDE + 1, 1)),  # an odd side: Keras on PyTorch pads even ones unlike TensorFlow
            normalization,
            layers.Conv2D(4, (3, 5), dilation_rate=(2, 1), padding="same"),
            layers.BatchNormalization(scale=False),
            layers.LeakyReLU(),
            layers.AveragePooling2D(3, strides=2, padding="same"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(3, activation="tanh"),
            layers.BatchNormalization(center=False),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def _mobilenet_v1() -> Any:
    base = keras.applications.MobileNet((64, 64, 3), alpha=0.25, include_top=False, weights=None, pooling="avg")
    film = keras.Input((64, 64, 3))
    x = keras.ops.subtract(keras.ops.true_divide(film, 127.5), 1.0)
    return keras.Model(film, _end(base(x, training=False)))


def _mobilenet_v1_top() -> Any:
    return keras.applications.MobileNet((64, 64, 3), alpha=0.25, weights=None, classes=2)


def _lecture() -> Any:
    base = keras.applications.MobileNetV2((64, 64, 3), alpha=0.35, include_top=False, weights=None)
    base.trainable = False
    return keras.Sequential(
        [base, layers.GlobalAveragePooling2D(), layers.Dense(128, activation="relu"), layers.Dense(1, "sigmoid")]
    )


def _other_head() -> Any:
    base = keras.applications.MobileNetV2((64, 64, 3), alpha=0.35, include_top=False, weights=None)
    film = keras.Input((64, 64, 3))
    x = base(layers.Rescaling(1 / 127.5, offset=-1)(film))
    x = layers.AveragePooling2D(2)(x)
    x = layers.Flatten()(x)
    return keras.Model(film, _end(layers.Dense(32, activation="relu6")(x), 2, "softmax"))


def _efficientnet() -> Any:
    base = EfficientNet(
        0.2, 0.2, SIDE, include_top=False, weights=None, input_shape=(SIDE * 2, SIDE * 2, 3), name="small"
    )
    film = keras.Input((SIDE * 2, SIDE * 2, 3))
    scaled = layers.Rescaling([2.1, 2.2, 2.3])(film)  # as weights="imagenet" adds one, a number a channel
    x = layers.GlobalAveragePooling2D()(base(scaled))
    return keras.Model(film, _end(layers.Dropout(0.2)(x)))


def _residual() -> Any:
    relu = layers.ReLU(max_value=6.0)
    film = keras.Input((SIDE, SIDE, 3))
    x = relu(layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(layers.Rescaling(1 / 255)(film)))
    y = relu(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", groups=2)(x)))
    x = layers.Add()([x, layers.Conv2D(8, 1, activation="swish")(y)])
    x = layers.Concatenate()([layers.MaxPooling2D(3, 1, "same")(x), layers.ZeroPadding2D(((0, 0), (0, 0)))(x)])
    x = layers.Average()([x, layers.Conv2D(16, 1, activation="gelu")(x)])
    both = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    return keras.Model(film, _end(both, 1, None))


def _nested() -> Any:
    stem = keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), layers.Conv2D(4, 3, activation="relu", name="conv"), layers.Activation("relu")],
        name="stem",
    )
    film = keras.Input((SIDE, SIDE, 3))
    inner = keras.Model(film, layers.Conv2D(6, 3, name="conv", activation="sigmoid")(stem(film)), name="inner")
    film = keras.Input((SIDE, SIDE, 3))
    x = inner(layers.Conv2D(3, 1, name="widen")(film * (1 / 255)))
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2)(x)
    x = layers.Conv2D(3, 1, name="conv")(x)
    x = layers.ZeroPadding2D(((1, 0), (2, 3)))(layers.Multiply()([x, x]))
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = layers.Conv2D(5, 1, activation="silu")(y)
    together = layers.Concatenate()([layers.Flatten()(y), layers.GlobalAveragePooling2D()(x)])
    return keras.Model(film, _end(together))


def _three_classes() -> Any:
    film = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(8, 5, strides=(2, 2), padding="same", activation="selu")(layers.Rescaling(1 / 255)(film))
    return keras.Model(film, _end(layers.GlobalAveragePooling2D()(x), 3, "softmax"))


def _two_logits() -> Any:
    film = keras.Input((SIDE + 1, SIDE + 1, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation=keras.activations.relu6)(film)
    x = layers.Conv2D(2, 3, strides=3, padding="same", activation="softplus")(layers.Rescaling(1 / 255)(x))
    return keras.Model(film, layers.GlobalAveragePooling2D()(x))


def efficientnet_b0(of_imagenet: bool = False) -> Any:
    """The whole network of keras.applications, with the second Rescaling of its ImageNet weights or without; alive."""
    base = keras.applications.EfficientNetB0(False, None, input_shape=(64, 64, 3))
    film = keras.Input((64, 64, 3))
    x = layers.Rescaling([2.1, 2.2, 2.3])(film) if of_imagenet else film
    model = alive(keras.Model(film, _end(layers.GlobalAveragePooling2D()(base(x)))))
    for layer in base.layers:
        if layer.name.endswith("se_expand"):
            layer.bias.assign(layer.bias + 4.0)  # gates nearly open, or films would be alike after 16 of them
    return model


def efficientnet_lite0() -> Any:
    """By Keras's own builder: no squeeze-and-excitation, ReLU6. Its stem and head are Lite's at this width."""
    blocks = [{**block, "se_ratio": 0} for block in DEFAULT_BLOCKS_ARGS]
    base = EfficientNet(1.0, 1.0, 64, activation="relu6", blocks_args=blocks, include_top=False, weights=None)
    film = keras.Input((64, 64, 3))
    return alive(keras.Model(film, _end(layers.GlobalAveragePooling2D()(base(film)))))


VARIANTS: dict[str, Callable[[], Any]] = {
    "plain CNN, Flatten, sigmoid": _plain,
    "separable CNN with augmentation, softmax of two": _two_outputs,
    "gray, adapted Normalization": _gray,
    "MobileNet V1, operators": _mobilenet_v1,
    "MobileNet V1 with its own top": _mobilenet_v1_top,
    "MobileNet V2, frozen, Dense 128": _lecture,
    "MobileNet V2, another head": _other_head,
    "EfficientNet": _efficientnet,
    "residual, shared ReLU, two pools, logits": _residual,
    "nested models, layers of one name": _nested,
    "three classes": _three_classes,
    "fully convolutional, two logits": _two_logits,
}


def answers(model: Any, squares: np.ndarray) -> np.ndarray:
    """Keras's own outputs for bytes (n, s, s), as float32 0..255 in the channels that the network takes."""
    films = np.repeat(squares[..., None].astype(np.float32), model.input_shape[-1], axis=-1)
    return np.asarray(keras.ops.convert_to_numpy(model(films, training=False)))
