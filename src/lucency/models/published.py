"""Published figures of these networks, and their errata. Cited, not computed here.

Accuracies are percent of the ImageNet validation set, one centre crop. `lucency models` adds our exact counts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One published network: a backbone at a width and a side."""

    backbone: str
    width: float
    side: int
    madds_m: float
    """Millions of multiply-adds, as printed."""
    parameters: int | None
    """As Keras prints its total, with the norms' moments; None if Keras lacks the network."""
    parameters_m: float | None
    """Millions, as printed, if the source rounds."""
    top1: float | None
    top5: float | None
    source: str
    erratum: str = ""
    """What is wrong with the printed figure, if anything."""


SLIM_V1 = "tensorflow/models research/slim/nets/mobilenet_v1.md"
SLIM_V2 = "tensorflow/models research/slim/nets/mobilenet"
LITE = "tensorflow/tpu models/official/efficientnet/lite/README.md"
SLIM_075 = "slim prints a figure too low for width 0.75; the paper's own 325 at 224 is right"
SLIM_025 = "slim prints 34; the layers sum to 30"
LITE_MADDS = "counts norms and activations too, about three operations per output of each convolution"

PUBLISHED: tuple[Published, ...] = (
    # MobileNetV1: all sixteen checkpoints
    Published("mobilenet_v1", 1.0, 224, 569, 4_253_864, None, 70.9, 89.9, SLIM_V1),
    Published("mobilenet_v1", 1.0, 192, 418, 4_253_864, None, 70.0, 89.2, SLIM_V1),
    Published("mobilenet_v1", 1.0, 160, 291, 4_253_864, None, 68.0, 87.7, SLIM_V1),
    Published("mobilenet_v1", 1.0, 128, 186, 4_253_864, None, 65.2, 85.8, SLIM_V1),
    Published("mobilenet_v1", 0.75, 224, 317, 2_601_976, None, 68.4, 88.2, SLIM_V1, SLIM_075),
    Published("mobilenet_v1", 0.75, 192, 233, 2_601_976, None, 67.2, 87.3, SLIM_V1, SLIM_075),
    Published("mobilenet_v1", 0.75, 160, 162, 2_601_976, None, 65.3, 86.0, SLIM_V1, SLIM_075),
    Published("mobilenet_v1", 0.75, 128, 104, 2_601_976, None, 62.1, 83.9, SLIM_V1, SLIM_075),
    # 149.497 M: slim rounds it up to 150
    Published("mobilenet_v1", 0.5, 224, 150, 1_342_536, None, 63.3, 84.9, SLIM_V1),
    Published("mobilenet_v1", 0.5, 192, 110, 1_342_536, None, 61.7, 83.6, SLIM_V1),
    Published("mobilenet_v1", 0.5, 160, 77, 1_342_536, None, 59.1, 81.9, SLIM_V1),
    Published("mobilenet_v1", 0.5, 128, 49, 1_342_536, None, 56.3, 79.4, SLIM_V1),
    Published("mobilenet_v1", 0.25, 224, 41, 475_544, None, 49.8, 74.2, SLIM_V1),
    Published("mobilenet_v1", 0.25, 192, 34, 475_544, None, 47.7, 72.3, SLIM_V1, SLIM_025),
    Published("mobilenet_v1", 0.25, 160, 21, 475_544, None, 45.5, 70.3, SLIM_V1),
    Published("mobilenet_v1", 0.25, 128, 14, 475_544, None, 41.5, 66.3, SLIM_V1),
    # MobileNetV2
    Published("mobilenet_v2", 1.0, 224, 300, 3_538_984, None, 71.8, 91.0, SLIM_V2),
    Published("mobilenet_v2", 1.0, 192, 221, 3_538_984, None, 70.7, None, SLIM_V2),
    Published("mobilenet_v2", 1.0, 160, 154, 3_538_984, None, 68.8, None, SLIM_V2),
    Published("mobilenet_v2", 1.0, 128, 99, 3_538_984, None, 65.3, None, SLIM_V2),
    Published("mobilenet_v2", 1.0, 96, 56, 3_538_984, None, 60.3, None, SLIM_V2),
    Published("mobilenet_v2", 0.75, 224, 209, 2_663_064, None, 69.8, None, SLIM_V2),
    Published("mobilenet_v2", 0.5, 224, 97, 1_987_224, None, 65.4, None, SLIM_V2),
    Published("mobilenet_v2", 0.35, 224, 59, 1_691_208, None, 60.3, None, SLIM_V2),
    Published("mobilenet_v2", 1.3, 224, 509, 5_431_048, None, 74.4, None, SLIM_V2),
    Published("mobilenet_v2", 1.4, 224, 582, 6_156_712, None, 75.0, None, SLIM_V2),
    # slim's own networks pad as TensorFlow does
    Published("mobilenet_v2_tf", 1.0, 224, 300, 3_538_984, None, 71.8, 91.0, SLIM_V2),
    Published("mobilenet_v2_tf", 0.35, 224, 59, 1_691_208, None, 60.3, None, SLIM_V2),
    # EfficientNet-Lite
    Published("efficientnet_lite0", 1.0, 224, 407, None, 4.7, 75.1, None, LITE, LITE_MADDS),
    Published("efficientnet_lite1", 1.0, 240, 631, None, 5.4, 76.7, None, LITE, LITE_MADDS),
    Published("efficientnet_lite2", 1.0, 260, 899, None, 6.1, 77.6, None, LITE, LITE_MADDS),
    Published("efficientnet_lite3", 1.0, 280, 1440, None, 8.2, 79.8, None, LITE, LITE_MADDS),
    Published("efficientnet_lite4", 1.0, 300, 2640, None, 13.0, 81.5, None, LITE, LITE_MADDS),
)


