"""A recipe: every choice of one training run, read from TOML; an unknown setting is refused with a suggestion."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lucency.errors import RecipeError

Span = tuple[float, float]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Schedule = Literal["constant", "exponential", "cosine", "one_cycle"]
Fit = Literal["stretch", "crop", "pad"]


class Settings(BaseModel):
    """A table of a recipe: frozen, and closed to names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSettings(Settings):
    """How films are prepared, split and weighed."""

    side: Annotated[int, Field(ge=28, le=1024)] = 224
    """Pixels along the square the network sees."""
    fit: Fit = "stretch"
    """How a film meets the square: stretch it, crop to its short side, or pad to its long side."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the patients set aside to choose the checkpoint; unused where the source states a `val` split."""
    imbalance: Literal["none", "class_weights", "oversample", "focal", "group_dro"] = "class_weights"
    """The answer to unequal classes: weigh the loss, repeat rare films, focus on hard films, or nothing. group_dro: of
    each class those that acquisition misleads and the others are a group; what is read worst weighs most."""
    class_weights: Literal["balanced"] | tuple[Positive, ...] = "balanced"
    """Loss weight per class: n / (classes · n_class), or one number a class in label order."""
    focal_gamma: Annotated[float, Field(ge=0)] = 2.0
    """Focusing exponent of the focal loss (Lin et al. 2017, eq. 4)."""
    group_step: Positive = 0.01
    """How fast group_dro moves the weights of its groups (Sagawa et al. 2020, alg. 1)."""
    misled: Positive = 1.0
    """Weight in the loss of films that a baseline which sees only their acquisition calls wrongly: where the cues
    deceive, disease has to be read (Nam et al. 2020; Liu et al. 2021). 1 does not look for them."""


class ModelSettings(Settings):
    """Which network, and where its first weights come from."""

    backbone: str = "mobilenet_v2"
    """A row of BACKBONES, or timm:NAME."""
    width: Positive = 1.0
    """Width multiplier: channels of every layer times this."""
    depth: Count = 0
    """Blocks kept of the backbone, from the first; 0 keeps all. Fewer see less of the film around each cell."""
    stride: Literal[4, 8, 16, 32] = 32
    """Pixels of the square per cell of the map: 16 doubles the map's sides, for about 1.6 times the work."""
    frame: Annotated[int, Field(ge=0, le=1024)] = 0
    """Pixels along the square that the network cuts out itself and reads (lucency.models.frame); 0: whole films."""
    within: Literal["lungs", "middle"] = "lungs"
    """What it cuts out. lungs: the square around them, which it finds; how a film was cut and stretched then tells
    nothing. middle: nine tenths of the rows, stretched; in training films are seen whole and cropped by `augment`."""
    spread: Literal[1, 3, 5, 7, 9] = 1
    """Cells a side over which a cell of the map hands out its evidence: what it sees, over the stride. The map is then
    strongest inside what was found and not beside it; no logit changes. 1 keeps it in the cell's middle."""
    head: Literal["linear", "dense128"] = "linear"
    """linear: pool, dense. dense128: pool, dense 128 with ReLU, dense."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of features dropped before the last dense layer, in training."""
    weights: str = "none"
    """none: random. imagenet: the published ones, wherever they are found. Else the path of a file."""


class FitSettings(Settings):
    """One phase of fitting: how long, how fast, when to stop."""

    epochs: Count = 10
    """Passes over the training films; 0 skips the phase."""
    batch: Annotated[int, Field(ge=1)] = 32
    """Films per step."""
    lr: Positive = 1e-3
    """First learning rate (Adam)."""
    schedule: Schedule = "constant"
    """constant; exponential: lr · 0.1^(epoch / decay_epochs); cosine to zero; one_cycle (Smith 2018)."""
    decay_epochs: Positive = 20.0
    """Epochs in which the exponential schedule falls tenfold."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay (Loshchilov & Hutter 2019); 0 is plain Adam."""
    patience: Count = 0
    """Stop after this many epochs without a better validation AUROC; 0 never stops early."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Move targets this far from 0 and 1."""


