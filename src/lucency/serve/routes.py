"""The routes, the models of their answers, and the state that they share."""

from __future__ import annotations

import asyncio
import json
import math
from base64 import b64encode
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict, Field

from lucency import NOTICE
from lucency.bundle import Bundle
from lucency.reader import model_info
from lucency.serve.middleware import (
    ForbiddenError,
    Metrics,
    UnauthorizedError,
    UnavailableError,
    UnprocessableError,
    responses,
)
from lucency.serve.pool import Pool, WorkerAnswer
from lucency.serve.request_body import FIELD, FORM, Admission, read_film, read_films
from lucency.serve.settings import Limits, Log, Tokens
from lucency.serve.worker import MAX_OVERLAY

PNG = "image/png"
READING_HEADER = "Lucency-Reading"
"""The header that carries the JSON of `/v1/read` beside an overlay."""
FILM_TYPES = (PNG, "image/jpeg", "image/tiff", "application/dicom", "application/octet-stream")
"""Content types offered for a bare film. Any other is taken as well: the bytes decide."""
OPTIONAL = ("map", "probabilities", "leading", "prediction_set")
"""Fields of a reading that are left out where they are empty."""
BATCH_OVERLAY = 512
"""Pixels along the longer side of an overlay in a batch, at least."""
FILM = {"type": "string", "format": "binary"}
BEARER = HTTPBearer(auto_error=False, description="A token that the server was started with.")
FAILURES = responses(400, 401, 403, 408, 413, 422, 500, 503)

Share = Annotated[float, Field(ge=0, le=1)]
Map = Annotated[Literal["none", "png"], Query(description="`png`: with an overlay of where the network looked.")]
Label = Annotated[str, Query(description="The label that the overlay is about; without it the finding.")]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class BandInfo(_Answer):
    """A stretch of the probability that has one verdict, doubts aside."""

    verdict: str
    low: Share
    high: Share


class ModelInfo(_Answer):
    """The bundle that reads."""

    name: str
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the whole bundle.")]
    format: str
    labels: Annotated[list[str], Field(description="In the order of `probabilities`.")]
    threshold: Annotated[
        Share | list[Share] | None,
        Field(description="Of several findings one each; none where one of several classes is called."),
    ]
    bands: Annotated[list[BandInfo], Field(description="What each stretch of the probability is called.")]
    fitted_on: Annotated[str, Field(description="The films that the probability was fitted to.")]
    population: Annotated[str, Field(description="Whose films the reader learned from.")]
    lucency: Annotated[str, Field(description="The version that read.")]


class LabelShare(_Answer):
    """One of several labels."""

    label: str
    probability: Share


class ReadingAnswer(_Answer):
    """What `lucency read --json` says of a film."""

    film: Annotated[str, Field(description="`film`, or in a batch `film 1`, `film 2`…; never the client's name.")]
    verdict: Annotated[str, Field(description="The label called, or `uncertain`: refer.")]
    called: Annotated[str | None, Field(description="The label at the threshold, sure or not.")]
    finding: Annotated[str, Field(description="What probability, logit and map are about.")]
    probability: Annotated[Share | None, Field(description="Calibrated; null where `reason` says why there is none.")]
    logit: Annotated[float | None, Field(description="Before calibration.")]
    reason: Annotated[str | None, Field(description="Why this is no film of the kind learned from.")]
    probabilities: Annotated[list[Share] | None, Field(description="One a label, if there are several findings.")] = (
        None
    )
    leading: Annotated[list[LabelShare] | None, Field(description="The most probable of several labels.")] = None
    prediction_set: Annotated[
        list[str] | None, Field(description="Of several classes, those that the evidence does not rule out.")
    ] = None
    warnings: Annotated[list[str], Field(description="Reasons to doubt this reading.")]
    map: Annotated[
        str | None,
        Field(
            description="Where the network looked, over the film: PNG in base64.",
            json_schema_extra={"contentEncoding": "base64"},
        ),
    ] = None


class UnreadAnswer(_Answer):
    """A film of a batch that cannot be read."""

    film: str
    error: Annotated[str, Field(description="What was found, what is accepted, what to do.")]