@dataclass(frozen=True)
class Peer:
    """A network that others compare with."""

    name: str
    side: int
    parameters: int
    madds_m: float
    top1: float
    top5: float
    source: str
    often_printed: str
    """The figure that tables often give, and why it is another network's or another protocol's."""


TORCHVISION_OPS = "multiply-adds: torchvision"

PEERS: tuple[Peer, ...] = (
    Peer(
        name="ResNet-50",
        side=224,
        parameters=25_636_712,
        madds_m=4089,
        top1=74.9,
        top5=92.1,
        source=f"Keras applications; {TORCHVISION_OPS}",
        often_printed="83.2/96.5: Meta Pseudo Labels, with 300 M further images; plain training gives 74.9 to 77.1",
    ),
    Peer(
        name="Inception V3",
        side=299,
        parameters=23_851_784,
        madds_m=5713,
        top1=77.9,
        top5=93.7,
        source=f"Keras applications; {TORCHVISION_OPS}",
        often_printed="22.9 M, 79.0/94.5: that is Xception (22,910,480)",
    ),
    Peer(
        name="VGG-16",
        side=224,
        parameters=138_357_544,
        madds_m=15_470,
        top1=71.3,
        top5=90.1,
        source=f"Keras applications; {TORCHVISION_OPS}",
        often_printed="74.4/91.9: the paper's own protocol, trained with scale jitter and tested on the whole image",
    ),
    Peer(
        name="AlexNet",
        side=224,
        parameters=61_100_840,
        madds_m=714,
        top1=56.5,
        top5=79.1,
        source="torchvision",
        often_printed="63.3/84.6: seven networks together, with further data; the paper's single one has 59.3/81.8",
    ),
)


@dataclass(frozen=True)
class Erratum:
    """A printed figure that the layers contradict."""

    where: str
    printed: str
    exact: str
    reason: str


ERRATA: tuple[Erratum, ...] = (
    Erratum(
        where="MobileNetV1 paper, table 1",
        printed="last depthwise layer with stride 2",
        exact="stride 1",
        reason="its own input and output are both 7×7",
    ),
    Erratum(
        where="MobileNetV1 paper, table 2",
        printed="first convolution 1.19 % of multiply-adds",
        exact="1.91 %",
        reason="digits swapped: the printed column sums to 99.29",
    ),
    Erratum(
        where="slim mobilenet_v1.md, width 0.75",
        printed="317, 233, 162, 104 M",
        exact="325.4, 239.3, 166.4, 106.8 M",
        reason="the paper prints 325 for 224",
    ),
    Erratum(
        where="slim mobilenet_v1.md, width 0.25 at 192",
        printed="34 M",
        exact="30.2 M",
        reason="the layers sum to 30,212,608",
    ),
    Erratum(
        where="Keras mobilenet docstring",
        printed="529 M at every side",
        exact="568.7 M at 224",
        reason="multiply-adds fall with the square of the side",
    ),
    Erratum(
        where="comparison tables: MobileNet, 2.3 M, 71.0/90.5",
        printed="2.3 M parameters",
        exact="3,538,984 with the classifier that has these accuracies",
        reason="2,257,984 is MobileNetV2 without it; V2 has 71.8/91.0 (slim), no source has 71.0/90.5",
    ),
    Erratum(
        where="EfficientNet-Lite README",
        printed="407, 631, 899, 1440, 2640 M",
        exact="385.2, 600.2, 859.7, 1383.3, 2553.0 M",
        reason=LITE_MADDS,
    ),
)


def of(backbone: str) -> tuple[Published, ...]:
    """The published figures of a backbone, in the order above; the first is the network at its own side."""
    return tuple(row for row in PUBLISHED if row.backbone == backbone)
