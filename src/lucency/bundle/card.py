"""The card: what a bundle or run says of itself. A specification; its JSON Schema is docs/bundle.schema.json."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

SCHEMA_VERSION = 1
"""The newest card this lucency can read."""

Format = Literal["torch", "litert", "onnx"]
Quantize = Literal["none", "float16", "int8", "weights"]
Task = Literal["binary", "multiclass", "multilabel"]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")]
"""A path inside the bundle: forward slashes, no part that begins with a dot."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """A table of the card: frozen, closed to names it does not know, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Square(Part):
    """How a film becomes the network's square of bytes (docs/preprocessing.md)."""

    version: Literal[1] = 1
    side: Annotated[int, Field(ge=1, le=4096)] = 224
    fit: Literal["stretch", "crop", "pad"] = "stretch"
    filter: Literal["bilinear-antialiased"] = "bilinear-antialiased"


class Model(Part):
    """The network's file and what is in it."""

    format: Format
    """torch: safetensors, needs lucency[train]. litert: a .tflite flatbuffer. onnx: one self-contained .onnx file."""
    file: FileName
    backbone: str
    width: Annotated[float, Field(gt=0)] = 1.0
    head: Literal["linear", "dense128"] = "linear"
    parameters: Count = 0
    """Learned numbers, counted in the run."""
    quantize: Quantize = "none"
    source: Digest | None = None
    """SHA-256 of the run's weights that this file was converted from; None in a run."""


class Calibration(Part):
    """From logits to probabilities that mean what they say. `none` is the sigmoid, or the softmax."""

    method: Literal["none", "temperature", "affine", "isotonic"] = "none"
    parameters: dict[str, tuple[float, ...]] = {}
    """Named lists of numbers that the method reads (docs/bundle.md)."""
    fitted_on: str = ""


class OperatingPoint(Part):
    """Where a probability becomes a verdict: the finding is called at or above the threshold."""

    threshold: Share = 0.5
    chosen_by: str = "default"
    chosen_on: str = ""


class Training(Part):
    """Where the weights come from."""

    recipe: dict[str, Any] = {}
    source: str = ""
    """Which row of SOURCES read the films."""
    films: Count = 0
    patients: Count = 0
    split_hash: str = ""
    seed: int = 0
    minutes: Annotated[float, Field(ge=0)] = 0.0
    versions: dict[str, str] = {}


class Metric(Part):
    """One figure with its 95 % interval."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    data: str = ""
    split: str = ""


class Parity(Part):
    """How far this file's answers are from those of the run it was converted from."""

    data: str
    films: Count
    logit_mean: Annotated[float, Field(ge=0)]
    """Mean absolute difference of the logits."""
    logit_max: Annotated[float, Field(ge=0)]
    map_correlation: float | None
    """Lowest of the films' correlations between the two maps; None where a map is constant."""
    flips: Count
    """Films whose verdict differs."""
    auroc_source: float | None = None
    auroc_export: float | None = None


class Card(Part):
    """card.json: everything a reader needs to know of a bundle, and a person before trusting it."""

    schema_version: Literal[1] = 1
    name: str
    task: Task = "binary"
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the classes; for a binary task (negative, positive)."""
    preprocess: Square = Square()
    model: Model
    calibration: Calibration = Calibration()
    operating_point: OperatingPoint = OperatingPoint()
    training: Training = Training()
    metrics: tuple[Metric, ...] = ()
    parity: Parity | None = None
    limits: tuple[str, ...] = ()
    """What it was not made for, a sentence each."""
    licence: str = ""
    files: dict[FileName, Digest] = {}
    """SHA-256 of every file of the bundle but the card's own two."""

    @model_validator(mode="after")
    def _labels_fit_the_task(self) -> Card:
        if self.task != "multilabel" and len(self.labels) < 2:
            raise ValueError(f"a {self.task} card needs at least two labels, got {len(self.labels)}")
        if self.task == "binary" and len(self.labels) != 2:
            raise ValueError(f"a binary card needs the labels (negative, positive), got {len(self.labels)}")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("two labels have the same name")
        return self

    @property
    def findings(self) -> int:
        """Logits per film: one for a binary task, else one per label."""
        return 1 if self.task == "binary" else len(self.labels)
