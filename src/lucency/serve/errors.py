"""Every answer other than a reading: one line of JSON, {"error": …}. What a client sent is never quoted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from lucency.errors import LucencyError

RETRY_S = 1
"""Seconds after which a client that found the server full may ask again."""
DESCRIPTIONS = {
    400: "The form cannot be parsed.",
    401: "No token, or an unknown one.",
    403: "Asked by a page of another origin.",
    408: "The body arrived too slowly.",
    413: "The request is too large.",
    422: "The film cannot be read, or a parameter is wrong; `error` gives the reason.",
    500: "A bug in the server; it is logged without the film.",
    503: "Full or not ready: retry after the seconds in Retry-After.",
}
"""What OpenAPI says of each status."""
HTTP_MESSAGES = {
    404: "nothing here; see /docs for the routes",
    405: "this route does not take that method; see /docs",
}


class Refusal(LucencyError):
    """An answer other than a reading."""

    status: ClassVar[int] = 400
    headers: ClassVar[Mapping[str, str]] = {}


class BadRequestError(Refusal):
    """The form cannot be parsed."""


class UnauthorizedError(Refusal):
    """No token, or an unknown one."""

    status = 401
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class ForbiddenError(Refusal):
    """A page of another origin asks."""

    status = 403


class RequestTimeoutError(Refusal):
    """The body did not arrive in time."""

    status = 408
    headers: ClassVar[Mapping[str, str]] = {"Connection": "close"}


class PayloadTooLargeError(Refusal):
    """The body exceeds the limit."""

    status = 413


class UnprocessableError(Refusal):
    """The film cannot be read, or a parameter is wrong."""

    status = 422


class InternalError(Refusal):
    """A bug in the server."""

    status = 500


class UnavailableError(Refusal):
    """The server is full, or no worker can read."""

    status = 503
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": str(RETRY_S)}


class Error(BaseModel):
    """Any answer but a reading."""

    model_config = ConfigDict(extra="forbid")

    error: Annotated[str, Field(description="One line: what was expected, what came, what to do.")]


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for these statuses."""
    found: dict[int | str, dict[str, Any]] = {
        status: {"model": Error, "description": DESCRIPTIONS[status]} for status in statuses
    }
    if 503 in found:
        found[503]["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return found


def add_error_handlers(app: FastAPI) -> None:
    """Make `app` answer every error in the one form."""
    app.add_exception_handler(Refusal, _refusal)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _refusal(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    return JSONResponse({"error": str(error)}, error.status, headers=dict(error.headers))


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return JSONResponse({"error": f"{'.'.join(map(str, first['loc']))}: {first['msg']}; see /docs"}, 422)


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    message = HTTP_MESSAGES.get(error.status_code, "malformed request; see /docs")
    return JSONResponse({"error": message}, error.status_code, headers=dict(error.headers or {}))
