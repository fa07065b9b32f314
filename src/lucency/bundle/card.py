"""The card: a bundle's or run's description of itself. Its JSON Schema is docs/bundle.schema.json."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from lucency.compat import rename_model, rename_preprocess
from lucency.errors import BundleError
from lucency.evaluate.calibration import Method, check
from lucency.evaluate.predictions import patient_words
from lucency.modality import MODALITIES
from lucency.modality import Name as ModalityName

SCHEMA_VERSION = 1
"""The newest version of the card that is read."""

IMPORTED: Final = "imported"
"""Source of a run that another program trained; backbone and head of a network that is none of ours."""

Format = Literal["torch", "litert", "onnx", "coreml"]
Quantize = Literal["none", "float16", "int8", "weights"]
Task = Literal["binary", "multiclass", "multilabel"]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")]
"""A path inside the bundle: forward slashes, no part that begins with a dot."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Cost = Annotated[float, Field(ge=0, le=1e9)]
Count = Annotated[int, Field(ge=0)]
Years = Annotated[int, Field(ge=0, le=120)]


def ascending(ages: tuple[int, int]) -> tuple[int, int]:
    """The same two ages.

    Raises:
        ValueError: the youngest is older than the oldest.
    """
    if ages[0] > ages[1]:
        raise ValueError(f"ages must be youngest and oldest, got {list(ages)}")
    return ages


class Part(BaseModel):
    """A table of the card: frozen, no unknown names, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Square(Part):
    """Preprocessing of a film to the network's square input (docs/preprocessing.md)."""

    version: Literal[1, 2] = 1
    image_size: Annotated[int, Field(ge=1, le=4096)] = 224
    resize_mode: Literal["stretch", "crop", "pad"] = "stretch"
    channels: Literal[1, 3] = 1
    """3: red, green, blue, with version 2. Left out where it is 1."""
    filter: Literal["bilinear-antialiased"] = "bilinear-antialiased"

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, stated: Any) -> Any:
        return rename_preprocess(stated) if isinstance(stated, dict) else stated

    @model_validator(mode="after")
    def _colour_is_version_2(self) -> Square:
        if (self.version == 2) != (self.channels == 3):
            raise ValueError(f"version {self.version} does not go with channels {self.channels}")
        return self

    @model_serializer(mode="wrap")
    def _leave_out_one_channel(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        stated: dict[str, Any] = serialize(self)
        return {name: value for name, value in stated.items() if (name, value) != ("channels", 1)}


class Model(Part):
    """The network's file and architecture."""

    format: Format
    """torch: safetensors, needs lucency[train]. litert: a .tflite flatbuffer. onnx: one self-contained .onnx file.
    coreml: a zipped .mlpackage."""
    file: FileName
    backbone: str
    width: Annotated[float, Field(gt=0)] = 1.0
    depth: Count = 0
    """Blocks kept of the backbone; 0 is all of them."""
    stride: Literal[4, 8, 16, 32] = 32
    """Pixels of the square per cell of the map, unless `depth` ends the network before."""
    expansion: bool = False
    """Whether the network ends in the expansion of the block after `depth`."""
    lung_crop: Annotated[int, Field(ge=0, le=1024)] = 0
    """Pixels along the square around the lungs that the network reads; 0: it reads the whole film."""
    crop_scales: tuple[float, ...] = (1.0,)
    """Scales of the lungs' box at which each film is read; the answers are averaged."""
    tta_flip: Literal["none", "horizontal", "both"] = "none"
    """Whether each picture is also read mirrored left to right, or also top to bottom and both ways; the answers are
    averaged."""
    tta_zoom: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (1.0,)
    """Shares of the side, in the middle, at which each picture is read; the answers are averaged."""
    spread: Literal[1, 3, 5, 7, 9] = 1
    """Cells a side over which a cell of the map is averaged; 1: none."""
    head: Literal["linear", "dense128", "ordinal", "imported"] = "linear"
    architecture: FileName | None = None
    """Of an imported network that is none of ours: the file that lists its layers (torch), or says what it takes and
    gives (onnx, litert)."""
    parameters: Count = 0
    """Number of learned parameters of the run."""
    quantize: Quantize = "none"
    source: Digest | None = None
    """SHA-256 of the run's weights that this file was converted from; None in a run."""

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, stated: Any) -> Any:
        return rename_model(stated) if isinstance(stated, dict) else stated


