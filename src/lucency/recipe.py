"""A recipe: every choice of one training run, read from TOML; unknown settings are refused with a suggestion."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lucency import compat
from lucency.errors import RecipeError
from lucency.modality import MODALITIES
from lucency.modality import Name as ModalityName

Span = tuple[float, float]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Schedule = Literal["constant", "exponential", "cosine", "one_cycle"]
ResizeMode = Literal["stretch", "crop", "pad"]
Flip = Literal["none", "horizontal", "both"]

RECIPES = Path(__file__).parent / "recipes"
"""The recipes that ship, one file each; its header is the record of its result."""
EXTENDS = "extends"
"""What names the recipe that a recipe takes the other settings from."""
GAVE = "Gave: "
"""Begins the line of a header that `lucency recipes` prints."""


class Settings(BaseModel):
    """A table of a recipe: frozen; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSettings(Settings):
    """How films are prepared, split and weighted."""

    modality: ModalityName = "chest_xray"
    """What the pictures are, a row of lucency.modality: in gray or colour, and what may be drawn in `augment`."""
    image_size: Annotated[int, Field(ge=28, le=1024)] = 224
    """Pixels along the square that the network sees."""
    resize_mode: ResizeMode = "stretch"
    """How a film becomes a square: stretch it, crop to its short side, or pad to its long side."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the patients set aside for validation; unused where the source states a `val` split."""
    imbalance: Literal["none", "class_weights", "oversample", "focal"] = "class_weights"
    """The answer to unequal classes: weigh the loss, repeat rare films, focus on hard films, or nothing."""
    class_weights: Literal["balanced"] | tuple[Positive, ...] = "balanced"
    """Loss weight per class: n / (classes · n_class), or one number a class in label order."""
    focal_gamma: Annotated[float, Field(ge=0)] = 2.0
    """Focusing exponent of the focal loss (Lin et al. 2017, eq. 4)."""
    rare_weight: Positive = 1.0
    """How many times as many views a film has that its source places in a rare acquisition setting (its column
    `setting`); with `finetune.views`."""


class ModelSettings(Settings):
    """Which network, and its initial weights."""

    backbone: str = "mobilenet_v2"
    """A row of BACKBONES, or timm:NAME."""
    width: Positive = 1.0
    """Width multiplier: channels of every layer times this."""
    depth: Count = 0
    """Blocks of the backbone that are kept, from the first; 0 keeps all. Fewer give a smaller receptive field."""
    stride: Literal[4, 8, 16, 32] = 32
    """Pixels of the square per cell of the map: 16 doubles the map's sides, for about 1.6 times the work."""
    expansion: bool = False
    """After `depth` blocks, end in the expansion of the next block, six times as wide, as SSDLite does."""
    lung_crop: Annotated[int, Field(ge=0, le=1024)] = 0
    """Pixels along the square around the lungs, which the network finds and reads, levels standardised and all else
    blank (lucency.models.lung_crop); a multiple of 48. 0 reads whole films."""
    crop_scales: Annotated[tuple[Annotated[float, Field(ge=0.5, le=2)], ...], Field(min_length=1, max_length=8)] = (
        1.0,
    )
    """Scales of the lungs' box at which each film is read after training; what the views answer is averaged. Each costs
    a pass through the backbone. Training draws its own, by `augment.zoom`."""
    tta_flip: Flip = "none"
    """Test-time augmentation: read each picture also mirrored left to right, with `both` also top to bottom and both
    ways, and average the answers. Each costs a pass through the backbone. Training draws its own, by `augment.flip`."""
    tta_zoom: Annotated[tuple[Annotated[float, Field(ge=0.5, le=1)], ...], Field(min_length=1, max_length=4)] = (1.0,)
    """Also test-time augmentation: shares of the side, in the middle of the picture, that are read; as `tta_flip`."""
    spread: Literal[1, 3, 5, 7, 9] = 1
    """Side, in cells, of the window over which each cell of the map spreads its evidence: its receptive field over the
    stride. The map then peaks inside a lesion and not beside it; no logit changes. 1 spreads nothing."""
    head: Literal["linear", "dense128", "ordinal"] = "linear"
    """linear: pool, dense. dense128: pool, dense 128 with ReLU, dense. ordinal: pool, one severity, a cut point between
    each grade and the next (cumulative link), for classes whose names are grades: 0, 1, 2 or grade 0, grade 1, grade 2.
    """
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of features dropped before the last dense layer, in training."""
    weights: str = "none"
    """none: random. imagenet: the published ones, where they are found. Otherwise the path of a file."""


class FitSettings(Settings):
    """One phase of training: how long, how fast, when to stop."""

    epochs: Count = 10
    """Passes over the training films; 0 skips the phase."""
    batch: Annotated[int, Field(ge=1)] = 32
    """Films per step."""
    lr: Positive = 1e-3
    """Initial learning rate (Adam); the highest one of one_cycle."""
    schedule: Schedule = "constant"
    """constant; exponential: lr · 0.1^(epoch / decay_epochs); cosine to zero; one_cycle (Smith 2018)."""
    decay_epochs: Positive = 20.0
    """Epochs in which the exponential schedule falls tenfold."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay (Loshchilov & Hutter 2019); 0 is plain Adam."""
    patience: Count = 0
    """Stop after this many epochs without a better validation AUROC; 0 never stops early."""
    keep: Literal["best", "last"] = "best"
    """The epoch of the best validation AUROC, or the last: of a rate that falls to zero, where few films validate."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Move targets this far from 0 and 1."""