class TuneSettings(FitSettings):
    """The second phase: the backbone learns too."""

    epochs: Count = 0
    lr: Positive = 1e-4
    schedule: Schedule = "cosine"
    blocks: Annotated[int, Field(ge=0)] | Literal["all"] = "all"
    """How many of the backbone's last blocks are thawed."""
    batch_norm: Literal["frozen", "train"] = "frozen"
    """frozen: running means stay those of the pretrained network. train: thawed layers follow the films."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the exponential moving average of the weights that is judged and kept; 0 keeps the last step's."""
    swa: Count = 0
    """Epochs, the last ones, whose weights are averaged evenly, step by step, to be judged and kept (Izmailov et al.
    2018; Cha et al. 2021). `ema` then does not count."""
    wise_ft: Annotated[float, Field(gt=0, le=1)] = 1.0
    """How far of the way from the weights that fine-tuning began with to those that it found the network goes in the
    end (Wortsman et al. 2022); 1 goes all of it."""
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """Films are laid over others of their batch, by a share drawn from Beta(mixup, mixup), and learned as both in those
    shares (Zhang et al. 2018); 0 lays none."""
    adversary: Annotated[float, Field(ge=0)] = 0.0
    """How strongly the features are led away from what a probe can tell by them of a film's gray levels, sharpness and
    contrast, beyond its class: the probe's gradient reversed, times this (Ganin et al. 2016)."""
    teachers: Count = 0
    """Networks trained first, by this recipe and seeds of their own; what they say on average of a film, as it is seen,
    is learned beside its label, for half of the loss (Hinton et al. 2015)."""
    sparse: Annotated[float, Field(ge=0)] = 0.0
    """What evidence costs wherever the map puts it, for or against: this times mean |M| joins the loss. Evidence then
    stays where it is needed (about 0.1); 0 lets it spread."""
    precision: Literal["auto", "32", "bf16"] = "auto"
    """auto: 32 bit; a MobileNetV2 at 160 pixels is slower in bf16, on a GPU too (docs/decisions.md)."""


class AugmentSettings(Settings):
    """What is drawn anew for each film in each epoch of fine-tuning. Never a left-right flip: it moves the heart."""

    canvas: Annotated[int, Field(ge=0)] = 0
    """Films wait in memory with this short side, to be cropped and turned; 0 means the network's side."""
    aspect: Span = (1.0, 1.0)
    """Width over height is multiplied by a factor drawn log-uniformly from here."""
    aspect_of_class: tuple[Positive, ...] = ()
    """True width over height of each class before its films were stretched to a square, in label order: factors are
    moved so that all classes end alike. Empty moves none."""
    zoom: Span = (1.0, 1.0)
    """Share of the side of the film, or of its lungs' frame, that is kept, drawn uniformly; beyond 1 more is shown."""
    rotate: Annotated[float, Field(ge=0, le=45)] = 0.0
    """Largest turn, degrees either way."""
    gamma: Span = (1.0, 1.0)
    """Exponent of the tone curve, drawn log-uniformly."""
    contrast: Span = (1.0, 1.0)
    """Factor around middle gray."""
    brightness: Annotated[float, Field(ge=0, le=128)] = 0.0
    """Largest shift, gray levels either way."""
    swap_tone: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Chance that a film takes on, in part, the gray levels of a film of another class: exposure no longer tells."""
    reacquire: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Chance that a film is re-acquired first, as if taken and stored like a film of the other class: letters, border,
    shape, tone, contrast, noise, sharpness (docs/acquisition.md). Films then wait as squares of 224 pixels.
    `aspect_of_class` and `swap_tone` then do not count for it."""
    sharpness: Span = (0.0, 0.0)
    """Below 0: blurred by a Gaussian of so many pixels of the canvas; above 0: sharpened by this share."""
    resample: Span = (1.0, 1.0)
    """The film is seen through this share of its pixels (drawn), then brought back: sharpness no longer tells."""
    noise: Annotated[float, Field(ge=0, le=64)] = 0.0
    """Largest standard deviation of added noise, gray levels."""
    clahe: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Chance that contrast is evened out part by part, limits drawn (CLAHE; Zuiderveld 1994)."""
    erase: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Chance that each corner or edge, where letters stand, is painted over."""

    @model_validator(mode="after")
    def _spans_ascend(self) -> AugmentSettings:
        for name in ("aspect", "zoom", "gamma", "contrast", "resample"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} must be two numbers, 0 < low <= high, got [{low}, {high}]")
        if not self.sharpness[0] <= self.sharpness[1]:
            raise ValueError(f"sharpness must be two numbers, low <= high, got {list(self.sharpness)}")
        for name, most in (("zoom", 2), ("resample", 1)):
            if getattr(self, name)[1] > most:
                raise ValueError(
                    f"{name} is a share of the film and cannot exceed {most}, got {getattr(self, name)[1]}"
                )
        return self