class Calibration(Part):
    """From logits to calibrated probabilities (lucency.evaluate.calibration). `none` is the sigmoid."""

    method: Method = "none"
    parameters: dict[str, tuple[float, ...]] = {}
    """The method's parameters by name, each of one number or one per finding; a matrix row by row (docs/bundle.md)."""
    fitted_on: str = ""
    in_graph: bool = False
    """Whether the network's output `probability` includes this calibration. Readers compute from `logit`."""


class OperatingPoint(Part):
    """The finding is called at or above the threshold."""

    threshold: Share | tuple[Share, ...] = 0.5
    """One number, or one for each finding of a multilabel task; so are the two below."""
    chosen_by: str = "default"
    chosen_on: str = ""
    sensitivity: Share | tuple[Share, ...] | None = None
    """On the films that the calibration was fitted on; optimistic if these chose the threshold."""
    specificity: Share | tuple[Share, ...] | None = None
    """As `sensitivity`."""


class Costs(Part):
    """Costs of errors of several classes: the class of least expected cost is called (lucency.evaluate.predictions)."""

    called: tuple[tuple[Cost, ...], ...]
    """A row for each true class of the costs of calling each class, both in the order of `labels`."""
    refer: tuple[Cost, ...] = ()
    """What referring a film of each class costs; where that is less than any call, the film is `uncertain`."""
    source: str = ""
    """The file that stated them."""


class Abstention(Part):
    """Conformal prediction: a film is `uncertain` unless its prediction set holds the called label alone."""

    method: Literal["none", "conformal"] = "none"
    coverage: Share = 0.95
    """Share of the films of each label whose set holds it, at least, if they are like those fitted on."""
    least: tuple[Share, ...] = ()
    """Least probability at which a label is in the set; one per label, in their order."""
    fitted_on: str = ""
    films: Count = 0
    answered: Share | None = None
    """Share of those films that were not `uncertain`."""
    accuracy: Share | None = None
    """Accuracy among those."""


class Check(Part):
    """An input check: a film whose `doubt` is above the limit is `uncertain`."""

    name: Literal["layout", "upside_down", "mirrored", "features", "lungs_missing", "lungs_cut", "lungs_flat"]
    """layout: no picture of the kind, such as no frontal chest film. features: unlike the training films."""
    limit: float
    alarms: Share
    """Share of held-out in-distribution films above the limit."""


class Gate(Part):
    """Input checks: films that the network was not made for (lucency.models.ood_detector)."""

    file: FileName | None = None
    """In a run: the parameters behind `doubt`, safetensors. An exported network contains them and returns `doubt`
    (n, k)."""
    checks: tuple[Check, ...] = ()
    """The k checks, in the order of `doubt`; without any there is no such output."""
    fitted_on: str = ""


class Population(Part):
    """Whose films the reader learned from."""

    words: str = ""
    """For people: ages, place, view."""
    ages: Annotated[tuple[Years, Years], AfterValidator(ascending)] | None = None
    """Youngest and oldest, in whole years; a film that states another age is doubted."""


class Training(Part):
    """Where the weights come from."""

    recipe: dict[str, Any] = {}
    source: str = ""
    """The row of SOURCES that read the films."""
    films: Count = 0
    patients: Count | None = 0
    """Different patients; empty where not every film names its own."""
    left_out: dict[str, Count] = {}
    """Films and files that the source left out, by reason."""
    split_hash: str = ""
    seed: int = 0
    minutes: Annotated[float, Field(ge=0)] = 0.0
    versions: dict[str, str] = {}

    def __str__(self) -> str:
        return f"{self.films:,} films, {patient_words(self.patients)}, source {self.source or 'not stated'}"