class FinetuneSettings(FitSettings):
    """The second phase: the backbone trains too."""

    epochs: Count = 0
    lr: Positive = 1e-4
    schedule: Schedule = "cosine"
    unfreeze_blocks: Annotated[int, Field(ge=0)] | Literal["all"] = "all"
    """How many of the backbone's last blocks train."""
    batch_norm: Literal["frozen", "train"] = "frozen"
    """frozen: running statistics stay those of the pretrained network. train: they follow the films."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the exponential moving average of the weights, which is validated and kept; 0 averages nothing."""
    sparse: Annotated[float, Field(ge=0)] = 0.0
    """Weight of mean |M| in the loss, M being the map: evidence stays where it is needed (about 0.1)."""
    views: Count = 0
    """Augmented views of each film of the largest class, more of a rarer one, whose frozen blocks are computed once and
    kept (lucency.train.cached_views); an epoch is a pass over all views. 0 augments anew in each epoch."""
    max_views: Count = 0
    """Most views of a film; `imbalance` answers what classes lack then. 0 sets no limit."""
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """Mix examples of a batch in pairs, in a share from Beta(mixup, mixup) (Zhang et al. 2018); 0 mixes none."""
    local: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the loss of single cells, of normal films and painted opacities; with `lung_crop`."""
    precision: Literal["auto", "32", "bf16"] = "auto"
    """auto: 32 bit; a MobileNetV2 at 160 pixels is slower in bf16, on a GPU too (docs/decisions.md)."""


class AugmentSettings(Settings):
    """What is drawn for each film in each epoch of fine-tuning, as far as `data.modality` allows."""

    canvas: Annotated[int, Field(ge=0)] = 0
    """Films are kept in memory as squares of this side, to be cropped and rotated; 0 is `image_size`."""
    aspect: Span = (1.0, 1.0)
    """Factor on width over height, drawn log-uniformly."""
    zoom: Span = (1.0, 1.0)
    """Share of the side of the film, or of the lungs' box, that is kept; beyond 1 more than the box is shown."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest rotation, degrees either way."""
    surround: Literal["black", "mirrored"] = "black"
    """What a rotation shows beyond the picture's edge: black, as beside a film, or the picture itself, mirrored."""
    flip: Flip = "none"
    """Mirror half of the films left to right, or also top to bottom. Never chest films: it would move the heart."""
    tint: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Of pictures in colour: standard deviation of the log of a factor on each channel."""
    gamma: Span = (1.0, 1.0)
    """Exponent of the tone curve, drawn log-uniformly."""
    contrast: Span = (1.0, 1.0)
    """Factor around middle gray, drawn log-uniformly."""
    brightness: Annotated[float, Field(ge=0, le=128)] = 0.0
    """Largest shift, gray levels either way."""
    sharpness: Span = (0.0, 0.0)
    """Below 0: standard deviation of a Gaussian blur, pixels of the canvas; above 0: amount of unsharp masking."""
    noise: Annotated[float, Field(ge=0, le=64)] = 0.0
    """Largest standard deviation of added noise, gray levels."""

    shift: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Largest move of the lungs' box, as a share of half its side."""
    scales: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Standard deviation of the log of a factor on contrast, drawn for each scale of the lungs' box."""
    exchange: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Chance that contrast at each scale moves towards that of another film of the batch."""
    bias_field: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Largest smooth change of exposure across the box, in standard deviations of the levels in the lungs."""
    opacities: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of all views that are normal films with an opacity painted into the lungs, and count as the finding."""

    @model_validator(mode="after")
    def _spans_ascend(self) -> AugmentSettings:
        for name in ("aspect", "zoom", "gamma", "contrast"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} must be two numbers, 0 < low <= high, got [{low}, {high}]")
        if not self.sharpness[0] <= self.sharpness[1]:
            raise ValueError(f"sharpness must be two numbers, low <= high, got {list(self.sharpness)}")
        if self.zoom[1] > 2:
            raise ValueError(f"zoom is a share of the film and cannot exceed 2, got {self.zoom[1]}")
        return self


class Recipe(Settings):
    """Everything that decides a training run, except the films."""

    name: str
    """Of the run and its bundle."""
    seed: Count = 0
    """Of all that is random."""
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    head: FitSettings = FitSettings()
    finetune: FinetuneSettings = FinetuneSettings()
    augment: AugmentSettings = AugmentSettings()

    @model_validator(mode="after")
    def _augments_as_the_modality_allows(self) -> Recipe:
        kind = MODALITIES[self.data.modality]
        for place, flip in (("[augment] flip", self.augment.flip), ("[model] tta_flip", self.model.tta_flip)):
            if {"none": 0, "horizontal": 1, "both": 2}[flip] > len(kind.flips):
                raise ValueError(f"{place} = '{flip}' does not leave a {kind.noun} a {kind.noun}")
        if self.augment.rotate > kind.rotate:
            raise ValueError(f"[augment] rotate: a {kind.noun} is turned by at most {kind.rotate:g} degrees")
        if self.augment.tint and kind.channels == 1:
            raise ValueError(f"[augment] tint needs colour, and a {kind.noun} is gray")
        if self.model.lung_crop and not kind.lungs:
            raise ValueError(f"[model] lung_crop: a {kind.noun} shows no lungs to crop to")
        return self

    @model_validator(mode="after")
    def _settings_fit_together(self) -> Recipe:
        if self.model.lung_crop and self.data.resize_mode != "stretch":
            raise ValueError(f"[model] lung_crop: [data] resize_mode must be stretch, not {self.data.resize_mode}")
        if self.model.crop_scales != (1.0,) and (not self.model.lung_crop or self.model.head != "linear"):
            raise ValueError("[model] crop_scales needs lung_crop and the linear head, whose answers can be averaged")
        if self.model.lung_crop % 48:
            raise ValueError(f"[model] lung_crop must be a multiple of 48, got {self.model.lung_crop}")
        if self.model.lung_crop and (not self.finetune.views or self.finetune.mixup):
            raise ValueError("[model] lung_crop needs [finetune] views, and no mixup")
        tta = self.model.tta_flip != "none" or self.model.tta_zoom != (1.0,)
        if tta and (self.model.lung_crop or self.model.head != "linear"):
            raise ValueError("[model] tta_flip, tta_zoom: these need the linear head, and no lung_crop")
        if (self.finetune.local or self.augment.opacities) and not self.model.lung_crop:
            raise ValueError("[finetune] local and [augment] opacities need lungs to paint into: set [model] lung_crop")
        if self.finetune.views and self.model.backbone.startswith("timm:"):
            raise ValueError("[finetune] views needs one of lucency's own backbones, whose blocks follow one another")
        return self


def recipe_names() -> tuple[str, ...]:
    """The recipes that ship, by name."""
    return tuple(sorted(path.stem for path in RECIPES.glob("*.toml")))


def describe_recipe(name: str) -> tuple[str, str]:
    """What a shipped recipe trains, and what it gave (empty: nothing published), from its header.

    Raises:
        RecipeError: none of that name ships.
    """
    if name not in recipe_names():
        raise RecipeError(f"expected a recipe that ships, {', '.join(recipe_names())}; got '{name}'")
    lines = (RECIPES / f"{name}.toml").read_text(encoding="utf-8").splitlines()
    header = [line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines)]
    gave = next((line.removeprefix(GAVE) for line in header if line.startswith(GAVE)), "")
    return header[0], gave


def find_recipe(recipe: Path | str, folder: Path = Path()) -> Path:
    """The file of a recipe: a path below `folder`, or the name of one that ships.

    Raises:
        RecipeError: neither.
    """
    if (folder / recipe).is_file() or str(recipe) not in recipe_names():
        return folder / recipe
    return RECIPES / f"{recipe}.toml"


def read_recipe(recipe: Path | str) -> Recipe:
    """Read and check a recipe: a TOML file, or the name of one that ships.

    A file may say `extends = "lecture"` and state what differs; what it extends may not extend another.

    Raises:
        RecipeError: no such file, not TOML, an unknown setting (with the nearest known one), or a value out of range.
    """
    path = find_recipe(recipe)
    content = _content(path)
    if EXTENDS in content:  # else it would bear the other's name
        content.setdefault("name", path.stem)
    return parse_recipe(content, str(path), path.parent)


def _content(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        names = ", ".join(recipe_names())
        raise RecipeError(
            f"{path}: expected a recipe (TOML) or one that ships ({names}), cannot read it ({reason})"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: expected TOML, found a syntax error: {error}") from error
    except RecursionError:
        raise RecipeError(f"{path}: expected a recipe (TOML), found brackets nested too deeply") from None


def parse_recipe(content: dict[str, Any], where: str, folder: Path = Path()) -> Recipe:
    """Check a recipe that is already a dict.

    Args:
        content: the recipe; may extend another.
        where: begins the error messages.
        folder: where the file of a recipe that it extends is looked for.

    Raises:
        RecipeError: an unknown setting or a value out of range, or it extends what cannot be extended.
    """
    whole = _extended(compat.rename_recipe(content, where), where, folder)
    try:
        return Recipe.model_validate(compat.drop_removed(whole))
    except ValidationError as error:
        raise RecipeError("; ".join(_complaints(where, [dict(item) for item in error.errors()]))) from error


def _extended(content: dict[str, Any], where: str, folder: Path) -> dict[str, Any]:
    """The recipe with what it takes over from the one it extends, setting by setting."""
    base = content.pop(EXTENDS, None)
    if base is None:
        return content
    if not isinstance(base, str):
        raise RecipeError(f"{where}: '{EXTENDS}' = {base!r}: expected the name or file of a recipe")
    path = find_recipe(base, folder)
    found = compat.rename_recipe(_content(path), str(path))
    if EXTENDS in found:
        raise RecipeError(f"{where}: extends {path}, which extends another itself; expected one that stands alone")
    tables = {name for name, part in content.items() if isinstance(part, dict) and isinstance(found.get(name), dict)}
    return {**found, **content, **{name: {**found[name], **content[name]} for name in tables}}


def card_data_settings(recipe: Mapping[str, Any]) -> DataSettings:
    """The [data] settings of the recipe on a card, in whatever version it was trained."""
    return DataSettings.model_validate(compat.card_data(recipe))


def _complaints(where: str, items: list[dict[str, Any]]) -> list[str]:
    """One message per wrong setting; those of several branches of a union are joined by `or`."""
    found: dict[str, list[str]] = {}
    for item in items:
        if not item["loc"]:  # settings of two tables exclude each other
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
            if item["input"] in compat.REMOVED_VALUES.get(".".join([*tables, name]), ()):
                message = f"it was removed from this version; {message}"
            found.setdefault(f"{place}: '{name}' = {item['input']!r}", []).append(message)
    return [f"{head}: {' or '.join(dict.fromkeys(tail))}" if tail else head for head, tail in found.items()]


def _place(loc: list[str]) -> tuple[list[str], str]:
    """The tables that lead to a setting, and its name; branches of a union are left out."""
    tables: list[str] = []
    for part in loc:
        if part not in _model_at(tables).model_fields or not _is_table(_model_at(tables), part):
            return tables, part
        tables.append(part)
    return tables[:-1], tables[-1]


def _suggestion(tables: list[str], name: str) -> str:
    known = list(_model_at(tables).model_fields)
    if ".".join([*tables, name]) in compat.RECIPE_REMOVED:
        return "; it was removed from this version, delete the line"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(known)}"


def _is_table(model: type[BaseModel], name: str) -> bool:
    inner = model.model_fields[name].annotation
    return isinstance(inner, type) and issubclass(inner, BaseModel)


def _model_at(tables: list[str]) -> type[BaseModel]:
    model: type[BaseModel] = Recipe
    for table in tables:
        model = cast(type[BaseModel], model.model_fields[table].annotation)
    return model
