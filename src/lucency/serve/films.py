"""The routes that read films."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from lucency.serve.desk import Desk, one_reading
from lucency.serve.entry import films, one_film
from lucency.serve.refusals import UnauthorizedError
from lucency.serve.shapes import BatchAnswer, ReadAnswer, Unread, errors, film_body, films_body
from lucency.serve.tokens import Tokens

PNG = "image/png"
FACTS = "Lucency-Reading"
"""The header that tells the reading beside an overlay: the JSON of `/v1/read`."""
TOKEN = HTTPBearer(auto_error=False, description="A token that the server was started with.")
Map = Annotated[Literal["none", "png"], Query(description="`png`: with an overlay of where the network looked.")]
WRONG = errors(400, 401, 408, 413, 422, 500, 503)
READ: dict[int | str, dict[str, Any]] = {
    **WRONG,
    200: {"model": ReadAnswer, "content": {PNG: {"schema": {"type": "string", "format": "binary"}}}},
}


def guard(tokens: Tokens) -> list[Any]:
    """The dependencies of routes that need a token, where the server has any."""

    def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(TOKEN)]) -> None:
        if given is None or not tokens.admit(given.credentials):
            raise UnauthorizedError("expected Authorization: Bearer and a token known here; ask who runs this server")

    return [Depends(check)] if tokens else []


def film_routes(desk: Desk) -> APIRouter:
    """`/v1/read` and `/v1/batch`."""
    router = APIRouter(prefix="/v1", tags=["films"], dependencies=guard(desk.tokens))

    @router.post("/read", responses=READ, openapi_extra=film_body(), summary="Read one film")
    async def read(request: Request, map: Map = "none") -> Response:
        """PNG, JPEG, TIFF or DICOM, as the body itself or as the part `film` of a form.

        With `Accept: image/png` the answer is the overlay alone, and the header `Lucency-Reading` holds the JSON.
        """
        alone = wants_picture(request.headers.get("accept", ""))
        with desk.places.one():
            film = await one_film(request, desk.limits)
            answer = await desk.read(request, film, "film", alone or map == "png")
        told = ReadAnswer(**one_reading(answer).model_dump(exclude={"map"} if alone else None), model=desk.model)
        facts = told.model_dump(mode="json", exclude_none=True)
        if alone:
            return Response(answer.picture, media_type=PNG, headers={FACTS: told.model_dump_json(exclude_none=True)})
        return JSONResponse(facts)

    @router.post(
        "/batch",
        responses=WRONG,
        openapi_extra=films_body(desk.limits.batch),
        response_model_exclude_none=True,
        summary="Read several films",
    )
    async def batch(request: Request, map: Map = "none") -> BatchAnswer:
        """Each is a part `film` of a form; one that cannot be read costs no other, and the answer says why."""
        with desk.places.one():
            readings = await desk.read_all(request, await films(request, desk.limits), map == "png")
        unread = sum(isinstance(each, Unread) for each in readings)
        return BatchAnswer(readings=readings, unread=unread, model=desk.model)

    return router


def wants_picture(accept: str) -> bool:
    """Whether a client accepts a PNG and says nothing of JSON."""
    kinds = {kind.partition(";")[0].strip().lower() for kind in accept.split(",")}
    return PNG in kinds and "application/json" not in kinds
