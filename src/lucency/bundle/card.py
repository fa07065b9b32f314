"""The card: what a bundle or run says of itself. A specification; its JSON Schema is docs/bundle.schema.json."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lucency.compat import rename_preprocess
from lucency.errors import BundleError
from lucency.evaluate.calibration import Method, check

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
    image_size: Annotated[int, Field(ge=1, le=4096)] = 224
    resize_mode: Literal["stretch", "crop", "pad"] = "stretch"
    filter: Literal["bilinear-antialiased"] = "bilinear-antialiased"

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, stated: Any) -> Any:
        return rename_preprocess(stated) if isinstance(stated, dict) else stated


class Model(Part):
    """The network's file and what is in it."""

    format: Format
    """torch: safetensors, needs lucency[train]. litert: a .tflite flatbuffer. onnx: one self-contained .onnx file."""
    file: FileName
    backbone: str
    width: Annotated[float, Field(gt=0)] = 1.0
    depth: Count = 0
    """Blocks kept of the backbone; 0 is all of them."""
    stride: Literal[4, 8, 16, 32] = 32
    """Pixels of the square per cell of the map, unless `depth` ends the network before."""
    frame: Annotated[int, Field(ge=0, le=1024)] = 0
    """Pixels along the square that the network cuts out and reads; 0: it reads the whole film."""
    within: Literal["lungs", "middle"] = "lungs"
    """What it cuts out, where `frame` is not 0: the square around the lungs, or the middle nine tenths of the rows."""
    spread: Literal[1, 3, 5, 7, 9] = 1
    """Cells a side over which a cell of the map hands out its evidence; 1 keeps it."""
    head: Literal["linear", "dense128"] = "linear"
    parameters: Count = 0
    """Learned numbers, counted in the run."""
    quantize: Quantize = "none"
    source: Digest | None = None
    """SHA-256 of the run's weights that this file was converted from; None in a run."""


class Calibration(Part):
    """From logits to probabilities that mean what they say (lucency.evaluate.calibration). `none` is the sigmoid."""

    method: Method = "none"
    parameters: dict[str, tuple[float, ...]] = {}
    """The named lists of numbers that the method reads, each of 1 number or one a finding (docs/bundle.md)."""
    fitted_on: str = ""
    in_graph: bool = False
    """Whether the output `probability` of the exported network holds this calibration. Readers compute from `logit`."""


class OperatingPoint(Part):
    """Where a probability becomes a call: the finding is called at or above the threshold."""

    threshold: Share = 0.5
    chosen_by: str = "default"
    chosen_on: str = ""
    sensitivity: Share | None = None
    """On the films that the calibration was fitted on; where these chose the threshold, it flatters."""
    specificity: Share | None = None
    """The same."""


class Abstention(Part):
    """Which labels a film may have, by conformal prediction; where not just the one called, it is `uncertain`."""

    method: Literal["none", "conformal"] = "none"
    coverage: Share = 0.95
    """At least this share of the films of each label have it in their set, if they are like those fitted on."""
    least: tuple[Share, ...] = ()
    """A label is in the set of a film whose probability of it is at least this; one a label, in their order."""
    fitted_on: str = ""
    films: Count = 0
    answered: Share | None = None
    """Share of those films that got an answer, not `uncertain`."""
    accuracy: Share | None = None
    """Share of right answers among the answered."""


class Check(Part):
    """A question of the gate: is the network's number `doubt` on it above the limit? Then the film is `uncertain`."""

    name: Literal["layout", "upside_down", "mirrored", "features"]
    """layout: not laid out as a frontal chest film. features: unlike the films learned from."""
    limit: float
    alarms: Share
    """Share of the films set aside, of the kind learned from, that are above the limit."""


class Gate(Part):
    """Which films the network was not made for (lucency.models.gate)."""

    file: FileName | None = None
    """The numbers behind `doubt`, safetensors; in a run. An exported network holds them, and gives `doubt` (n, k)."""
    checks: tuple[Check, ...] = ()
    """The k checks, in the order of the numbers in `doubt`; none, and there is no such output."""
    fitted_on: str = ""


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
    """Films that are called differently."""
    uncertain_flips: Count = 0
    """Films that only one of the two calls `uncertain`."""
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
    abstention: Abstention = Abstention()
    gate: Gate = Gate()
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

    @model_validator(mode="after")
    def _numbers_fit_the_task(self) -> Card:
        try:
            check(self.calibration, self.findings)
        except BundleError as error:
            raise ValueError(str(error)) from error
        if self.abstention.method != "none" and len(self.abstention.least) != len(self.labels):
            raise ValueError(f"abstention needs {len(self.labels)} numbers, got {len(self.abstention.least)}")
        if self.abstention.method != "none" and self.task == "multilabel":
            raise ValueError("abstention does not serve a multilabel card")
        return self

    @property
    def findings(self) -> int:
        """Logits per film: one for a binary task, else one per label."""
        return 1 if self.task == "binary" else len(self.labels)