class Recipe(Settings):
    """Everything that decides a training run, besides the films."""

    name: str
    """What the run and its bundle are called."""
    seed: Count = 0
    """All randomness follows from it."""
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    head: FitSettings = FitSettings()
    tune: TuneSettings = TuneSettings()
    augment: AugmentSettings = AugmentSettings()

    @model_validator(mode="after")
    def _frame_needs_whole_films(self) -> Recipe:
        if self.model.frame and self.data.fit != "stretch":
            raise ValueError(f"[model] frame is cut from whole films: [data] fit must be stretch, not {self.data.fit}")
        return self

    @model_validator(mode="after")
    def _reacquired_films_are_squares(self) -> Recipe:
        lungs = self.model.frame and self.model.within == "lungs"
        if self.augment.reacquire and (self.data.fit != "stretch" or lungs):
            raise ValueError(
                "[augment] reacquire makes squares: [data] fit must be stretch, and [model] frame 0 or within middle"
            )
        return self


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        RecipeError: no such file, not TOML, an unknown setting (with the nearest known one), or a value out of range.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise RecipeError(f"{path}: expected a recipe (TOML), cannot read it ({reason})") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: expected TOML, found a syntax error: {error}") from error
    return parse_recipe(content, str(path))


def parse_recipe(content: dict[str, Any], where: str) -> Recipe:
    """Check a recipe that is already a dict; `where` opens the error messages."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError("; ".join(_complaints(where, [dict(item) for item in error.errors()]))) from error


def _complaints(where: str, items: list[dict[str, Any]]) -> list[str]:
    """One line per setting that is wrong; what several branches of a choice say of it is joined by `or`.

    `recipes/x.toml [tune]: unknown setting 'epocs'; did you mean 'epochs'?`
    """
    found: dict[str, list[str]] = {}
    for item in items:
        if not item["loc"]:  # tables that do not go together
            found[f"{where}: {str(item['msg']).removeprefix('Value error, ')}"] = []
            continue
        tables, name = _place([str(part) for part in item["loc"]])
        place = f"{where} [{'.'.join(tables)}]" if tables else where
        if item["type"] == "extra_forbidden":
            found[f"{place}: unknown setting '{name}'{_suggestion(tables, name)}"] = []
        elif item["type"] == "missing":
            found[f"{place}: setting '{name}' is missing"] = []
        elif item["type"] == "value_error":
            found[f"{place} [{name}]: {str(item['msg']).removeprefix('Value error, ')}"] = []
        else:
            message = str(item["msg"]).removeprefix("Input ")
            found.setdefault(f"{place}: '{name}' = {item['input']!r}", []).append(message)
    return [f"{head}: {' or '.join(dict.fromkeys(tail))}" if tail else head for head, tail in found.items()]


def _place(loc: list[str]) -> tuple[list[str], str]:
    """The tables that lead to a setting, and the setting's name; the branches of a choice are left out."""
    tables: list[str] = []
    for part in loc:
        if part not in _model_at(tables).model_fields or not _is_table(_model_at(tables), part):
            return tables, part
        tables.append(part)
    return tables[:-1], tables[-1]


def _suggestion(tables: list[str], name: str) -> str:
    known = list(_model_at(tables).model_fields)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(known)}"


def _is_table(model: type[BaseModel], name: str) -> bool:
    inner = model.model_fields[name].annotation
    return isinstance(inner, type) and issubclass(inner, BaseModel)


def _model_at(tables: list[str]) -> type[BaseModel]:
    model: type[BaseModel] = Recipe
    for table in tables:
        inner = model.model_fields[table].annotation
        assert isinstance(inner, type)
        assert issubclass(inner, BaseModel)
        model = inner
    return model