class Metric(Part):
    """One figure with its 95 % interval."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    data: str = ""
    split: str = ""


class Parity(Part):
    """Difference of this file's outputs from those of the run that it was converted from."""

    data: str
    films: Count
    logit_mean: Annotated[float, Field(ge=0)]
    """Mean absolute difference of the logits."""
    logit_max: Annotated[float, Field(ge=0)]
    map_correlation: float | None
    """Lowest correlation between the two maps of a film; None where all are constant."""
    flips: Count
    """Films that are called differently."""
    uncertain_flips: Count = 0
    """Films that are `uncertain` for one of the two only."""
    auroc_source: float | None = None
    auroc_export: float | None = None


class Card(Part):
    """card.json: what a reader needs to know about a bundle, and its user before trusting it."""

    schema_version: Literal[1] = 1
    name: str
    task: Task = "binary"
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the classes; for a binary task (negative, positive)."""
    modality: ModalityName = "chest_xray"
    """What the pictures are, a row of lucency.modality. Left out where they are chest films."""
    preprocess: Square = Square()
    model: Model
    calibration: Calibration = Calibration()
    operating_point: OperatingPoint = OperatingPoint()
    costs: Costs | None = None
    """In place of the most probable class. Left out where there are none."""
    abstention: Abstention = Abstention()
    gate: Gate = Gate()
    training: Training = Training()
    population: Population = Population()
    metrics: tuple[Metric, ...] = ()
    parity: Parity | None = None
    limits: tuple[str, ...] = ()
    """What the reader was not made for, one sentence each."""
    licence: str = ""
    files: dict[FileName, Digest] = {}
    """SHA-256 of every file of the bundle but card.json and card.sha256."""

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
        if self.calibration.method == "dirichlet" and self.task != "multiclass":
            raise ValueError(f"calibration dirichlet is for exactly one of several classes, got a {self.task} card")
        if self.abstention.method != "none" and len(self.abstention.least) != len(self.labels):
            raise ValueError(f"abstention needs {len(self.labels)} numbers, got {len(self.abstention.least)}")
        if self.abstention.method != "none" and self.task == "multilabel":
            raise ValueError("a multilabel card cannot have abstention")
        threshold = self.operating_point.threshold
        if isinstance(threshold, tuple) and (self.task != "multilabel" or len(threshold) != len(self.labels)):
            raise ValueError(f"expected one threshold{f', or {len(self.labels)}' if self.task == 'multilabel' else ''}")
        return self

    @model_validator(mode="after")
    def _costs_fit_the_labels(self) -> Card:
        if self.costs is None:
            return self
        if self.task != "multiclass":
            raise ValueError(f"costs are for exactly one of several classes, got a {self.task} card")
        sizes = {len(self.costs.called), *map(len, self.costs.called), len(self.costs.refer or self.labels)}
        if sizes != {len(self.labels)}:
            raise ValueError(f"costs need {len(self.labels)} rows and columns, one for each label")
        return self

    @model_validator(mode="after")
    def _channels_fit_the_modality(self) -> Card:
        channels = MODALITIES[self.modality].channels
        if self.preprocess.channels != channels:
            raise ValueError(f"a {self.modality} card needs {channels} channels, got {self.preprocess.channels}")
        return self

    @model_serializer(mode="wrap")
    def _leave_out_defaults(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        stated: dict[str, Any] = serialize(self)
        unsaid = {"modality": "chest_xray", "population": Population().model_dump(), "costs": None}
        return {name: value for name, value in stated.items() if (name, value) not in unsaid.items()}

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Of each finding: the probability at or above which it is called."""
        given = self.operating_point.threshold
        return given if isinstance(given, tuple) else (given,) * self.findings

    @property
    def findings(self) -> int:
        """Logits per film: one for a binary task, else one per label."""
        return 1 if self.task == "binary" else len(self.labels)