class FilmAnswer(ReadingAnswer):
    """The answer to one film."""

    model: ModelInfo
    notice: str = NOTICE


class BatchAnswer(_Answer):
    """The answer to several films, in order."""

    readings: list[ReadingAnswer | UnreadAnswer]
    unread: Annotated[int, Field(ge=0, description="How many of them cannot be read.")]
    model: ModelInfo
    notice: str = NOTICE


class Alive(_Answer):
    """The server runs."""

    status: str = "alive"


class Ready(_Answer):
    """The server can read."""

    status: str = "ready"
    processes: Annotated[int, Field(ge=1)]
    model: ModelInfo


class State:
    """What the routes share: the workers, the admission before them, the counters, the bundle's facts."""

    def __init__(self, bundle: Bundle, workers: int, limits: Limits, tokens: Tokens, log: Log) -> None:
        self.limits, self.tokens, self._workers = limits, tokens, workers
        self.model = ModelInfo(**model_info(bundle))
        self.metrics = Metrics(bundle)
        self.admission = Admission(workers + limits.queue)
        self.metrics.inside.set_function(lambda: self.admission.inside)
        self.pool = Pool(bundle, workers, limits, self.metrics, log)

    async def read(
        self, request: Request, film: bytes, name: str, map: int, label: str = "", batch: bool = False
    ) -> WorkerAnswer:
        """Read one film; raises as `Pool.read` does, and UnprocessableError for a label that the bundle lacks."""
        if label and label not in self.model.labels:
            raise UnprocessableError(f"expected a label among {', '.join(self.model.labels)}, found another")
        answer = await self.pool.read(film, name, map, request.is_disconnected, label, batch)
        self.metrics.verdicts.labels(answer.reading["verdict"]).inc()
        return answer

    async def read_all(self, request: Request, films: list[bytes], map: bool) -> list[ReadingAnswer | UnreadAnswer]:
        """Read several films; one that is broken, or too late, does not cost the others.

        One worker, where there are several, is left to other requests; where there is one, films sent alone take turns
        with these. All of it takes no longer than one film may wait.
        Overlays share the area of one, so that the answer is bounded, but keep BATCH_OVERLAY pixels.

        Raises:
            Refusal: as `Pool.read`, but for films that cannot be read.
        """
        side = max(BATCH_OVERLAY, round(MAX_OVERLAY / math.sqrt(len(films)))) if map else 0
        at_once = asyncio.Semaphore(max(1, self._workers - 1))
        deadline = asyncio.get_running_loop().time() + self.limits.max_wait_s

        async def one(number: int, film: bytes) -> ReadingAnswer | UnreadAnswer:
            name = f"film {number}"
            try:
                async with asyncio.timeout_at(deadline), at_once:
                    return _reading_answer(await self.read(request, film, name, side, batch=True))
            except UnprocessableError as error:
                return UnreadAnswer(film=name, error=str(error))
            except TimeoutError:
                late = f"{name}: not read within the {self.limits.max_wait_s:g} s of a batch; send fewer at once"
                return UnreadAnswer(film=name, error=late)

        tasks = [asyncio.ensure_future(one(number, film)) for number, film in enumerate(films, 1)]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:  # after a failure nobody waits for the others
                task.cancel()


def _reading_answer(answer: WorkerAnswer) -> ReadingAnswer:
    return ReadingAnswer(**answer.reading, map=b64encode(answer.overlay).decode() if answer.overlay else None)


def _json(answer: FilmAnswer | BatchAnswer) -> dict[str, Any]:
    """The answer without the fields that only some readings have; a probability that is withheld stays, as null."""
    content = answer.model_dump(mode="json")
    for reading in content.get("readings", [content]):
        for name in OPTIONAL:
            if reading.get(name, 0) is None:
                del reading[name]
    return content


