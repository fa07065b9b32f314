"""Every error as one line of JSON, {"error": …}, whoever raised it; what a client sent is never quoted."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from lucency.serve.refusals import Refusal

WORDS = {
    404: "there is nothing here; see /docs for what there is",
    405: "this address does not take that method; see /docs",
}


def answer_errors(app: FastAPI) -> None:
    """Give `app` its handlers."""
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
    words = WORDS.get(error.status_code, "the request makes no sense; see /docs")
    return JSONResponse({"error": words}, error.status_code, headers=dict(error.headers or {}))
