"""The routes for people and for those who run the server."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST

from lucency.serve.desk import Desk
from lucency.serve.films import guard
from lucency.serve.page import ICON, POLICY, SHEET, STYLE, front, manual
from lucency.serve.refusals import BusyError
from lucency.serve.shapes import Alive, Ready, errors


def look_routes(desk: Desk, app: FastAPI) -> APIRouter:
    """`/healthz`, `/readyz`, `/metrics` and `/docs`."""
    router = APIRouter(tags=["server"])

    @router.get("/healthz", summary="Whether the server runs")
    async def healthz() -> Alive:
        """For a supervisor: no answer, and the server should be started again."""
        return Alive()

    @router.get("/readyz", responses=errors(503), summary="Whether it can read")
    async def readyz() -> Ready:
        """For a load balancer: 503, and films should go elsewhere for now."""
        if not desk.pool.ready:
            raise BusyError("no process can read films now; they are being started")
        return Ready(processes=desk.pool.ready, model=desk.model)

    @router.get(
        "/metrics",
        response_class=Response,
        dependencies=guard(desk.tokens),
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **errors(401)},
        summary="Numbers for Prometheus",
    )
    async def metrics() -> Response:
        """How many requests, how long, how they ended; nothing of a film."""
        return Response(desk.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @router.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(manual(app.openapi(), bool(desk.tokens)), headers=POLICY)

    @router.get("/favicon.ico", include_in_schema=False)
    async def icon() -> Response:
        return Response(ICON, media_type="image/svg+xml")

    @router.get(SHEET, include_in_schema=False)
    async def sheet() -> Response:
        return Response(STYLE, media_type="text/css")

    return router


def front_route() -> APIRouter:
    """`/` where there is no page that reads."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def root() -> HTMLResponse:
        return HTMLResponse(front(), headers=POLICY)

    return router