async def _same_origin(request: Request) -> None:
    """Without tokens any page in a browser on this machine could send films here: pages of other origins may not."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise ForbiddenError("expected no page of another origin to ask; start the server with --tokens to allow it")


def _need_token(tokens: Tokens) -> list[Any]:
    """The dependencies of routes that need a token if the server has any, and else the same origin."""

    async def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]) -> None:
        if given is None or not tokens.accepts(given.credentials):
            raise UnauthorizedError("expected Authorization: Bearer and a known token; ask who runs this server")

    return [Depends(check if tokens else _same_origin)]


def _form_body(field: dict[str, Any], bare: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI's `requestBody`: a form with this field, or a bare film."""
    form = {"type": "object", "properties": {FIELD: field}, "required": [FIELD], "additionalProperties": False}
    return {"requestBody": {"required": True, "content": {FORM: {"schema": form}, **bare}}}


def read_routes(state: State) -> APIRouter:
    """`/v1/read` and `/v1/batch`."""
    router = APIRouter(prefix="/v1", tags=["films"], dependencies=_need_token(state.tokens))
    found: dict[int | str, dict[str, Any]] = {200: {"model": FilmAnswer, "content": {PNG: {"schema": FILM}}}}
    one_film = _form_body(FILM, {kind: {"schema": FILM} for kind in FILM_TYPES})
    films = _form_body({"type": "array", "items": FILM, "minItems": 1, "maxItems": state.limits.batch}, {})

    @router.post("/read", responses={**FAILURES, **found}, openapi_extra=one_film, summary="Read one film")
    async def read(request: Request, map: Map = "none", label: Label = "") -> Response:
        """PNG, JPEG, TIFF or DICOM, as the body itself or as the part `film` of a form.

        With `Accept: image/png` the answer is the overlay alone, and the header `Lucency-Reading` holds the JSON.
        """
        overlay_only = _wants_png(request.headers.get("accept", ""))
        with state.admission.admit():
            film = await read_film(request, state.limits)
            answer = await state.read(request, film, "film", MAX_OVERLAY if overlay_only or map == "png" else 0, label)
        reading = _reading_answer(answer).model_dump(exclude={"map"} if overlay_only else None)
        content = _json(FilmAnswer(**reading, model=state.model))
        if overlay_only:
            headers = {READING_HEADER: json.dumps(content, ensure_ascii=True)}
            return Response(answer.overlay, media_type=PNG, headers=headers)
        return JSONResponse(content)

    @router.post(
        "/batch",
        responses=FAILURES,
        openapi_extra=films,
        response_model=BatchAnswer,
        summary="Read several films",
    )
    async def batch(request: Request, map: Map = "none") -> JSONResponse:
        """Each is a part `film` of a form; the answer gives a reason for each that cannot be read."""
        with state.admission.admit():
            readings = await state.read_all(request, await read_films(request, state.limits), map == "png")
        unread = sum(isinstance(each, UnreadAnswer) for each in readings)
        return JSONResponse(_json(BatchAnswer(readings=readings, unread=unread, model=state.model)))

    return router


def _wants_png(accept: str) -> bool:
    """Whether a client accepts PNG but not JSON."""
    kinds = {kind.partition(";")[0].strip().lower() for kind in accept.split(",")}
    return PNG in kinds and "application/json" not in kinds


def system_routes(state: State) -> APIRouter:
    """`/healthz`, `/readyz` and `/metrics`."""
    router = APIRouter(tags=["server"])

    @router.get("/healthz", summary="Whether the server runs")
    async def healthz() -> Alive:
        """For a supervisor: without an answer, restart the server."""
        return Alive()

    @router.get("/readyz", responses=responses(503), summary="Whether it can read")
    async def readyz() -> Ready:
        """For a load balancer: on 503, send films elsewhere for now."""
        if not state.pool.ready:
            raise UnavailableError("no worker can read films now; workers are being started")
        return Ready(processes=state.pool.ready, model=state.model)

    @router.get(
        "/metrics",
        response_class=Response,
        dependencies=_need_token(state.tokens),
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **responses(401, 403)},
        summary="Prometheus metrics",
    )
    async def metrics() -> Response:
        """How many requests, how long, how they ended; nothing of a film."""
        return Response(state.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router
