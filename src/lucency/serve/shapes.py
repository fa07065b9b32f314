"""The JSON that the server answers, and what OpenAPI says of it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from lucency import NOTICE
from lucency.bundle import Bundle
from lucency.serve.forms import FIELD, FORM

Share = Annotated[float, Field(ge=0, le=1)]
RAW = ("image/png", "image/jpeg", "image/tiff", "application/dicom", "application/octet-stream")
"""Content types offered for a bare film. Others are taken too: its bytes say what it is."""


class Shape(BaseModel):
    """An object of ours: nothing in it that is not written here."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ModelFacts(Shape):
    """What read the films."""

    name: str
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256 that names the whole bundle.")]
    format: str
    threshold: Share
    lucency: Annotated[str, Field(description="The version that read.")]


class OneReading(Shape):
    """What `lucency read --json` says of a film."""

    film: Annotated[
        str, Field(description="`film`, or in a batch `film 1`, `film 2`…; never what the client calls it.")
    ]
    verdict: Annotated[str, Field(description="The label called, or `uncertain`: refer.")]
    called: Annotated[str, Field(description="The label at the threshold, sure or not.")]
    finding: Annotated[str, Field(description="What probability, logit and map speak of.")]
    probability: Annotated[Share, Field(description="Calibrated.")]
    logit: Annotated[float, Field(description="Before calibration.")]
    probabilities: Annotated[
        list[Share] | None, Field(description="One a label, where there are several findings.")
    ] = None
    warnings: Annotated[list[str], Field(description="Reasons to doubt this reading.")]
    map: Annotated[
        str | None,
        Field(
            description="Where the network looked, over the film: PNG in base64.",
            json_schema_extra={"contentEncoding": "base64"},
        ),
    ] = None


class Unread(Shape):
    """A film of a batch that could not be read."""

    film: str
    error: Annotated[str, Field(description="What was found, what would be accepted, what to do.")]


class ReadAnswer(OneReading):
    """The answer to one film."""

    model: ModelFacts
    notice: str = NOTICE


class BatchAnswer(Shape):
    """The answer to several films, in their order."""

    readings: list[OneReading | Unread]
    unread: Annotated[int, Field(ge=0, description="How many of them could not be read.")]
    model: ModelFacts
    notice: str = NOTICE


class Error(Shape):
    """Any answer but a reading."""

    error: Annotated[str, Field(description="One line: what was expected, what came, what to do.")]


class Alive(Shape):
    """The server runs."""

    status: str = "alive"


class Ready(Shape):
    """The server can read."""

    status: str = "ready"
    processes: Annotated[int, Field(ge=1)]
    model: ModelFacts


def model_facts(bundle: Bundle) -> ModelFacts:
    """What every answer says of the bundle behind it."""
    from lucency import __version__

    card = bundle.card
    return ModelFacts(
        name=card.name,
        digest=bundle.digest,
        format=card.model.format,
        threshold=card.operating_point.threshold,
        lucency=__version__,
    )


MEANINGS = {
    400: "The form cannot be taken apart.",
    401: "No token, or none that is known.",
    408: "The body came too slowly.",
    413: "More bytes than are taken.",
    422: "The film cannot be read, or a parameter makes no sense; the reason is in `error`.",
    500: "An error of ours; it is logged without the film.",
    503: "Full, or not ready: ask again after the seconds in Retry-After.",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for these statuses."""
    told: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        told[status] = {"model": Error, "description": MEANINGS[status]}
    if 503 in told:
        told[503]["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return told


def film_body() -> dict[str, Any]:
    """OpenAPI's `requestBody` for one film."""
    film = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {FIELD: film}, "required": [FIELD], "additionalProperties": False}
    kinds = {kind: {"schema": film} for kind in RAW}
    return {"requestBody": {"required": True, "content": {FORM: {"schema": form}, **kinds}}}


def films_body(most: int) -> dict[str, Any]:
    """OpenAPI's `requestBody` for up to `most` films."""
    films = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1, "maxItems": most}
    form = {"type": "object", "properties": {FIELD: films}, "required": [FIELD], "additionalProperties": False}
    return {"requestBody": {"required": True, "content": {FORM: {"schema": form}}}}
